#include "worker/convert/gguf_metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>


namespace tidegate::worker {
namespace {

std::unexpected<Error> no_gguf_form(std::string_view field, std::string_view what) {
  return fail(Code::kInvalidArgument, "bad_conversion",
              fmt::format("GGUF cannot say that {}; keep --format safetensors", what), std::string(field));
}

/// llama.cpp's own numbers; the type that most matrices have.
std::int64_t file_type(Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return 0;
    case Precision::kBf16:
      return 32;
    case Precision::kQ8_0:
      return 7;
    case Precision::kQ4_0:
      return 2;
    case Precision::kFp8:
      break;
  }
  return 0;
}

void put_file_metadata(Precision precision, GgufHead& head) {
  head.put_whole("general.file_type", file_type(precision));
  head.put_whole("general.quantization_version", 2);
}

/// Keys of one architecture.
class Keys {
 public:
  Keys(std::string architecture, GgufHead& head) : architecture_(std::move(architecture)), head_(head) {}
  void whole(std::string_view name, std::int64_t value) { head_.put_whole(key(name), value); }
  void number(std::string_view name, double value) { head_.put_number(key(name), value); }
  void flag(std::string_view name, bool value) { head_.put_flag(key(name), value); }
  void text(std::string_view name, std::string_view value) { head_.put_text(key(name), value); }

 private:
  std::string key(std::string_view name) const { return fmt::format("{}.{}", architecture_, name); }
  const std::string architecture_;
  GgufHead& head_;
};

std::string_view architecture_of(const ModelSpec& spec) {
  switch (spec.attention) {
    case AttentionKind::kLatent:
      return "deepseek2";
    case AttentionKind::kGrouped:
      break;
  }
  if (spec.moe.experts > 0) return "deepseek";
  return spec.qkv_bias ? "qwen2" : "llama";
}

void put_stack(const ModelSpec& spec, Keys& to) {
  to.whole("vocab_size", spec.vocab);
  to.whole("context_length", spec.context_max);
  to.whole("embedding_length", spec.hidden);
  to.whole("block_count", spec.layers);
  to.whole("feed_forward_length", spec.dense_intermediate);
  to.whole("attention.head_count", spec.heads);
  to.number("attention.layer_norm_rms_epsilon", spec.rms_eps);
  to.number("rope.freq_base", spec.rope_theta);
}

void put_grouped_attention(const ModelSpec& spec, Keys& to) {
  to.whole("attention.head_count_kv", spec.kv_heads);
  to.whole("attention.key_length", spec.query_head_dim());
  to.whole("attention.value_length", spec.value_dim);
  to.whole("rope.dimension_count", spec.rope_dim);
}

/// The newer form, in which kv_b is kept in halves: one key head, as wide as a cached row.
Status put_latent_attention(const ModelSpec& spec, Keys& to) {
  to.whole("attention.head_count_kv", 1);
  if (spec.q_lora_rank > 0) to.whole("attention.q_lora_rank", spec.q_lora_rank);
  to.whole("attention.kv_lora_rank", spec.kv_lora_rank);
  to.whole("attention.key_length", spec.kv_lora_rank + spec.rope_dim);
  to.whole("attention.value_length", spec.kv_lora_rank);
  to.whole("attention.key_length_mla", spec.query_head_dim());
  to.whole("attention.value_length_mla", spec.value_dim);
  to.whole("rope.dimension_count", spec.rope_dim);
  // ik_llama.cpp refuses a file without it; without a scaling type it says nothing.
  if (!spec.yarn) {
    to.number("rope.scaling.yarn_log_multiplier", 0);
    return {};
  }
  if (spec.yarn->mscale != spec.yarn->mscale_all_dim) {
    return no_gguf_form("rope_scaling.mscale", "mscale differs from mscale_all_dim");
  }
  to.text("rope.scaling.type", "yarn");
  to.number("rope.scaling.factor", spec.yarn->factor);
  to.whole("rope.scaling.original_context_length", spec.yarn->original_context);
  to.number("rope.scaling.yarn_beta_fast", spec.yarn->beta_fast);
  to.number("rope.scaling.yarn_beta_slow", spec.yarn->beta_slow);
  to.number("rope.scaling.yarn_log_multiplier", 0.1 * spec.yarn->mscale_all_dim);
  return {};
}

Status put_experts(const ModelSpec& spec, Keys& to) {
  const MoeSpec& moe = spec.moe;
  if (moe.layer_step != 1) return no_gguf_form("moe_layer_freq", "only some layers have experts");
  to.whole("leading_dense_block_count", moe.first_moe_layer);
  to.whole("expert_count", moe.experts);
  to.whole("expert_used_count", moe.experts_per_token);
  to.whole("expert_shared_count", moe.shared_experts);
  to.whole("expert_feed_forward_length", moe.intermediate);
  if (spec.attention == AttentionKind::kGrouped) {
    if (moe.renormalise) return no_gguf_form("norm_topk_prob", "a DeepSeekMoE model renormalises its experts' weights");
    to.number("expert_weights_scale", 1);
    return {};
  }
  to.whole("expert_group_count", moe.groups);
  to.whole("expert_group_used_count", moe.groups_kept);
  to.whole("expert_gating_func", spec.formulas.router.score == RouterScore::kSigmoid ? 2 : 1);
  to.number("expert_weights_scale", moe.routed_scaling);
  to.flag("expert_weights_norm", moe.renormalise);
  return {};
}

}  // namespace

Status put_model_metadata(const ModelSpec& spec, std::string_view name, Precision precision, GgufHead& head) {
  const std::string architecture(architecture_of(spec));
  head.put_text("general.architecture", architecture);
  head.put_text("general.name", name);
  put_file_metadata(precision, head);
  Keys to(architecture, head);
  put_stack(spec, to);
  if (spec.attention == AttentionKind::kGrouped) {
    put_grouped_attention(spec, to);
    return spec.moe.experts > 0 ? put_experts(spec, to) : Status();
  }
  if (spec.moe.experts == 0) return no_gguf_form("n_routed_experts", "a model with latent attention has no experts");
  TG_TRY(put_latent_attention(spec, to));
  return put_experts(spec, to);
}

void put_metadata_again(const GgufFile& source, Precision precision, GgufHead& head) {
  constexpr std::string_view kOfTheFile[] = {"general.file_type", "general.quantization_version", "general.alignment"};
  // First, for people who read a dump.
  const auto architecture = source.values().find("general.architecture");
  if (architecture != source.values().end()) head.put_value(architecture->first, architecture->second);
  put_file_metadata(precision, head);
  for (const auto& [key, value] : source.values()) {
    const bool is_of_the_file = std::ranges::find(kOfTheFile, std::string_view(key)) != std::end(kOfTheFile);
    if (is_of_the_file || key == "general.architecture" || key.starts_with("split.")) continue;
    head.put_value(key, value);
  }
}

}  // namespace tidegate::worker
