#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json/json.h"
#include "tests/unit/worker/format/gguf_writer.h"
#include "worker/format/checkpoint.h"

namespace tidegate::worker {

/// Writes a golden Hugging Face checkpoint as the GGUF file that a converter would make of it, in F32: other names, rows
/// of q and k permuted for "llama" and "deepseek", experts stacked, kv_b whole or in halves.
class GgufExport {
 public:
  enum class KvB : std::uint8_t { kWhole, kHalves };

  GgufExport(const std::filesystem::path& folder, KvB kv_b)
      : checkpoint_(Checkpoint::open(folder).value()), kv_b_(kv_b) {
    config_ = json::parse_file(folder / "config.json").value().as_object();
    const std::string name(config_.at("architectures").as_array().at(0).as_string());
    is_moe_16b_ = name == "DeepseekForCausalLM";
    is_llama_ = name == "LlamaForCausalLM";
    is_latent_ = name == "DeepseekV3ForCausalLM" || name == "DeepseekV2ForCausalLM";
    is_sigmoid_ = name == "DeepseekV3ForCausalLM";
    arch_ = is_latent_ ? "deepseek2" : is_moe_16b_ ? "deepseek" : is_llama_ ? "llama" : "qwen2";
  }

  void write(const std::filesystem::path& path) {
    add_values();
    add_tensor("token_embd.weight", "model.embed_tokens.weight");
    add_tensor("output_norm.weight", "model.norm.weight");
    if (has("lm_head.weight")) add_tensor("output.weight", "lm_head.weight");
    for (std::int64_t layer = 0; layer < whole("num_hidden_layers"); ++layer) add_block(layer);
    if (is_llama_) add_rope_divisors();
    writer_.write(path);
  }

 private:
  std::int64_t whole(const char* name, std::int64_t fallback = 0) const {
    const json::value* value = config_.if_contains(name);
    return value == nullptr || value->is_null() ? fallback : value->to_number<std::int64_t>();
  }
  float number(const char* name) const { return config_.at(name).to_number<float>(); }
  bool has(const std::string& name) const { return checkpoint_.find(name) != nullptr; }

  void put_whole(const char* name, std::int64_t value) {
    writer_.whole(fmt::format("{}.{}", arch_, name), static_cast<std::uint32_t>(value));
  }
  void put_number(const char* name, float value) { writer_.number(fmt::format("{}.{}", arch_, name), value); }

  void add_values() {
    writer_.text("general.architecture", arch_);
    put_whole("block_count", whole("num_hidden_layers"));
    put_whole("context_length", whole("max_position_embeddings"));
    put_whole("embedding_length", whole("hidden_size"));
    put_whole("feed_forward_length", whole("intermediate_size"));
    put_whole("attention.head_count", whole("num_attention_heads"));
    put_number("attention.layer_norm_rms_epsilon", number("rms_norm_eps"));
    put_number("rope.freq_base", number("rope_theta"));
    if (config_.contains("n_routed_experts")) {
      put_whole("leading_dense_block_count", whole("first_k_dense_replace"));
      put_whole("expert_count", whole("n_routed_experts"));
      put_whole("expert_used_count", whole("num_experts_per_tok"));
      put_whole("expert_shared_count", whole("n_shared_experts"));
      put_whole("expert_feed_forward_length", whole("moe_intermediate_size"));
    }
    if (!is_latent_) {
      put_whole("attention.head_count_kv", whole("num_key_value_heads"));
      put_whole("rope.dimension_count", head_dim());
      return;
    }
    add_latent_values();
  }

