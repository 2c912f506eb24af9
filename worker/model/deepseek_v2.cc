#include "worker/model/deepseek_v2.h"

#include <string>

#include "worker/model/config_parts.h"

namespace tidegate::worker {
namespace {

constexpr std::string_view kV2RopeKinds[] = {"yarn"};
constexpr std::string_view kGrouped = "group_limited_greedy";
constexpr std::string_view kTopkMethods[] = {"greedy", kGrouped};

Status read_v2_routing(const ConfigReader& in, ModelSpec& spec) {
  TG_TRY(read_experts(in, spec));
  MoeSpec& moe = spec.moe;
  if (moe.experts == 0) return {};
  TG_TRY(in.only_text("scoring_func", "softmax"));
  TG_ASSIGN(const std::string method, in.choice("topk_method", kTopkMethods, "greedy"));
  if (method == kGrouped) TG_TRY(read_expert_groups(in, 1, spec));
  TG_ASSIGN(moe.renormalise, in.flag_or("norm_topk_prob", false));
  TG_ASSIGN(const double scaling, in.number_or("routed_scaling_factor", 1e-6, 1e6, 1));
  moe.routed_scaling = moe.renormalise ? 1 : scaling;
  moe.correction_bias = false;
  spec.formulas.router.score = RouterScore::kSoftmax;
  spec.formulas.router.group_score = GroupScore::kMax;
  return {};
}

}  // namespace

Result<ModelSpec> read_deepseek_v2(const ConfigReader& in) {
  ModelSpec spec;
  TG_TRY(read_stack(in, spec));
  TG_TRY(read_latent_attention(in, spec));
  TG_TRY(read_rope(in, kV2RopeKinds, spec));
  TG_TRY(read_v2_routing(in, spec));
  TG_TRY(read_quantization(in, spec));
  return spec;
}

}  // namespace tidegate::worker
