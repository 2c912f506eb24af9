#include "gateway/core/api_error.h"

#include <algorithm>
#include <array>

#include "base/core/log.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kInvalid = "invalid_request_error";
constexpr std::string_view kServer = "server_error";
constexpr int kRetryLeastSeconds = 1;
/// openai-node obeys any Retry-After, however long: keep ours short.
constexpr int kRetryMostSeconds = 60;
constexpr std::int64_t kDaySeconds = 86'400;
constexpr std::int64_t kMillisecond = 1'000;

struct Row {
  Code code;
  std::string_view reason;  ///< empty = every other reason of this code
  int http_status;
  std::string_view type;
  std::string_view wire_code;  ///< empty = the reason itself
  bool should_retry;
  int retry_after_s;
};

/// First match wins: named reasons stand before their code's general row.
constexpr std::array kTable = {
    Row{Code::kInvalidArgument, "request_too_large", 413, kInvalid, "", false, 0},
    Row{Code::kOutOfRange, "request_too_large", 413, kInvalid, "", false, 0},
    Row{Code::kInvalidArgument, "unsupported_media_type", 415, kInvalid, "", false, 0},
    Row{Code::kInvalidArgument, "content_policy", 400, kInvalid, "content_filter", false, 0},
    Row{Code::kInvalidArgument, "", 400, kInvalid, "", false, 0},
    Row{Code::kOutOfRange, "", 400, kInvalid, "", false, 0},
    Row{Code::kUnauthenticated, "", 401, "authentication_error", "invalid_api_key", false, 0},
    Row{Code::kResourceExhausted, "insufficient_balance", 402, "insufficient_quota", "", false, 0},
    // Not 429: SDKs send that again by themselves, and a cap opens with its period at the earliest.
    Row{Code::kResourceExhausted, "budget_exceeded", 402, "insufficient_quota", "", false, 0},
    Row{Code::kPermissionDenied, "", 403, "permission_error", "", false, 0},
    Row{Code::kNotFound, "", 404, kInvalid, "", false, 0},
    Row{Code::kUnimplemented, "method_not_allowed", 405, kInvalid, "", false, 0},
    Row{Code::kUnimplemented, "", 400, kInvalid, "unsupported_parameter", false, 0},
    Row{Code::kAlreadyExists, "", 409, "conflict", "", true, kRetryLeastSeconds},
    Row{Code::kAborted, "", 409, "conflict", "", true, kRetryLeastSeconds},
    Row{Code::kResourceExhausted, "rate_limit_exceeded", 429, "rate_limit_error", "", true, kRetryLeastSeconds},
    Row{Code::kResourceExhausted, "", 503, kServer, "server_overloaded", true, kRetryLeastSeconds},
    // Charged, and not to be run again by a client that retries by itself.
    Row{Code::kFailedPrecondition, "idempotency_answer_not_kept", 410, kInvalid, "", false, 0},
    Row{Code::kFailedPrecondition, "idempotency_outcome_unknown", 410, kInvalid, "", false, 0},
    Row{Code::kFailedPrecondition, "", 503, kServer, "", true, 10},
    Row{Code::kUnavailable, "", 503, kServer, "", true, kRetryLeastSeconds},
    // The request's own time is spent: sending it again would spend it again.
    Row{Code::kDeadlineExceeded, "", 504, kServer, "", false, 0},
    Row{Code::kCancelled, "", kStatusClientGone, kServer, "client_closed_request", false, 0},
};

int ceil_seconds(Duration wait) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  return static_cast<int>(std::clamp<std::int64_t>(seconds, kRetryLeastSeconds, kRetryMostSeconds));
}

}  // namespace

ApiError to_api_error(const Refusal& refusal) {
  const Error& error = refusal.error;
  for (const Row& row : kTable) {
    if (row.code != error.code || (!row.reason.empty() && row.reason != error.reason)) continue;
    ApiError out{row.http_status, row.type, std::string(row.wire_code.empty() ? error.reason : row.wire_code),
                 error.message, error.field, row.retry_after_s, row.should_retry};
    if (refusal.queue_wait) {
      out.queue_wait_ms = std::chrono::ceil<std::chrono::milliseconds>(*refusal.queue_wait).count();
    }
    if (!row.should_retry || !refusal.retry_after) return out;
    out.retry_after_s = ceil_seconds(*refusal.retry_after);
    // A day's limit is there again tomorrow, and a queue may be promised away for minutes: a client that waits in its
    // call for that is told so, and not to.
    if (row.code == Code::kResourceExhausted && *refusal.retry_after > std::chrono::seconds(kRetryMostSeconds)) {
      const auto seconds = std::chrono::ceil<std::chrono::seconds>(*refusal.retry_after).count();
      out.retry_after_s = static_cast<int>(std::min<std::int64_t>(seconds, kDaySeconds));
      out.should_retry = false;
      return out;
    }
    // Whole seconds bring everybody back in step: readers of the finer header keep the spread that was computed.
    out.retry_after_ms = std::clamp<std::int64_t>(
        std::chrono::ceil<std::chrono::milliseconds>(*refusal.retry_after).count(), kMillisecond,
        out.retry_after_s * kMillisecond);
    return out;
  }
  return {500, kServer, "internal_error",
          "The server failed to answer. Retry, and quote the x-request-id header if it happens again.", "", 0, true};
}

void append_error_json(std::string& out, const ApiError& error) {
  out += R"({"error":{"message":)";
  append_json_string(out, error.message);
  out += R"(,"type":)";
  append_json_string(out, error.type);
  out += R"(,"param":)";
  if (error.param.empty()) {
    out += "null";
  } else {
    append_json_string(out, error.param);
  }
  out += R"(,"code":)";
  append_json_string(out, error.code);
  out += "}}";
}

}  // namespace tidegate::gateway
