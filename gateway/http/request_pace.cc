#include "gateway/http/request_pace.h"

#include <charconv>
#include <cstdint>
#include <string_view>
#include <system_error>

namespace tidegate::gateway {
namespace {

constexpr std::string_view kDeadlineHeader = "x-tidegate-deadline-ms";
constexpr std::int64_t kDeadlineMostMs = 3'600'000;

/// Digits only; nullopt for everything else.
std::optional<std::int64_t> parse_count(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.starts_with('-')) return std::nullopt;
  return value;
}

}  // namespace

Result<std::optional<Duration>> find_budget(const HttpRequest& request) {
  const std::size_t times = request.head.count(kDeadlineHeader);
  if (times == 0) return std::optional<Duration>();
  const auto budget_ms = parse_count(request.header(kDeadlineHeader));
  if (times > 1 || !budget_ms || *budget_ms < 1 || *budget_ms > kDeadlineMostMs) {
    return fail(Code::kInvalidArgument, "invalid_value",
                "'x-tidegate-deadline-ms' must be one whole number of milliseconds, 1 to 3600000: the time you have for "
                "the whole answer.",
                std::string(kDeadlineHeader));
  }
  return std::optional<Duration>(std::chrono::milliseconds(*budget_ms));
}

}  // namespace tidegate::gateway
