#include "worker/model/deepseek_v3.h"

#include "worker/model/config_parts.h"

namespace tidegate::worker {
namespace {

constexpr std::string_view kV3RopeKinds[] = {"yarn"};

Status read_v3_routing(const ConfigReader& in, ModelSpec& spec) {
  TG_TRY(read_experts(in, spec));
  MoeSpec& moe = spec.moe;
  if (moe.experts == 0) return {};
  TG_TRY(in.only_text("scoring_func", "sigmoid"));
  TG_TRY(in.only_text("topk_method", "noaux_tc"));
  TG_TRY(read_expert_groups(in, 2, spec));
  TG_ASSIGN(moe.routed_scaling, in.number("routed_scaling_factor", 1e-6, 1e6));
  TG_ASSIGN(moe.renormalise, in.flag_or("norm_topk_prob", true));
  return {};
}

}  // namespace

Result<ModelSpec> read_deepseek_v3(const ConfigReader& in) {
  ModelSpec spec;
  TG_TRY(read_stack(in, spec));
  TG_ASSIGN(spec.mtp_layers, in.integer_or("num_nextn_predict_layers", 0, 8, 0));
  TG_TRY(read_latent_attention(in, spec));
  TG_TRY(read_rope(in, kV3RopeKinds, spec));
  TG_TRY(read_v3_routing(in, spec));
  TG_TRY(read_quantization(in, spec));
  return spec;
}

}  // namespace tidegate::worker
