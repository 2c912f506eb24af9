#include "worker/model/qwen2.h"

#include "worker/model/config_parts.h"

namespace tidegate::worker {
namespace {

constexpr std::string_view kQwenRopeKinds[] = {"default"};

}  // namespace

Result<ModelSpec> read_qwen2(const ConfigReader& in) {
  ModelSpec spec;
  TG_TRY(read_stack(in, spec));
  TG_TRY(read_grouped_attention(in, spec));
  spec.qkv_bias = true;
  TG_TRY(in.only_flag("use_sliding_window", false));
  TG_TRY(read_rope(in, kQwenRopeKinds, spec));
  TG_TRY(read_quantization(in, spec));
  return spec;
}

}  // namespace tidegate::worker
