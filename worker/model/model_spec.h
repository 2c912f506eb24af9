#pragma once

#include <cstdint>
#include <optional>
#include <string>

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
};

/// A decoder with multi-head latent attention, fully described: what the weight plan and the backends read.
/// Every number has passed its limit (config_reader.h); products of two of them fit in int64.
struct ModelSpec {
  std::string architecture;
  std::int32_t layers = 0;
  std::int32_t hidden = 0;
  std::int32_t vocab = 0;
  std::int32_t dense_intermediate = 0;
  std::int32_t context_max = 0;
  std::int32_t heads = 0;
  std::int32_t q_lora_rank = 0;  ///< 0: q_proj instead of q_a, q_b
  std::int32_t kv_lora_rank = 0;
  std::int32_t nope_dim = 0;
  std::int32_t rope_dim = 0;
  std::int32_t value_dim = 0;
  double rms_eps = 1e-6;
  double rope_theta = 10000;
  std::optional<YarnScaling> yarn;
  MoeSpec moe;
  std::int32_t mtp_layers = 0;  ///< draft layers the config names; the checkpoint may lack them
  bool tied_head = false;       ///< lm_head is the embedding
  bool fp8 = false;             ///< matrices may be e4m3 with 128 x 128 scales
  Formulas formulas;

  [[nodiscard]] bool is_moe(std::int32_t layer) const;
  [[nodiscard]] std::int32_t query_head_dim() const { return nope_dim + rope_dim; }
  /// Floats cached per token and layer: the normed latent and the one shared roped key.
  [[nodiscard]] std::int32_t cache_width() const { return kv_lora_rank + rope_dim; }
  /// (nope + rope)^-0.5 * m^2, with m the yarn attention factor of mscale_all_dim.
  [[nodiscard]] double softmax_scale() const;
};

}  // namespace tidegate::worker