  void add_latent_values() {
    const std::int64_t key = whole("qk_nope_head_dim") + whole("qk_rope_head_dim");
    if (whole("q_lora_rank") > 0) put_whole("attention.q_lora_rank", whole("q_lora_rank"));
    put_whole("attention.kv_lora_rank", whole("kv_lora_rank"));
    put_whole("rope.dimension_count", whole("qk_rope_head_dim"));
    if (kv_b_ == KvB::kWhole) {
      put_whole("attention.head_count_kv", whole("num_attention_heads"));
      put_whole("attention.key_length", key);
      put_whole("attention.value_length", whole("v_head_dim"));
    } else {
      put_whole("attention.head_count_kv", 1);
      put_whole("attention.key_length", whole("kv_lora_rank") + whole("qk_rope_head_dim"));
      put_whole("attention.value_length", whole("kv_lora_rank"));
      put_whole("attention.key_length_mla", key);
      put_whole("attention.value_length_mla", whole("v_head_dim"));
    }
    put_whole("expert_group_count", whole("n_group"));
    put_whole("expert_group_used_count", whole("topk_group"));
    put_whole("expert_gating_func", is_sigmoid_ ? 2 : 1);
    put_number("expert_weights_scale", number("routed_scaling_factor"));
    writer_.flag(arch_ + ".expert_weights_norm", config_.at("norm_topk_prob").as_bool());
    const json::object& yarn = config_.at("rope_scaling").as_object();
    writer_.text(arch_ + ".rope.scaling.type", "yarn");
    put_number("rope.scaling.factor", yarn.at("factor").to_number<float>());
    put_whole("rope.scaling.original_context_length", yarn.at("original_max_position_embeddings").to_number<std::int64_t>());
    put_number("rope.scaling.yarn_log_multiplier", 0.1f * yarn.at("mscale_all_dim").to_number<float>());
  }

  std::int64_t head_dim() const { return whole("hidden_size") / whole("num_attention_heads"); }

