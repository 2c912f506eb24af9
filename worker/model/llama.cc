#include "worker/model/llama.h"

#include "worker/model/config_parts.h"

namespace tidegate::worker {
namespace {

constexpr std::string_view kLlamaRopeKinds[] = {"llama3", "default"};

}  // namespace

Result<ModelSpec> read_llama(const ConfigReader& in) {
  ModelSpec spec;
  TG_TRY(read_stack(in, spec));
  TG_TRY(read_grouped_attention(in, spec));
  TG_TRY(in.only_flag("attention_bias", false));
  TG_TRY(in.only_flag("mlp_bias", false));
  TG_TRY(read_rope(in, kLlamaRopeKinds, spec));
  TG_TRY(read_quantization(in, spec));
  return spec;
}

}  // namespace tidegate::worker
