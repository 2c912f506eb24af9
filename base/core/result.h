#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace tidegate {

/// Canonical codes; names and numbers are gRPC's, so that mapping to the wire is a cast.
enum class Code : std::uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

/// Lower-case name as in gRPC's documentation, e.g. "invalid_argument".
std::string_view code_name(Code code);

/// What went wrong. `reason` is stable and machine-readable ("lease_exhausted"); `message` is one sentence for
/// a person that names the field, the limit and the fix; `field` is the offending input's path, or empty.
struct Error {
  Code code = Code::kUnknown;
  std::string reason;
  std::string message;
  std::string field;

  Error() = default;
  Error(Code code_in, std::string reason_in, std::string message_in, std::string field_in = {})
      : code(code_in), reason(std::move(reason_in)), message(std::move(message_in)), field(std::move(field_in)) {}

  /// "code/reason: message (field)", for logs and tests.
  [[nodiscard]] std::string to_string() const;
  bool operator==(const Error&) const = default;
};

/// Everything that can fail in normal operation returns this. Status is a Result without a value.
template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline std::unexpected<Error> fail(Code code, std::string reason, std::string message,
                                                 std::string field = {}) {
  return std::unexpected<Error>(Error(code, std::move(reason), std::move(message), std::move(field)));
}
[[nodiscard]] inline std::unexpected<Error> fail(Error error) {
  return std::unexpected<Error>(std::move(error));
}

}  // namespace tidegate

#define TG_RESULT_JOIN_INNER(a, b) a##b
#define TG_RESULT_JOIN(a, b) TG_RESULT_JOIN_INNER(a, b)

/// TG_ASSIGN(auto plan, parse(body)): declares `plan`, or returns the Error from the enclosing function.
#define TG_ASSIGN(declaration, expression) \
  TG_ASSIGN_INNER(TG_RESULT_JOIN(tg_result_, __LINE__), declaration, expression)
#define TG_ASSIGN_INNER(result, declaration, expression)                            \
  auto result = (expression);                                                       \
  if (!result) return std::unexpected<::tidegate::Error>(std::move(result).error()); \
  declaration = *std::move(result)

/// TG_TRY(check(x)): returns the Error from the enclosing function if there is one.
#define TG_TRY(expression) TG_TRY_INNER(TG_RESULT_JOIN(tg_status_, __LINE__), expression)
#define TG_TRY_INNER(result, expression) \
  if (auto result = (expression); !result) return std::unexpected<::tidegate::Error>(std::move(result).error())

/// The same in a coroutine. The awaited expression stands alone in its statement (GCC 12 destroys braced
/// aggregates and capturing lambdas twice when they sit beside co_await: name them first).
#define TG_CO_ASSIGN(declaration, expression) \
  TG_CO_ASSIGN_INNER(TG_RESULT_JOIN(tg_result_, __LINE__), declaration, expression)
#define TG_CO_ASSIGN_INNER(result, declaration, expression)                            \
  auto result = (expression);                                                          \
  if (!result) co_return std::unexpected<::tidegate::Error>(std::move(result).error()); \
  declaration = *std::move(result)
#define TG_CO_TRY(expression) TG_CO_TRY_INNER(TG_RESULT_JOIN(tg_status_, __LINE__), expression)
#define TG_CO_TRY_INNER(result, expression) \
  auto result = (expression);               \
  if (!result) co_return std::unexpected<::tidegate::Error>(std::move(result).error())
