#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "worker/format/checkpoint.h"
#include "worker/model/model_spec.h"

namespace tidegate::worker {

/// What a tensor is decides which dtypes it may have: a matrix may be quantised, a norm may not, and the
/// router's correction bias must be F32, because bf16 moves it enough to change the choice of experts.
enum class WeightKind : std::uint8_t { kMatrix, kTable, kNorm, kBias, kRouterBias };

struct PlannedWeight {
  std::string name;
  std::vector<std::int64_t> shape;
  WeightKind kind = WeightKind::kMatrix;
};

/// The exact set of tensors a checkpoint of this spec holds (names and [out, in] shapes as Hugging Face has
/// them).
struct WeightPlan {
  std::vector<PlannedWeight> weights;
  /// Draft layers present in the checkpoint: all that the config names, or none (re-exports often drop them).
  std::int32_t mtp_layers = 0;
  /// The draft layer has its own copies; otherwise it uses the main model's tensors.
  bool mtp_has_own_embedding = false;
  bool mtp_has_own_head = false;
  std::int64_t parameters = 0;    ///< elements of every planned tensor
  std::int64_t weight_bytes = 0;  ///< as stored, scales included
};

/// "model.layers.N." with N from the number of layers on: a tensor of a draft layer that the plan has.
bool is_of_the_draft(std::string_view name, const ModelSpec& spec, const WeightPlan& plan);

inline constexpr std::string_view kScaleSuffix = "_scale_inv";

/// Whether plan_weights() reads every value, or believes that somebody has read the same bytes before.
enum class ValueCheck : std::uint8_t { kRead, kSkip };

/// Builds the plan and holds the checkpoint against it, values included. Fails: invalid_argument/bad_weights,
/// with the tensor in Error::field, when one is missing, has another shape or dtype, is e4m3 without its
/// scale or in a model that is not FP8, has a scale that is NaN, infinite or negative, holds NaN or infinity;
/// and when the checkpoint holds a tensor that nothing would read (a silently unused tensor means the
/// architecture was misread).
Result<WeightPlan> plan_weights(const ModelSpec& spec, const Checkpoint& checkpoint,
                                ValueCheck values = ValueCheck::kRead);

}  // namespace tidegate::worker
