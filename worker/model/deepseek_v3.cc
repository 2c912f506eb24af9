#include "worker/model/deepseek_v3.h"

#include <fmt/format.h>

namespace tidegate::worker {
namespace {

// Limits far above any released model, low enough that every product of sizes below fits in int64 and that a
// hostile config cannot ask for absurd memory before the weights are seen to be missing.
constexpr std::int32_t kLayersMax = 1024;
constexpr std::int32_t kHiddenMax = 65'536;
constexpr std::int32_t kVocabMax = 1 << 22;
constexpr std::int32_t kHeadsMax = 1024;
constexpr std::int32_t kHeadDimMax = 4096;
constexpr std::int32_t kRankMax = 16'384;
constexpr std::int32_t kIntermediateMax = 1 << 20;
constexpr std::int32_t kExpertsMax = 4096;
constexpr std::int32_t kContextMax = 1 << 24;
constexpr std::int32_t kFp8Block = 128;

Status read_attention(const ConfigReader& in, ModelSpec& spec) {
  TG_ASSIGN(spec.heads, in.integer("num_attention_heads", 1, kHeadsMax));
  TG_ASSIGN(const std::int32_t kv_heads, in.integer_or("num_key_value_heads", 1, kHeadsMax, spec.heads));
  if (kv_heads != spec.heads) return in.error("num_key_value_heads", "differs from num_attention_heads");
  TG_ASSIGN(spec.q_lora_rank, in.integer_or("q_lora_rank", 1, kRankMax, 0));
  TG_ASSIGN(spec.kv_lora_rank, in.integer("kv_lora_rank", 1, kRankMax));
  TG_ASSIGN(spec.nope_dim, in.integer("qk_nope_head_dim", 1, kHeadDimMax));
  TG_ASSIGN(spec.rope_dim, in.integer("qk_rope_head_dim", 2, kHeadDimMax));
  if (spec.rope_dim % 2 != 0) return in.error("qk_rope_head_dim", "is odd; rotary pairs need an even number");
  TG_ASSIGN(spec.value_dim, in.integer("v_head_dim", 1, kHeadDimMax));
  return in.only_flag("attention_bias", false);
}

Status read_rope(const ConfigReader& in, ModelSpec& spec) {
  TG_ASSIGN(spec.rope_theta, in.number("rope_theta", 1.5, 1e12));
  TG_ASSIGN(const auto scaling, in.child("rope_scaling"));
  if (!scaling) return {};
  const bool new_name = scaling->object().contains("rope_type");
  TG_TRY(scaling->only_text(new_name ? "rope_type" : "type", "yarn"));
  if (!new_name && !scaling->object().contains("type")) return scaling->error("type", "is missing");
  YarnScaling yarn;
  TG_ASSIGN(yarn.factor, scaling->number("factor", 1, 4096));
  TG_ASSIGN(yarn.beta_fast, scaling->number_or("beta_fast", 1e-3, 1e6, 32));
  TG_ASSIGN(yarn.beta_slow, scaling->number_or("beta_slow", 1e-3, 1e6, 1));
  TG_ASSIGN(yarn.mscale, scaling->number_or("mscale", 0, 100, 1));
  TG_ASSIGN(yarn.mscale_all_dim, scaling->number_or("mscale_all_dim", 0, 100, 0));
  TG_ASSIGN(yarn.original_context, scaling->integer("original_max_position_embeddings", 1, kContextMax));
  spec.yarn = yarn;
  return {};
}

Status read_moe(const ConfigReader& in, ModelSpec& spec) {
  MoeSpec& moe = spec.moe;
  TG_ASSIGN(moe.experts, in.integer_or("n_routed_experts", 1, kExpertsMax, 0));
  if (moe.experts == 0) return {};
  TG_TRY(in.only_text("scoring_func", "sigmoid"));
  TG_TRY(in.only_text("topk_method", "noaux_tc"));
  TG_ASSIGN(moe.groups, in.integer("n_group", 1, moe.experts));
  TG_ASSIGN(moe.groups_kept, in.integer("topk_group", 1, moe.groups));
  if (moe.experts % moe.groups != 0) return in.error("n_group", "does not divide n_routed_experts");
  const std::int32_t group_size = moe.experts / moe.groups;
  if (moe.groups > 1 && group_size < 2)
    return in.error("n_group", "leaves groups of one expert; a group is scored by two");
  TG_ASSIGN(moe.experts_per_token, in.integer("num_experts_per_tok", 1, group_size * moe.groups_kept));
  TG_ASSIGN(moe.shared_experts, in.integer_or("n_shared_experts", 0, 64, 0));
  TG_ASSIGN(moe.intermediate, in.integer("moe_intermediate_size", 1, kIntermediateMax));
  TG_ASSIGN(moe.first_moe_layer, in.integer("first_k_dense_replace", 0, spec.layers));
  TG_ASSIGN(moe.layer_step, in.integer_or("moe_layer_freq", 1, kLayersMax, 1));
  TG_ASSIGN(moe.routed_scaling, in.number("routed_scaling_factor", 1e-6, 1e6));
  TG_ASSIGN(moe.renormalise, in.flag_or("norm_topk_prob", true));
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

}  // namespace

Result<ModelSpec> read_deepseek_v3(const ConfigReader& in) {
  ModelSpec spec;
  TG_ASSIGN(spec.layers, in.integer("num_hidden_layers", 1, kLayersMax));
  TG_ASSIGN(spec.hidden, in.integer("hidden_size", 1, kHiddenMax));
  TG_ASSIGN(spec.vocab, in.integer("vocab_size", 1, kVocabMax));
  TG_ASSIGN(spec.dense_intermediate, in.integer("intermediate_size", 1, kIntermediateMax));
  TG_ASSIGN(spec.context_max, in.integer("max_position_embeddings", 1, kContextMax));
  TG_ASSIGN(spec.rms_eps, in.number("rms_norm_eps", 1e-12, 1e-2));
  TG_ASSIGN(spec.mtp_layers, in.integer_or("num_nextn_predict_layers", 0, 8, 0));
  TG_ASSIGN(spec.tied_head, in.flag_or("tie_word_embeddings", false));
  TG_TRY(in.only_text("hidden_act", "silu"));
  TG_TRY(read_attention(in, spec));
  TG_TRY(read_rope(in, spec));
  TG_TRY(read_moe(in, spec));
  TG_TRY(read_quantization(in, spec));
  return spec;
}

}  // namespace tidegate::worker
