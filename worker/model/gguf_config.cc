#include "worker/model/gguf_config.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

#include "base/core/encoding.h"

namespace tidegate::worker {
namespace {

/// Reads keys of one architecture ("llama.block_count") into members of config.json.
class Translation {
 public:
  Translation(const GgufFile& file, std::string architecture) : file_(file), architecture_(std::move(architecture)) {}

  [[nodiscard]] std::string key(std::string_view name) const { return fmt::format("{}.{}", architecture_, name); }

  [[nodiscard]] std::unexpected<Error> error(std::string_view name, std::string_view what) const {
    return fail(Code::kInvalidArgument, "bad_gguf", fmt::format("{}: '{}' {}", file_.name(), key(name), what), key(name));
  }

  Result<std::optional<std::int64_t>> find_integer(std::string_view name) const { return file_.find_integer(key(name)); }
  Result<std::optional<double>> find_number(std::string_view name) const { return file_.find_number(key(name)); }

  Result<std::int64_t> integer(std::string_view name) const {
    TG_ASSIGN(const auto value, find_integer(name));
    if (!value) return error(name, "is missing");
    return *value;
  }

  Status copy_integer(std::string_view name, std::string_view member) {
    TG_ASSIGN(const std::int64_t value, integer(name));
    out_[member] = value;
    return {};
  }

  Status copy_number(std::string_view name, std::string_view member, double fallback) {
    TG_ASSIGN(const auto value, find_number(name));
    out_[member] = value.value_or(fallback);
    return {};
  }

  /// "none" when absent.
  Result<std::string> scaling() const {
    TG_ASSIGN(const auto value, file_.find_text(key("rope.scaling.type")));
    return std::string(value.value_or("none"));
  }

  const GgufFile& file() const { return file_; }
  json::object& out() { return out_; }

