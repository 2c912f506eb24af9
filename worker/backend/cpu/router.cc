#include "worker/backend/cpu/router.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace tidegate::worker {

float round_to_bf16(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return std::bit_cast<float>(bits & 0xffff0000u);
}

void top_indices(std::span<const float> values, std::span<std::int32_t> out) {
  // Insertion into a short list: k is at most 8 in released models, and the order of ties falls out of it.
  std::size_t filled = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::size_t at = filled;
    while (at > 0 && values[i] > values[static_cast<std::size_t>(out[at - 1])]) --at;
    if (at == out.size()) continue;
    if (filled < out.size()) ++filled;
    for (std::size_t j = filled - 1; j > at; --j) out[j] = out[j - 1];
    out[at] = static_cast<std::int32_t>(i);
  }
}

Router::Router(const MoeSpec& spec, const RouterFormulas& formulas, std::span<const float> bias)
    : spec_(spec), formulas_(formulas), bias_(bias.begin(), bias.end()) {
  if (formulas_.bias_in_bf16) std::ranges::transform(bias_, bias_.begin(), round_to_bf16);
}

void Router::score(std::span<const float> logits, std::span<float> scores) const {
  std::ranges::copy(logits, scores.begin());
  if (formulas_.logits_in_bf16) std::ranges::transform(scores, scores.begin(), round_to_bf16);
  if (formulas_.score == RouterScore::kSigmoid) {
    for (float& s : scores) s = 1.0f / (1.0f + std::exp(-s));
    return;
  }
  const float maximum = std::ranges::max(scores);
  for (float& s : scores) s = std::exp(s - maximum);
  const float total = std::accumulate(scores.begin(), scores.end(), 0.0f);
  for (float& s : scores) s /= total;
}

float Router::group_score(std::span<const float> group) const {
  float best = -std::numeric_limits<float>::infinity();
  float second = best;
  for (const float value : group) {
    if (value > best) {
      second = std::exchange(best, value);
    } else if (value > second) {
      second = value;
    }
  }
  return formulas_.group_score == GroupScore::kMax ? best : best + second;
}

void Router::drop_groups(std::span<float> choice) const {
  if (spec_.groups <= 1) return;
  const auto groups = static_cast<std::size_t>(spec_.groups);
  const std::size_t size = choice.size() / groups;
  std::vector<float> scores(groups);
  for (std::size_t g = 0; g < groups; ++g) scores[g] = group_score(choice.subspan(g * size, size));
  std::vector<std::int32_t> kept(static_cast<std::size_t>(spec_.groups_kept));
  top_indices(scores, kept);
  // Not 0: a biased score can be negative, and then a dropped expert would win.
  const float dropped =
      formulas_.group_mask == GroupMask::kZero ? 0.0f : -std::numeric_limits<float>::infinity();
  for (std::size_t g = 0; g < groups; ++g) {
    if (std::ranges::find(kept, static_cast<std::int32_t>(g)) != kept.end()) continue;
    std::ranges::fill(choice.subspan(g * size, size), dropped);
  }
}

void Router::route(std::span<const float> logits, RoutedToken out) const {
  std::vector<float> scores(logits.size());
  score(logits, scores);
  std::vector<float> choice = scores;
  if (formulas_.bias != BiasUse::kNowhere) {
    for (std::size_t e = 0; e < choice.size(); ++e) choice[e] += bias_[e];
  }
  const std::vector<float> biased = choice;
  drop_groups(choice);
  top_indices(choice, out.experts);
  if (formulas_.softmax_over == SoftmaxOver::kKeptGroups) {
    float kept = 0;
    for (std::size_t e = 0; e < choice.size(); ++e) kept += std::isinf(choice[e]) ? 0 : scores[e];
    for (float& s : scores) s /= kept;
  }

  float total = 0;
  for (std::size_t i = 0; i < out.experts.size(); ++i) {
    const auto e = static_cast<std::size_t>(out.experts[i]);
    out.weights[i] = formulas_.bias == BiasUse::kChoiceAndWeight ? biased[e] : scores[e];
    total += out.weights[i];
  }
  auto factor = static_cast<float>(spec_.routed_scaling);
  if (spec_.renormalise) factor /= total + 1e-20f;
  for (float& w : out.weights) w *= factor;
}

}  // namespace tidegate::worker
