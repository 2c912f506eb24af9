#include "worker/engine/sampler.h"

#include <algorithm>
#include <cmath>

#include "base/core/check.h"
#include "worker/engine/philox.h"

namespace tidegate::worker {
namespace {

// exp(-40) times a vocabulary of 2^20 is below 2^-37 of the mass: dropping those tokens cannot be observed,
// and spares most of the exponentials.
constexpr double kNegligible = -40;
constexpr std::size_t kSortChunk = 64;

}  // namespace

Result<TokenId> Sampler::sample(std::span<const float> logits, const SamplerParams& params,
                                std::int32_t position, const grammar::TokenMask* allowed) {
  TG_CHECK(vocab_limit_ > 0 && logits.size() >= static_cast<std::size_t>(vocab_limit_));
  TokenId best = -1;
  bool finite = true;
  for (TokenId id = 0; id < vocab_limit_; ++id) {
    const float logit = logits[static_cast<std::size_t>(id)];
    finite = finite && std::isfinite(logit);
    if (allowed != nullptr && !allowed->test(id)) continue;
    if (best < 0 || logit > logits[static_cast<std::size_t>(best)]) best = id;
  }
  if (!finite)
    return fail(Code::kInternal, "numeric_fault", "the model produced a logit that is not a number");
  if (best < 0) {
    return fail(Code::kInternal, "constraint_dead_end", "no token can continue the answer as its format demands");
  }
  if (params.temperature == 0) return best;

  const double top = logits[static_cast<std::size_t>(best)];
  candidates_.clear();
  for (TokenId id = 0; id < vocab_limit_; ++id) {
    if (allowed != nullptr && !allowed->test(id)) continue;
    const float logit = logits[static_cast<std::size_t>(id)];
    const double scaled = (logit - top) / params.temperature;
    if (scaled > kNegligible) candidates_.push_back({std::exp(scaled), logit, id});
  }
  const double total = keep_top(params);
  double left = philox_unit(params.seed, static_cast<std::uint64_t>(position)) * total;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.weight;
    if (left < 0) return candidate.id;
  }
  return candidates_.back().id;  // rounding of the sum can leave a sliver above the last
}

// Cuts candidates_ down to what top_k and top_p keep; returns their total weight.
double Sampler::keep_top(const SamplerParams& params) {
  const auto sum = [this] {
    double total = 0;
    for (const Candidate& candidate : candidates_) total += candidate.weight;
    return total;
  };
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const auto at = [this](std::size_t index) {
    return candidates_.begin() + static_cast<std::ptrdiff_t>(index);
  };

  if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < candidates_.size()) {
    std::nth_element(candidates_.begin(), at(static_cast<std::size_t>(params.top_k) - 1), candidates_.end(),
                     before);
    candidates_.resize(static_cast<std::size_t>(params.top_k));
    std::sort(candidates_.begin(), candidates_.end(), before);
  }
  const double total = sum();
  if (params.top_p >= 1) return total;

  // The kept set is nearly always a few tokens, so sort only as far as the mass needs.
  const double wanted = params.top_p * total;
  double kept = 0;
  std::size_t sorted = 0;
  for (std::size_t index = 0; index < candidates_.size(); ++index) {
    if (index == sorted) {
      const std::size_t end = std::min(candidates_.size(), sorted + std::max(kSortChunk, sorted));
      std::partial_sort(at(sorted), at(end), candidates_.end(), before);
      sorted = end;
    }
    kept += candidates_[index].weight;
    if (kept >= wanted) {
      candidates_.resize(index + 1);
      break;
    }
  }
  return kept;
}

}  // namespace tidegate::worker