 private:
  const GgufFile& file_;
  const std::string architecture_;
  json::object out_;
};

Status copy_stack(Translation& in, std::string_view hugging_face_class) {
  json::array classes;
  classes.emplace_back(json::string(hugging_face_class));
  in.out()["architectures"] = std::move(classes);
  const TensorView* embedding = nullptr;
  const auto found = in.file().tensors().find("token_embd.weight");
  if (found != in.file().tensors().end()) embedding = &found->second;
  if (embedding == nullptr || embedding->shape.size() != 2) {
    return fail(Code::kInvalidArgument, "bad_gguf",
                fmt::format("{}: tensor 'token_embd.weight' is missing or no matrix", in.file().name()),
                "token_embd.weight");
  }
  in.out()["vocab_size"] = embedding->shape[0];
  in.out()["tie_word_embeddings"] = !in.file().tensors().contains("output.weight");
  TG_TRY(in.copy_integer("block_count", "num_hidden_layers"));
  TG_TRY(in.copy_integer("embedding_length", "hidden_size"));
  TG_TRY(in.copy_integer("feed_forward_length", "intermediate_size"));
  TG_TRY(in.copy_integer("context_length", "max_position_embeddings"));
  TG_TRY(in.copy_integer("attention.head_count", "num_attention_heads"));
  TG_TRY(in.copy_number("attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-6));
  TG_TRY(in.copy_number("rope.freq_base", "rope_theta", 10000));
  TG_ASSIGN(const auto drafts, in.find_integer("nextn_predict_layers"));
  if (drafts.value_or(0) != 0) return in.error("nextn_predict_layers", "is not 0: draft layers are not read from GGUF");
  return {};
}

Status copy_grouped_attention(Translation& in) {
  TG_ASSIGN(const std::int64_t heads, in.integer("attention.head_count"));
  TG_ASSIGN(const auto kv_heads, in.find_integer("attention.head_count_kv"));
  in.out()["num_key_value_heads"] = kv_heads.value_or(heads);
  TG_ASSIGN(const auto key_length, in.find_integer("attention.key_length"));
  TG_ASSIGN(const auto value_length, in.find_integer("attention.value_length"));
  TG_ASSIGN(const auto rope, in.find_integer("rope.dimension_count"));
  const auto size = key_length ? key_length : rope;
  if (size) in.out()["head_dim"] = *size;
  if (key_length && value_length && *key_length != *value_length) {
    return in.error("attention.value_length", "differs from attention.key_length");
  }
  if (key_length && rope && *key_length != *rope) {
    return in.error("rope.dimension_count", "differs from attention.key_length: partial rotation is not supported");
  }
  TG_ASSIGN(const std::string scaling, in.scaling());
  if (scaling != "none") {
    return in.error("rope.scaling.type", fmt::format("is '{}'; only 'none' is supported", utf8_prefix(scaling, 64)));
  }
  return {};
}

Status copy_experts(Translation& in) {
  TG_TRY(in.copy_integer("expert_count", "n_routed_experts"));
  TG_TRY(in.copy_integer("expert_used_count", "num_experts_per_tok"));
  TG_TRY(in.copy_integer("expert_feed_forward_length", "moe_intermediate_size"));
  TG_ASSIGN(const auto shared, in.find_integer("expert_shared_count"));
  in.out()["n_shared_experts"] = shared.value_or(0);
  TG_ASSIGN(const auto dense, in.find_integer("leading_dense_block_count"));
  in.out()["first_k_dense_replace"] = dense.value_or(0);
  return {};
}

Status copy_latent_attention(Translation& in) {
  TG_ASSIGN(const std::int64_t heads, in.integer("attention.head_count"));
  in.out()["num_key_value_heads"] = heads;  // the file says 1 where it keeps kv_b split for the absorbed form
  TG_ASSIGN(const auto rank, in.find_integer("attention.q_lora_rank"));
  if (rank && *rank != 0) in.out()["q_lora_rank"] = *rank;
  TG_TRY(in.copy_integer("attention.kv_lora_rank", "kv_lora_rank"));
  // key_length is the cached row (latent and rope) in newer files, which give the head's own sizes apart.
  TG_ASSIGN(const auto own_key, in.find_integer("attention.key_length_mla"));
  TG_ASSIGN(const auto own_value, in.find_integer("attention.value_length_mla"));
  if (own_key.has_value() != own_value.has_value()) {
    return in.error("attention.key_length_mla", "and attention.value_length_mla go together");
  }
  TG_ASSIGN(const std::int64_t key, own_key ? Result<std::int64_t>(*own_key) : in.integer("attention.key_length"));
  TG_ASSIGN(const std::int64_t value,
            own_value ? Result<std::int64_t>(*own_value) : in.integer("attention.value_length"));
  TG_ASSIGN(const std::int64_t rope, in.integer("rope.dimension_count"));
  if (rope < 2 || key <= rope) return in.error("rope.dimension_count", "leaves no part of the key without rotation");
  in.out()["qk_nope_head_dim"] = key - rope;
  in.out()["qk_rope_head_dim"] = rope;
  in.out()["v_head_dim"] = value;
  return {};
}

Status copy_yarn(Translation& in) {
  TG_ASSIGN(const std::string kind, in.scaling());
  if (kind == "none") return {};
  if (kind != "yarn") {
    return in.error("rope.scaling.type",
                    fmt::format("is '{}'; only 'none' and 'yarn' are supported", utf8_prefix(kind, 64)));
  }
  json::object yarn{{"type", "yarn"}};
  TG_ASSIGN(const auto factor, in.find_number("rope.scaling.factor"));
  if (!factor) return in.error("rope.scaling.factor", "is missing");
  yarn["factor"] = *factor;
  TG_ASSIGN(const std::int64_t original, in.integer("rope.scaling.original_context_length"));
  yarn["original_max_position_embeddings"] = original;
  TG_ASSIGN(const auto fast, in.find_number("rope.scaling.yarn_beta_fast"));
  TG_ASSIGN(const auto slow, in.find_number("rope.scaling.yarn_beta_slow"));
  yarn["beta_fast"] = fast.value_or(32);
  yarn["beta_slow"] = slow.value_or(1);
  // The key holds 0.1 * mscale_all_dim. mscale equals it in every released model: cos and sin stay unscaled.
  TG_ASSIGN(const auto multiplier, in.find_number("rope.scaling.yarn_log_multiplier"));
  const double mscale = multiplier.value_or(0) / 0.1;
  yarn["mscale"] = mscale;
  yarn["mscale_all_dim"] = mscale;
  in.out()["rope_scaling"] = std::move(yarn);
  return {};
}

Status translate_llama(Translation& in) {
  TG_TRY(copy_stack(in, "LlamaForCausalLM"));
  TG_ASSIGN(const auto experts, in.find_integer("expert_count"));
  if (experts.value_or(0) != 0) return in.error("expert_count", "is not 0: this architecture has dense layers only");
  return copy_grouped_attention(in);
}

Status translate_qwen2(Translation& in) {
  TG_TRY(copy_stack(in, "Qwen2ForCausalLM"));
  return copy_grouped_attention(in);
}

Status translate_deepseek(Translation& in) {
  TG_TRY(copy_stack(in, "DeepseekForCausalLM"));
  TG_TRY(copy_grouped_attention(in));
  TG_ASSIGN(const auto scale, in.find_number("expert_weights_scale"));
  if (scale.value_or(1) != 1 && scale.value_or(1) != 0) return in.error("expert_weights_scale", "must be 1 or absent");
  return copy_experts(in);
}

Status translate_deepseek2(Translation& in) {
  constexpr std::int64_t kSoftmax = 1;
  constexpr std::int64_t kSigmoid = 2;
  TG_ASSIGN(const auto gate, in.find_integer("expert_gating_func"));
  const std::int64_t function = gate.value_or(0) == 0 ? kSoftmax : *gate;  // older files are of V2 and say nothing
  if (function != kSoftmax && function != kSigmoid) {
    return in.error("expert_gating_func", fmt::format("is {}; 1 (softmax) and 2 (sigmoid) are supported", function));
  }
  const bool is_v3 = function == kSigmoid;
  TG_TRY(copy_stack(in, is_v3 ? "DeepseekV3ForCausalLM" : "DeepseekV2ForCausalLM"));
  TG_TRY(copy_latent_attention(in));
  TG_TRY(copy_yarn(in));
  TG_TRY(copy_experts(in));
  TG_ASSIGN(const std::int64_t experts, in.integer("expert_count"));
  // Files from before these keys existed: V3 has 256 experts in 8 groups, V2 160 in 8.
  const bool is_grouped_by_size = experts == (is_v3 ? 256 : 160);
  TG_ASSIGN(const auto groups, in.find_integer("expert_group_count"));
  TG_ASSIGN(const auto kept, in.find_integer("expert_group_used_count"));
  const std::int64_t group_count = groups.value_or(is_grouped_by_size ? 8 : 1);
  in.out()["n_group"] = group_count;
  in.out()["topk_group"] = kept.value_or(!is_grouped_by_size ? group_count : is_v3 ? 4 : 3);
  in.out()["scoring_func"] = is_v3 ? "sigmoid" : "softmax";
  in.out()["topk_method"] = is_v3 ? "noaux_tc" : group_count > 1 ? "group_limited_greedy" : "greedy";
  TG_ASSIGN(const auto norm, in.file().find_flag(in.key("expert_weights_norm")));
  in.out()["norm_topk_prob"] = norm.value_or(is_v3);
  return in.copy_number("expert_weights_scale", "routed_scaling_factor", 1);
}

struct Known {
  std::string_view name;
  Status (*translate)(Translation& in);
};
constexpr Known kKnown[] = {{"llama", translate_llama},
                            {"qwen2", translate_qwen2},
                            {"deepseek", translate_deepseek},
                            {"deepseek2", translate_deepseek2}};

}  // namespace

Result<json::object> config_of_gguf(const GgufFile& file) {
  TG_ASSIGN(const auto name, file.find_text("general.architecture"));
  for (const Known& known : kKnown) {
    if (known.name != name.value_or("")) continue;
    Translation in(file, std::string(known.name));
    TG_TRY(known.translate(in));
    return std::move(in.out());
  }
  return fail(Code::kInvalidArgument, "unknown_architecture",
              fmt::format("{}: general.architecture '{}' is not known; llama, qwen2, deepseek and deepseek2 are", file.name(),
                          utf8_prefix(name.value_or(""), 64)),
              "general.architecture");
}

}  // namespace tidegate::worker
