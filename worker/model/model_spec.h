#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "worker/model/formulas.h"

namespace tidegate::worker {

/// YaRN context extension, as config.json gives it.
struct YarnScaling {
  double factor = 1;
  double beta_fast = 32;
  double beta_slow = 1;
  double mscale = 1;
  double mscale_all_dim = 0;
  std::int32_t original_context = 0;
};

/// Llama 3.1's context extension, as config.json gives it.
struct Llama3Scaling {
  double factor = 1;
  double low_frequency_factor = 1;   ///< waves that turn less often within the original context: divided by factor
  double high_frequency_factor = 4;  ///< waves that turn more often: kept
  std::int32_t original_context = 0;
};

/// How a block attends. Another kind joins with a value here, its tensors in weight_plan.cc, its weights in the backend's
/// loader and an AttentionBlock; every switch over this enum is exhaustive, so the compiler names the places.
enum class AttentionKind : std::uint8_t {
  kLatent,   ///< MLA: one cached latent for all heads
  kGrouped,  ///< keys and values per kv head, shared by heads / kv_heads query heads (1 = plain multi-head)
};

/// experts == 0: every layer is dense.
struct MoeSpec {
  std::int32_t experts = 0;
  std::int32_t experts_per_token = 0;
  std::int32_t groups = 1;
  std::int32_t groups_kept = 1;
  std::int32_t shared_experts = 0;  ///< one fused MLP of width shared_experts * intermediate
  std::int32_t intermediate = 0;
  std::int32_t first_moe_layer = 0;
  std::int32_t layer_step = 1;
  double routed_scaling = 1;
  bool renormalise = false;
  bool correction_bias = true;  ///< the router has e_score_correction_bias
};

/// A decoder, fully described: what the weight plan and the backends read.
/// Every number has passed its limit (config_reader.h); products of two of them fit in int64.
struct ModelSpec {
  std::string architecture;
  std::int32_t layers = 0;
  std::int32_t hidden = 0;
  std::int32_t vocab = 0;
  std::int32_t dense_intermediate = 0;
  std::int32_t context_max = 0;
  AttentionKind attention = AttentionKind::kLatent;
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;     ///< kGrouped: divides heads
  bool qkv_bias = false;         ///< kGrouped: q, k and v have biases
  std::int32_t q_lora_rank = 0;  ///< kLatent; 0: q_proj instead of q_a, q_b
  std::int32_t kv_lora_rank = 0;
  std::int32_t nope_dim = 0;  ///< kGrouped: 0, and rope_dim = value_dim = the head's size
  std::int32_t rope_dim = 0;
  std::int32_t value_dim = 0;
  double rms_eps = 1e-6;
  double rope_theta = 10000;
  std::optional<YarnScaling> yarn;
  std::optional<Llama3Scaling> llama3;
  std::vector<float> rope_divisors;  ///< by pair; what GGUF stores in place of a scaling rule. Empty: none
  MoeSpec moe;
  std::int32_t mtp_layers = 0;  ///< draft layers the config names; the checkpoint may lack them
  bool tied_head = false;       ///< lm_head is the embedding
  bool fp8 = false;             ///< matrices may be e4m3 with 128 x 128 scales
  Formulas formulas;

  [[nodiscard]] bool is_moe(std::int32_t layer) const;
  [[nodiscard]] std::int32_t query_head_dim() const { return nope_dim + rope_dim; }
  /// Query heads that share one key head (kGrouped).
  [[nodiscard]] std::int32_t group_heads() const { return heads / kv_heads; }
  /// Floats cached per token and layer: the normed latent and the one shared roped key, or a value and a roped key per
  /// kv head.
  [[nodiscard]] std::int32_t cache_width() const;
  /// (nope + rope)^-0.5 * m^2, with m the yarn attention factor of mscale_all_dim.
  [[nodiscard]] double softmax_scale() const;
};

}  // namespace tidegate::worker
