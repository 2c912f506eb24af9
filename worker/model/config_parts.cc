#include "worker/model/config_parts.h"

#include <fmt/format.h>

#include <string>

namespace tidegate::worker {
namespace {

constexpr std::int32_t kFp8Block = 128;

Status read_yarn(const ConfigReader& scaling, ModelSpec& spec) {
  YarnScaling yarn;
  TG_ASSIGN(yarn.factor, scaling.number("factor", 1, 4096));
  TG_ASSIGN(yarn.beta_fast, scaling.number_or("beta_fast", 1e-3, 1e6, 32));
  TG_ASSIGN(yarn.beta_slow, scaling.number_or("beta_slow", 1e-3, 1e6, 1));
  TG_ASSIGN(yarn.mscale, scaling.number_or("mscale", 0, 100, 1));
  TG_ASSIGN(yarn.mscale_all_dim, scaling.number_or("mscale_all_dim", 0, 100, 0));
  TG_ASSIGN(yarn.original_context, scaling.integer("original_max_position_embeddings", 1, kContextMax));
  spec.yarn = yarn;
  return {};
}

Status read_llama3(const ConfigReader& scaling, ModelSpec& spec) {
  Llama3Scaling llama3;
  TG_ASSIGN(llama3.factor, scaling.number("factor", 1, 4096));
  TG_ASSIGN(llama3.low_frequency_factor, scaling.number("low_freq_factor", 1e-6, 1e6));
  TG_ASSIGN(llama3.high_frequency_factor, scaling.number("high_freq_factor", 1e-6, 1e6));
  TG_ASSIGN(llama3.original_context, scaling.integer("original_max_position_embeddings", 1, kContextMax));
  if (llama3.high_frequency_factor <= llama3.low_frequency_factor) {
    return scaling.error("high_freq_factor", "must be above low_freq_factor");
  }
  spec.llama3 = llama3;
  return {};
}

}  // namespace

Status read_stack(const ConfigReader& in, ModelSpec& spec) {
  TG_ASSIGN(spec.layers, in.integer("num_hidden_layers", 1, kLayersMax));
  TG_ASSIGN(spec.hidden, in.integer("hidden_size", 1, kHiddenMax));
  TG_ASSIGN(spec.vocab, in.integer("vocab_size", 1, kVocabMax));
  TG_ASSIGN(spec.dense_intermediate, in.integer("intermediate_size", 1, kIntermediateMax));
  TG_ASSIGN(spec.context_max, in.integer("max_position_embeddings", 1, kContextMax));
  TG_ASSIGN(spec.rms_eps, in.number("rms_norm_eps", 1e-12, 1e-2));
  TG_ASSIGN(spec.tied_head, in.flag_or("tie_word_embeddings", false));
  return in.only_text("hidden_act", "silu");
}

Status read_latent_attention(const ConfigReader& in, ModelSpec& spec) {
  spec.attention = AttentionKind::kLatent;
  TG_ASSIGN(spec.heads, in.integer("num_attention_heads", 1, kHeadsMax));
  TG_ASSIGN(spec.kv_heads, in.integer_or("num_key_value_heads", 1, kHeadsMax, spec.heads));
  if (spec.kv_heads != spec.heads) return in.error("num_key_value_heads", "differs from num_attention_heads");
  TG_ASSIGN(spec.q_lora_rank, in.integer_or("q_lora_rank", 1, kRankMax, 0));
  TG_ASSIGN(spec.kv_lora_rank, in.integer("kv_lora_rank", 1, kRankMax));
  TG_ASSIGN(spec.nope_dim, in.integer("qk_nope_head_dim", 1, kHeadDimMax));
  TG_ASSIGN(spec.rope_dim, in.integer("qk_rope_head_dim", 2, kHeadDimMax));
  if (spec.rope_dim % 2 != 0) return in.error("qk_rope_head_dim", "is odd; rotary pairs need an even number");
  TG_ASSIGN(spec.value_dim, in.integer("v_head_dim", 1, kHeadDimMax));
  spec.formulas.rope.layout = RopeLayout::kInterleaved;
  return in.only_flag("attention_bias", false);
}

Status read_grouped_attention(const ConfigReader& in, ModelSpec& spec) {
  spec.attention = AttentionKind::kGrouped;
  TG_ASSIGN(spec.heads, in.integer("num_attention_heads", 1, kHeadsMax));
  TG_ASSIGN(spec.kv_heads, in.integer_or("num_key_value_heads", 1, kHeadsMax, spec.heads));
  if (spec.heads % spec.kv_heads != 0) {
    return in.error("num_key_value_heads", fmt::format("is {}, which does not divide the {} of num_attention_heads",
                                                       spec.kv_heads, spec.heads));
  }
  TG_ASSIGN(std::int32_t size, in.integer_or("head_dim", 2, kHeadDimMax, 0));
  if (size == 0) {
    size = spec.hidden / spec.heads;
    if (size * spec.heads != spec.hidden || size < 2 || size > kHeadDimMax) {
      return in.error("num_attention_heads",
                      fmt::format("is {}, which does not divide hidden_size {} into heads of 2 to {}; set head_dim",
                                  spec.heads, spec.hidden, kHeadDimMax));
    }
  }
  if (size % 2 != 0) return in.error("head_dim", "is odd; rotary pairs need an even number");
  spec.nope_dim = 0;
  spec.rope_dim = spec.value_dim = size;
  spec.formulas.rope.layout = RopeLayout::kHalfSplit;
  return {};
}

Status read_rope(const ConfigReader& in, std::span<const std::string_view> kinds, ModelSpec& spec) {
  TG_ASSIGN(spec.rope_theta, in.number("rope_theta", 1.5, 1e12));
  TG_ASSIGN(const auto scaling, in.child("rope_scaling"));
  if (!scaling) return {};
  const char* key = scaling->object().contains("rope_type") ? "rope_type" : "type";
  TG_ASSIGN(const std::string kind, scaling->choice(key, kinds, ""));
  if (kind == "yarn") return read_yarn(*scaling, spec);
  if (kind == "llama3") return read_llama3(*scaling, spec);
  return {};  // "default" is no scaling
}

Status read_experts(const ConfigReader& in, ModelSpec& spec) {
  MoeSpec& moe = spec.moe;
  TG_ASSIGN(moe.experts, in.integer_or("n_routed_experts", 1, kExpertsMax, 0));
  if (moe.experts == 0) return {};
  TG_ASSIGN(moe.experts_per_token, in.integer("num_experts_per_tok", 1, moe.experts));
  TG_ASSIGN(moe.shared_experts, in.integer_or("n_shared_experts", 0, 64, 0));
  TG_ASSIGN(moe.intermediate, in.integer("moe_intermediate_size", 1, kIntermediateMax));
  TG_ASSIGN(moe.first_moe_layer, in.integer("first_k_dense_replace", 0, spec.layers));
  TG_ASSIGN(moe.layer_step, in.integer_or("moe_layer_freq", 1, kLayersMax, 1));
  return {};
}

Status read_expert_groups(const ConfigReader& in, std::int32_t scored_by, ModelSpec& spec) {
  MoeSpec& moe = spec.moe;
  TG_ASSIGN(moe.groups, in.integer("n_group", 1, moe.experts));
  TG_ASSIGN(moe.groups_kept, in.integer("topk_group", 1, moe.groups));
  if (moe.experts % moe.groups != 0) return in.error("n_group", "does not divide n_routed_experts");
  if (moe.groups > 1 && moe.experts / moe.groups < scored_by) {
    return in.error("n_group", fmt::format("leaves groups of fewer than the {} experts that score one", scored_by));
  }
  const std::int32_t kept = moe.experts / moe.groups * moe.groups_kept;
  if (moe.experts_per_token > kept) {
    return in.error("num_experts_per_tok",
                    fmt::format("is {}, but the kept groups hold only {} experts", moe.experts_per_token, kept));
  }
  return {};
}

Status read_quantization(const ConfigReader& in, ModelSpec& spec) {
  TG_ASSIGN(const auto quant, in.child("quantization_config"));
  if (!quant) return {};
  TG_TRY(quant->only_text("quant_method", "fp8"));
  TG_TRY(quant->only_text("fmt", "e4m3"));
  const json::value* block = quant->object().if_contains("weight_block_size");
  const bool is_known = block != nullptr && block->is_array() && block->get_array().size() == 2 &&
                        block->get_array()[0] == kFp8Block && block->get_array()[1] == kFp8Block;
  if (!is_known) return quant->error("weight_block_size", "must be [128, 128]");
  spec.fp8 = true;
  return {};
}

}  // namespace tidegate::worker
