#pragma once

#include <cstdint>
#include <string>

namespace tidegate::gateway {

/// Running totals of a request, as the engine counts them. cached is part of prompt, reasoning part of completion.
struct TokenUsage {
  std::int64_t prompt = 0;
  std::int64_t cached = 0;
  std::int64_t completion = 0;
  std::int64_t reasoning = 0;
  std::int64_t drafted = 0;    ///< guessed and checked; this and the next two are told, never billed
  std::int64_t accepted = 0;   ///< of them: were right, and are among completion
  std::int64_t device_us = 0;  ///< compute

  std::int64_t total() const { return prompt + completion; }
  /// Nothing negative, and no part larger than its whole: anything else is a worker's bug and must not become a bill.
  bool is_sound() const { return 0 <= cached && cached <= prompt && 0 <= reasoning && reasoning <= completion; }
  bool operator==(const TokenUsage&) const = default;
};

enum class Outcome : std::uint8_t { kCompleted, kCancelled, kFailed };

/// How a request ended, for the journal.
struct FinalReport {
  Outcome outcome = Outcome::kCompleted;
  std::string finish_reason;  ///< stop | length | tool_calls | content_filter | cancelled | error
  TokenUsage usage;           ///< as delivered to the client
  std::string variant;
  std::string worker_id;
  std::string weights_digest;
};

}  // namespace tidegate::gateway
