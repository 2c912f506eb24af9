#include "worker/model/deepseek_moe.h"

#include "worker/model/config_parts.h"

namespace tidegate::worker {
namespace {

constexpr std::string_view kMoeRopeKinds[] = {"default"};

Status read_moe_routing(const ConfigReader& in, ModelSpec& spec) {
  TG_TRY(read_experts(in, spec));
  MoeSpec& moe = spec.moe;
  if (moe.experts == 0) return {};
  TG_TRY(in.only_text("scoring_func", "softmax"));
  TG_TRY(in.only_text("topk_method", "greedy"));
  TG_ASSIGN(moe.renormalise, in.flag_or("norm_topk_prob", false));
  moe.correction_bias = false;
  spec.formulas.router.score = RouterScore::kSoftmax;
  return {};
}

}  // namespace

Result<ModelSpec> read_deepseek_moe(const ConfigReader& in) {
  ModelSpec spec;
  TG_TRY(read_stack(in, spec));
  TG_TRY(read_grouped_attention(in, spec));
  TG_TRY(in.only_flag("attention_bias", false));
  TG_TRY(read_rope(in, kMoeRopeKinds, spec));
  TG_TRY(read_moe_routing(in, spec));
  TG_TRY(read_quantization(in, spec));
  return spec;
}

}  // namespace tidegate::worker