  void add_floats(const std::string& name, std::vector<std::int64_t> shape, const std::vector<float>& values) {
    const std::vector<std::uint64_t> dims(shape.rbegin(), shape.rend());
    writer_.tensor(name, dims, 0, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  }

  std::vector<float> floats(const std::string& name) const {
    const TensorView* tensor = checkpoint_.find(name);
    EXPECT_NE(tensor, nullptr) << name;
    return tensor == nullptr ? std::vector<float>() : to_floats(*tensor);
  }

  void add_tensor(const std::string& name, const std::string& from) {
    add_floats(name, checkpoint_.find(from)->shape, floats(from));
  }

  void add_if_there(const std::string& name, const std::string& from) {
    if (has(from)) add_tensor(name, from);
  }

  /// Half-split pairs (i, i + d/2) of each head become neighbours (2i, 2i + 1), as converters do.
  void add_permuted(const std::string& name, const std::string& from) {
    const std::vector<std::int64_t> shape = checkpoint_.find(from)->shape;
    const std::vector<float> in = floats(from);
    std::vector<float> out;
    const std::int64_t half = head_dim() / 2;
    for (std::int64_t row = 0; row < shape[0]; ++row) {
      const std::int64_t head = row / head_dim();
      const std::int64_t within = row % head_dim();
      const std::int64_t source = head * head_dim() + within % 2 * half + within / 2;
      const auto first = in.begin() + static_cast<std::ptrdiff_t>(source * shape[1]);
      out.insert(out.end(), first, first + static_cast<std::ptrdiff_t>(shape[1]));
    }
    add_floats(name, shape, out);
  }

  void add_block(std::int64_t layer) {
    const std::string to = fmt::format("blk.{}.", layer);
    const std::string from = fmt::format("model.layers.{}.", layer);
    add_tensor(to + "attn_norm.weight", from + "input_layernorm.weight");
    add_tensor(to + "ffn_norm.weight", from + "post_attention_layernorm.weight");
    const std::string self = from + "self_attn.";
    if (is_llama_ || is_moe_16b_) {
      add_permuted(to + "attn_q.weight", self + "q_proj.weight");
      add_permuted(to + "attn_k.weight", self + "k_proj.weight");
    } else {
      add_if_there(to + "attn_q.weight", self + "q_proj.weight");
      add_if_there(to + "attn_k.weight", self + "k_proj.weight");
    }
    add_if_there(to + "attn_v.weight", self + "v_proj.weight");
    for (const char* one : {"q", "k", "v"}) {
      add_if_there(fmt::format("{}attn_{}.bias", to, one), fmt::format("{}{}_proj.bias", self, one));
    }
    add_tensor(to + "attn_output.weight", self + "o_proj.weight");
    add_if_there(to + "attn_q_a.weight", self + "q_a_proj.weight");
    add_if_there(to + "attn_q_a_norm.weight", self + "q_a_layernorm.weight");
    add_if_there(to + "attn_q_b.weight", self + "q_b_proj.weight");
    add_if_there(to + "attn_kv_a_mqa.weight", self + "kv_a_proj_with_mqa.weight");
    add_if_there(to + "attn_kv_a_norm.weight", self + "kv_a_layernorm.weight");
    if (is_latent_) add_kv_b(to, self + "kv_b_proj.weight");
    add_feed_forward(to, from + "mlp.");
  }

  void add_kv_b(const std::string& to, const std::string& from) {
    if (kv_b_ == KvB::kWhole) return add_tensor(to + "attn_kv_b.weight", from);
    const std::vector<float> all = floats(from);
    const std::int64_t heads = whole("num_attention_heads");
    const std::int64_t nope = whole("qk_nope_head_dim");
    const std::int64_t value = whole("v_head_dim");
    const std::int64_t latent = whole("kv_lora_rank");
    std::vector<float> keys(static_cast<std::size_t>(heads * latent * nope));
    std::vector<float> values;
    for (std::int64_t head = 0; head < heads; ++head) {
      const std::int64_t first = head * (nope + value);
      for (std::int64_t row = 0; row < nope; ++row) {
        for (std::int64_t i = 0; i < latent; ++i) {
          keys[static_cast<std::size_t>((head * latent + i) * nope + row)] =
              all[static_cast<std::size_t>((first + row) * latent + i)];
        }
      }
      const auto at = all.begin() + static_cast<std::ptrdiff_t>((first + nope) * latent);
      values.insert(values.end(), at, at + static_cast<std::ptrdiff_t>(value * latent));
    }
    add_floats(to + "attn_k_b.weight", {heads, latent, nope}, keys);
    add_floats(to + "attn_v_b.weight", {heads, value, latent}, values);
  }

  void add_feed_forward(const std::string& to, const std::string& from) {
    add_if_there(to + "ffn_gate_inp.weight", from + "gate.weight");
    add_if_there(to + "exp_probs_b.bias", from + "gate.e_score_correction_bias");
    for (const char* part : {"gate", "up", "down"}) {
      const std::string name = fmt::format("{}_proj.weight", part);
      add_if_there(fmt::format("{}ffn_{}.weight", to, part), from + name);
      add_if_there(fmt::format("{}ffn_{}_shexp.weight", to, part), from + "shared_experts." + name);
      if (!has(from + "experts.0." + name)) continue;
      std::vector<float> stacked;
      std::vector<std::int64_t> shape = checkpoint_.find(from + "experts.0." + name)->shape;
      const std::int64_t experts = whole("n_routed_experts");
      for (std::int64_t e = 0; e < experts; ++e) {
        const std::vector<float> one = floats(fmt::format("{}experts.{}.{}", from, e, name));
        stacked.insert(stacked.end(), one.begin(), one.end());
      }
      shape.insert(shape.begin(), experts);
      add_floats(fmt::format("{}ffn_{}_exps.weight", to, part), shape, stacked);
    }
  }

  /// Llama 3.1's rule as divisors of the frequencies, by the formula that converters use: wavelengths against bounds.
  void add_rope_divisors() {
    const json::object& scaling = config_.at("rope_scaling").as_object();
    const double factor = scaling.at("factor").to_number<double>();
    const double low = scaling.at("low_freq_factor").to_number<double>();
    const double high = scaling.at("high_freq_factor").to_number<double>();
    const double context = scaling.at("original_max_position_embeddings").to_number<double>();
    std::vector<float> divisors;
    for (std::int64_t i = 0; i < head_dim() / 2; ++i) {
      const double wavelength = 2 * 3.14159265358979323846 *
                                std::pow(static_cast<double>(number("rope_theta")), 2.0 * static_cast<double>(i) /
                                                                                        static_cast<double>(head_dim()));
      double divisor = 1;
      if (wavelength > context / low) {
        divisor = factor;
      } else if (wavelength > context / high) {
        const double smooth = (context / wavelength - low) / (high - low);
        divisor = 1 / ((1 - smooth) / factor + smooth);
      }
      divisors.push_back(static_cast<float>(divisor));
    }
    add_floats("rope_freqs.weight", {head_dim() / 2}, divisors);
  }

  Checkpoint checkpoint_;
  const KvB kv_b_;
  json::object config_;
  std::string arch_;
  bool is_latent_ = false;
  bool is_moe_16b_ = false;
  bool is_llama_ = false;
  bool is_sigmoid_ = false;
  GgufWriter writer_;
};

}  // namespace tidegate::worker
