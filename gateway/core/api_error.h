#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/result.h"

namespace tidegate::gateway {

/// An Error on its way to a client, and when it pays to come back.
struct Refusal {
  Error error;
  std::optional<Duration> retry_after;  ///< honest estimate; unset = the table's
  std::optional<Duration> queue_wait;   ///< predicted wait for a worker that was too long; unset = not known

  Refusal() = default;
  Refusal(Error error_in) : error(std::move(error_in)) {}  // NOLINT: an Error is a Refusal without an estimate
  Refusal(Error error_in, Duration retry) : error(std::move(error_in)), retry_after(retry) {}
};

/// The same error in OpenAI's words.
struct ApiError {
  int http_status = 500;
  std::string_view type;     ///< OpenAI's family, e.g. "invalid_request_error"
  std::string code;          ///< stable, e.g. "model_not_found"
  std::string message;
  std::string param;         ///< the field; empty = null
  int retry_after_s = 0;     ///< 0 = no header
  bool should_retry = false; ///< x-should-retry
  std::int64_t retry_after_ms = 0;  ///< retry-after-ms: the estimate, never more than retry_after_s; 0 = no header
  std::optional<std::int64_t> queue_wait_ms = {};  ///< x-tidegate-queue-wait-ms
};

/// 4xx is the caller's, 5xx ours; 402 only when money is really gone. Errors of our own making (internal, data_loss,
/// unknown) keep their words to the log: the client gets one fixed sentence.
ApiError to_api_error(const Refusal& refusal);

/// {"error":{"message","type","param","code"}}: all four keys, always.
void append_error_json(std::string& out, const ApiError& error);

/// nginx's number for "client closed request": never sent, only counted and logged.
inline constexpr int kStatusClientGone = 499;
/// Anthropic's number for "overloaded", which is 503 to everybody else.
inline constexpr int kStatusOverloaded = 529;

}  // namespace tidegate::gateway
