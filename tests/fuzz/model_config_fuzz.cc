// config.json of a model.
//
// Input: its text.
#include <cmath>
#include <vector>

#include "tests/fuzz/file_claims.h"
#include "worker/format/checkpoint.h"
#include "worker/model/architecture.h"
#include "worker/model/config_parts.h"
#include "worker/model/weight_plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate;
  using namespace tidegate::worker;
  fuzz::Input input(data, size);
  const std::string_view text = input.rest();
  const fuzz::LargestAllocation largest;
  const auto spec = parse_model_spec(text);
  if (!spec) {
    TG_CLAIM("a refusal is of a known kind", spec.error().code == Code::kInvalidArgument &&
                                                 (spec.error().reason == "bad_config" ||
                                                  spec.error().reason == "unknown_architecture"));
    fuzz::claim_clear(spec.error());
    return 0;
  }
  const auto is_in = [](std::int32_t value, std::int32_t low, std::int32_t high) { return value >= low && value <= high; };
  TG_CLAIM("the stack is within its limits",
           is_in(spec->layers, 1, kLayersMax) && is_in(spec->hidden, 1, kHiddenMax) && is_in(spec->vocab, 1, kVocabMax) &&
               is_in(spec->dense_intermediate, 1, kIntermediateMax) && is_in(spec->context_max, 1, kContextMax));
  TG_CLAIM("heads are within theirs",
           is_in(spec->heads, 1, kHeadsMax) && is_in(spec->kv_heads, 1, spec->heads) && spec->heads % spec->kv_heads == 0 &&
               is_in(spec->rope_dim, 2, kHeadDimMax) && spec->rope_dim % 2 == 0 && is_in(spec->value_dim, 1, kHeadDimMax) &&
               is_in(spec->nope_dim, 0, kHeadDimMax) && is_in(spec->q_lora_rank, 0, kRankMax) &&
               is_in(spec->kv_lora_rank, 0, kRankMax));
  TG_CLAIM("experts are chosen among those that are there",
           is_in(spec->moe.experts, 0, kExpertsMax) &&
               (spec->moe.experts == 0 ||
                (is_in(spec->moe.experts_per_token, 1, spec->moe.experts) && is_in(spec->moe.groups, 1, spec->moe.experts) &&
                 is_in(spec->moe.groups_kept, 1, spec->moe.groups) && spec->moe.layer_step >= 1)));
  TG_CLAIM("numbers are finite", std::isfinite(spec->rms_eps) && std::isfinite(spec->rope_theta) &&
                                     std::isfinite(spec->softmax_scale()) && spec->softmax_scale() > 0);
  TG_CLAIM("a token's cache has a size", spec->cache_width() > 0);
  // Without a single tensor the plan is refused before it has grown to what the config would have it be.
  const auto plan = plan_weights(*spec, Checkpoint(std::vector<GgufFile>()));
  TG_CLAIM("a model without weights is refused by the name of one", !plan && !plan.error().field.empty());
  fuzz::claim_clear(plan.error());
  TG_CLAIM("a config asks for no memory", largest.is_within(text.size(), 64));
  return 0;
}
