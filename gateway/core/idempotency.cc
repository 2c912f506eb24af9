#include "gateway/core/idempotency.h"

#include <algorithm>
#include <array>

namespace tidegate::gateway {
namespace {

constexpr std::array kStates = {AnswerState::kRunning, AnswerState::kCommitted, AnswerState::kKept,
                                AnswerState::kDropped, AnswerState::kUnknown};

Refusal in_flight() {
  return Error(Code::kAborted, "idempotency_in_flight",
               "The first request with this Idempotency-Key is still being answered; ask again in a moment.",
               kIdempotencyHeader);
}

Refusal outcome_unknown(const std::string& request_id) {
  return Error(Code::kFailedPrecondition, "idempotency_outcome_unknown",
               "The first request with this Idempotency-Key, " + request_id +
                   ", ended without an answer that was kept. It was charged once at most: see GET /v1/receipts/" +
                   request_id + ". To run it again, send a new Idempotency-Key.",
               kIdempotencyHeader);
}

Refusal not_kept(const std::string& request_id) {
  return Error(Code::kFailedPrecondition, "idempotency_answer_not_kept",
               "The first request with this Idempotency-Key, " + request_id +
                   ", was answered and charged once, but its answer was too large to keep: see GET /v1/receipts/" +
                   request_id + ". To run it again, send a new Idempotency-Key.",
               kIdempotencyHeader);
}

}  // namespace

std::string_view answer_state_name(AnswerState state) {
  switch (state) {
    case AnswerState::kRunning:
      return "running";
    case AnswerState::kCommitted:
      return "committed";
    case AnswerState::kKept:
      return "kept";
    case AnswerState::kDropped:
      return "dropped";
    case AnswerState::kUnknown:
      return "unknown";
  }
  return "";
}

std::optional<AnswerState> parse_answer_state(std::string_view name) {
  const auto found = std::ranges::find(kStates, name, answer_state_name);
  if (found == kStates.end()) return std::nullopt;
  return *found;
}

Status check_idempotency_key(std::string_view key) {
  const bool is_visible = std::ranges::all_of(key, [](char c) { return c > ' ' && c < 0x7f; });
  if (!key.empty() && key.size() <= kIdempotencyKeyBytesMax && is_visible) return {};
  return fail(Code::kInvalidArgument, "invalid_value",
              "Idempotency-Key is sent once and has 1 to " + std::to_string(kIdempotencyKeyBytesMax) +
                  " visible ASCII characters; a UUID is a good one.",
              kIdempotencyHeader);
}

std::optional<Refusal> refusal_of_repeat(const IdempotencyEntry& entry, std::string_view digest) {
  // First: another request must learn nothing of how the first one ended.
  if (entry.digest != digest) {
    return Error(
        Code::kInvalidArgument, "idempotency_mismatch",
        "This Idempotency-Key was used for a request with another body or path; send a new one with every new request.",
        kIdempotencyHeader);
  }
  switch (entry.state) {
    case AnswerState::kRunning:
      return in_flight();
    case AnswerState::kCommitted:
      if (entry.lease_left > Duration::zero()) return in_flight();
      return outcome_unknown(entry.request_id);
    case AnswerState::kKept:
      return std::nullopt;
    case AnswerState::kDropped:
      return not_kept(entry.request_id);
    case AnswerState::kUnknown:
      return outcome_unknown(entry.request_id);
  }
  return outcome_unknown(entry.request_id);
}

Error idempotency_unavailable() {
  return {Code::kUnavailable, "idempotency_unavailable",
          "Requests with an Idempotency-Key cannot be remembered right now, so none is run or charged; send it again.",
          kIdempotencyHeader};
}

}  // namespace tidegate::gateway
