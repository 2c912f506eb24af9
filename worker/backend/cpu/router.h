#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/model/model_spec.h"

namespace tidegate::worker {

/// One token's experts, best first, and the weights of their outputs.
struct RoutedToken {
  std::span<std::int32_t> experts;  ///< experts_per_token
  std::span<float> weights;         ///< experts_per_token
};

/// Chooses experts from the gate's logits (float all the way: bf16 here changes choices).
/// V3 (noaux_tc): score = sigmoid(logit); choice = score + bias; a group is worth the sum of its two best
/// choices; only groups_kept groups stay, the rest is -inf; the experts_per_token best choices win, ties to
/// the lower index; weight = score (without bias), renormalised, times routed_scaling. Source: DeepSeek-V3
/// technical report, section 2.1.2, and the authors' reference code.
/// V2 and DeepSeekMoE: score = softmax of all logits; no bias; a group is worth its best; the rest as formulas say.
class Router {
 public:
  /// `bias` has one value per expert.
  Router(const MoeSpec& spec, const RouterFormulas& formulas, std::span<const float> bias);
  void route(std::span<const float> logits, RoutedToken out) const;

 private:
  void score(std::span<const float> logits, std::span<float> scores) const;
  void drop_groups(std::span<float> choice) const;
  float group_score(std::span<const float> group) const;
  MoeSpec spec_;
  RouterFormulas formulas_;
  std::vector<float> bias_;
};

/// Indices of the `count` largest values, best first; equal values: the lower index first.
void top_indices(std::span<const float> values, std::span<std::int32_t> out);

/// Round to nearest even bfloat16 and back.
float round_to_bf16(float value);

}  // namespace tidegate::worker
