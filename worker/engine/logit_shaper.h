#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "worker/backend/backend.h"

namespace tidegate::worker {

/// How a request bends the model's logits before a token is drawn.
struct LogitShape {
  double frequency_penalty = 0;   ///< -2..2, taken off for each time the token was sampled
  double presence_penalty = 0;    ///< -2..2, taken off once if it was sampled
  double repetition_penalty = 1;  ///< above 0: divides a positive logit, multiplies a negative one, of prompt and answer
  std::vector<std::pair<TokenId, float>> bias;  ///< added; ids are valid and different

  bool needs_history() const { return frequency_penalty != 0 || presence_penalty != 0 || repetition_penalty != 1; }
  bool is_neutral() const { return !needs_history() && bias.empty(); }
};

/// What a sequence was given and has said, as far as its shape asks.
class TokenHistory {
 public:
  TokenHistory() = default;
  TokenHistory(const LogitShape& shape, std::span<const TokenId> prompt);

  void add(TokenId id) {
    if (is_kept_) ++sampled_[id];
  }
  /// By id, how often it was sampled: 0 for what stands in the prompt only.
  const std::unordered_map<TokenId, std::int32_t>& sampled() const { return sampled_; }

 private:
  bool is_kept_ = false;
  std::unordered_map<TokenId, std::int32_t> sampled_;
};

/// Repetition first, then frequency and presence, then bias. Keeps scratch memory; one thread.
class LogitShaper {
 public:
  /// `raw` itself if the shape is neutral; else a copy that lives until the next call. The result is a function of raw,
  /// shape and history only.
  std::span<const float> apply(std::span<const float> raw, const LogitShape& shape, const TokenHistory& history);

 private:
  std::vector<float> shaped_;
};

}  // namespace tidegate::worker
