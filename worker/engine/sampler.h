#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/core/result.h"
#include "worker/backend/backend.h"
#include "worker/engine/grammar/token_mask.h"

namespace tidegate::worker {

/// Resolved: nothing is left to default.
struct SamplerParams {
  double temperature = 1;  ///< 0 = greedy; the rest is then unused
  double top_p = 1;        ///< (0, 1]
  std::int32_t top_k = 0;  ///< 0 = off
  std::uint64_t seed = 0;
};

/// Chooses the next token from one row of logits: temperature, then top_k, then top_p over what is left, then
/// one draw keyed by (seed, position). Equal logits rank by lower id. Keeps scratch memory; one thread.
class Sampler {
 public:
  /// Ids from `vocab_limit` on (padding rows of the output head) are never chosen, whatever their logits.
  explicit Sampler(TokenId vocab_limit) : vocab_limit_(vocab_limit) {}

  /// `position` is the index the token will have in its sequence. Tokens outside `allowed` (of vocab_limit; null allows
  /// all) are as if the vocabulary did not have them. Fails: internal/numeric_fault if a logit below vocab_limit is NaN
  /// or infinite; internal/constraint_dead_end if nothing is allowed.
  Result<TokenId> sample(std::span<const float> logits, const SamplerParams& params, std::int32_t position,
                         const grammar::TokenMask* allowed = nullptr);

 private:
  struct Candidate {
    double weight;  ///< exp((logit - max) / temperature), 1 at the top
    float logit;
    TokenId id;
  };
  double keep_top(const SamplerParams& params);

  TokenId vocab_limit_;
  std::vector<Candidate> candidates_;
};

}  // namespace tidegate::worker
