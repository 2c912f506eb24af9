#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "gateway/core/api_error.h"

namespace tidegate::gateway {

/// The header, as errors name it.
inline constexpr const char* kIdempotencyHeader = "Idempotency-Key";
inline constexpr std::size_t kIdempotencyKeyBytesMax = 255;

/// Where the request that brought a key first has got to. Money decides the order: what is committed is never run
/// again, whatever becomes of its answer.
///
///   (none) -> running -> committed -> kept | dropped | unknown
///                 `-> (none): nothing was charged
enum class AnswerState : std::uint8_t {
  kRunning,    ///< nothing was charged or handed over; may be run again once its lease has lapsed
  kCommitted,  ///< may have been charged; once its lease has lapsed its gateway died and nobody knows how it ended
  kKept,       ///< charged once; the answer is stored
  kDropped,    ///< charged once; the answer was too large to store
  kUnknown,    ///< charged at most once; it ended without an answer worth repeating
};
/// "running", "committed", ...: as stored.
std::string_view answer_state_name(AnswerState state);
std::optional<AnswerState> parse_answer_state(std::string_view name);

/// What is remembered under one key.
struct IdempotencyEntry {
  AnswerState state = AnswerState::kRunning;
  std::string digest;      ///< of the request that brought the key
  std::string request_id;  ///< of that request
  Duration lease_left{};   ///< while running or committed; zero: lapsed
  std::string answer;      ///< sealed; when kept
};

/// 1 to 255 visible ASCII characters. Fails: invalid_argument/invalid_value naming the header.
Status check_idempotency_key(std::string_view key);

/// What a request hears that brings a known key: nullopt when the kept answer is its answer too, else one of
/// idempotency_mismatch (400), idempotency_in_flight (409, with the time to come back),
/// idempotency_answer_not_kept and idempotency_outcome_unknown (410, naming the request that was charged).
std::optional<Refusal> refusal_of_repeat(const IdempotencyEntry& entry, std::string_view digest);

/// The store cannot be asked: 503, at once.
Error idempotency_unavailable();

}  // namespace tidegate::gateway
