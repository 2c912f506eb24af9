// What GGUF metadata and tensor names become (tests/golden/gguf_golden_test.cc runs whole models).
#include <gmock/gmock.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/unit/worker/format/gguf_writer.h"
#include "worker/model/gguf_tensors.h"
#include "worker/model/model_files.h"

namespace tidegate::worker::gguf_model_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Values = std::map<std::string, std::variant<std::uint32_t, float, bool, std::string>>;

struct Tensor {
  std::vector<std::uint64_t> dims;
  std::size_t floats = 0;
};
using Tensors = std::map<std::string, Tensor>;

std::string zero_floats(std::size_t count) { return std::string(count * sizeof(float), '\0'); }

/// Two layers, hidden 16, four heads of 4.
Values llama() {
  return {{"general.architecture", "llama"},
          {"llama.block_count", 2u},
          {"llama.context_length", 64u},
          {"llama.embedding_length", 16u},
          {"llama.feed_forward_length", 32u},
          {"llama.attention.head_count", 4u},
          {"llama.attention.head_count_kv", 2u},
          {"llama.attention.layer_norm_rms_epsilon", 1e-5f},
          {"llama.rope.freq_base", 5e5f}};
}

/// A V3 in miniature, of the newer kind whose kv_b is in halves.
Values deepseek2() {
  return {{"general.architecture", "deepseek2"},
          {"deepseek2.block_count", 2u},
          {"deepseek2.context_length", 64u},
          {"deepseek2.embedding_length", 16u},
          {"deepseek2.feed_forward_length", 32u},
          {"deepseek2.attention.head_count", 2u},
          {"deepseek2.attention.head_count_kv", 1u},
          {"deepseek2.attention.q_lora_rank", 8u},
          {"deepseek2.attention.kv_lora_rank", 6u},
          {"deepseek2.attention.key_length", 8u},
          {"deepseek2.attention.value_length", 6u},
          {"deepseek2.attention.key_length_mla", 5u},
          {"deepseek2.attention.value_length_mla", 4u},
          {"deepseek2.rope.dimension_count", 2u},
          {"deepseek2.expert_count", 256u},
          {"deepseek2.expert_used_count", 8u},
          {"deepseek2.expert_shared_count", 1u},
          {"deepseek2.expert_feed_forward_length", 8u},
          {"deepseek2.leading_dense_block_count", 1u},
          {"deepseek2.expert_gating_func", 2u},
          {"deepseek2.expert_weights_scale", 2.5f},
          {"deepseek2.rope.scaling.type", "yarn"},
          {"deepseek2.rope.scaling.factor", 40.0f},
          {"deepseek2.rope.scaling.original_context_length", 32u},
          {"deepseek2.rope.scaling.yarn_log_multiplier", 0.1f}};
}

Tensors embedding() { return {{"token_embd.weight", {{16, 20}, 320}}}; }

Result<ModelFiles> open_with(const Values& values, const Tensors& tensors) {
  GgufWriter writer;
  for (const auto& [key, value] : values) {
    if (const auto* whole = std::get_if<std::uint32_t>(&value)) writer.whole(key, *whole);
    if (const auto* number = std::get_if<float>(&value)) writer.number(key, *number);
    if (const auto* flag = std::get_if<bool>(&value)) writer.flag(key, *flag);
    if (const auto* text = std::get_if<std::string>(&value)) writer.text(key, *text);
  }
  for (const auto& [name, tensor] : tensors) writer.tensor(name, tensor.dims, 0, zero_floats(tensor.floats));
  const test::TempDir dir;
  writer.write(dir.path() / "x.gguf");
  return open_model_files(dir.path() / "x.gguf");
}

TEST(GgufModelFiles, LlamaIsReadWithInterleavedRope) {
  const auto model = open_with(llama(), embedding());
  ASSERT_TRUE(model) << model.error().to_string();
  EXPECT_EQ(model->spec.architecture, "LlamaForCausalLM");
  EXPECT_EQ(model->spec.vocab, 20);
  EXPECT_EQ(model->spec.kv_heads, 2);
  EXPECT_EQ(model->spec.query_head_dim(), 4);
  EXPECT_TRUE(model->spec.tied_head) << "there is no output.weight";
  EXPECT_EQ(model->spec.formulas.rope.layout, RopeLayout::kInterleaved);
  ASSERT_NE(model->checkpoint.find("model.embed_tokens.weight"), nullptr);
  EXPECT_THAT(model->checkpoint.find("model.embed_tokens.weight")->shape, ElementsAre(20, 16));
}

TEST(GgufModelFiles, Deepseek2FillsInWhatOldFilesLack) {
  const auto model = open_with(deepseek2(), embedding());
  ASSERT_TRUE(model) << model.error().to_string();
  const ModelSpec& spec = model->spec;
  EXPECT_EQ(spec.architecture, "DeepseekV3ForCausalLM");
  EXPECT_EQ(spec.moe.groups, 8) << "256 experts, sigmoid: V3";
  EXPECT_EQ(spec.moe.groups_kept, 4);
  EXPECT_TRUE(spec.moe.renormalise);
  EXPECT_EQ(spec.nope_dim, 3);
  EXPECT_EQ(spec.value_dim, 4);
  EXPECT_EQ(spec.formulas.rope.layout, RopeLayout::kInterleaved);
  ASSERT_TRUE(spec.yarn);
  EXPECT_NEAR(spec.yarn->mscale_all_dim, 1, 1e-6) << "the key holds a tenth of it";
  EXPECT_NEAR(spec.yarn->mscale, 1, 1e-6);
}

TEST(GgufModelFiles, SoftmaxIsV2AndWithoutAQueryRankItIsLite) {
  Values values = deepseek2();
  values["deepseek2.expert_gating_func"] = 1u;
  values["deepseek2.expert_count"] = 64u;
  values.erase("deepseek2.attention.q_lora_rank");
  const auto model = open_with(values, embedding());
  ASSERT_TRUE(model) << model.error().to_string();
  EXPECT_EQ(model->spec.architecture, "DeepseekV2ForCausalLM");
  EXPECT_EQ(model->spec.q_lora_rank, 0);
  EXPECT_EQ(model->spec.moe.groups, 1);
}

TEST(GgufModelFiles, StackedExpertsAreExposedOneByOne) {
  Values values = deepseek2();
  values["deepseek2.expert_count"] = 16u;
  Tensors tensors = embedding();
  tensors["blk.1.ffn_gate_up_exps.weight"] = {{16, 16, 16}, 16 * 16 * 16};
  tensors["blk.1.ffn_down_exps.weight"] = {{8, 16, 16}, 8 * 16 * 16};
  const auto model = open_with(values, tensors);
  ASSERT_TRUE(model) << model.error().to_string();
  const TensorView* up = model->checkpoint.find("model.layers.1.mlp.experts.15.up_proj.weight");
  const TensorView* down = model->checkpoint.find("model.layers.1.mlp.experts.0.down_proj.weight");
  ASSERT_TRUE(up != nullptr && down != nullptr);
  EXPECT_THAT(up->shape, ElementsAre(8, 16));
  EXPECT_THAT(down->shape, ElementsAre(16, 8));
  EXPECT_EQ(model->checkpoint.find("model.layers.1.mlp.experts.16.up_proj.weight"), nullptr);
}

void expect_refused(const Result<ModelFiles>& model, std::string_view reason, std::string_view field,
                    const std::string& words) {
  ASSERT_FALSE(model) << field;
  EXPECT_EQ(model.error().reason, reason) << model.error().to_string();
  EXPECT_EQ(model.error().field, field) << model.error().to_string();
  EXPECT_THAT(model.error().message, HasSubstr(words));
  EXPECT_THAT(model.error().message, HasSubstr(std::string(field))) << "the words name it too";
}

TEST(GgufModelFiles, AnArchitectureMustBeKnown) {
  Values values = llama();
  values["general.architecture"] = "mamba";
  expect_refused(open_with(values, embedding()), "unknown_architecture", "general.architecture", "'mamba'");
}

TEST(GgufModelFiles, SettingsThatAreMissingOrNotRunAreNamed) {
  const auto with = [](Values values, const std::string& key, Values::mapped_type value) {
    values[key] = std::move(value);
    return open_with(values, embedding());
  };
  Values missing = llama();
  missing.erase("llama.block_count");
  expect_refused(open_with(missing, embedding()), "bad_gguf", "llama.block_count", "is missing");
  expect_refused(with(llama(), "llama.block_count", "two"), "bad_gguf", "llama.block_count", "not a whole number");
  expect_refused(with(llama(), "llama.rope.scaling.type", "linear"), "bad_gguf", "llama.rope.scaling.type", "'linear'");
  expect_refused(with(llama(), "llama.expert_count", 8u), "bad_gguf", "llama.expert_count", "dense");
  expect_refused(with(llama(), "llama.nextn_predict_layers", 1u), "bad_gguf", "llama.nextn_predict_layers", "draft");
  expect_refused(with(deepseek2(), "deepseek2.expert_gating_func", 4u), "bad_gguf", "deepseek2.expert_gating_func",
                 "softmax");
  expect_refused(open_with(llama(), {}), "bad_gguf", "token_embd.weight", "missing");
}

TEST(GgufModelFiles, SizesPassTheLimitsOfConfigJson) {
  Values values = llama();
  values["llama.block_count"] = 100'000u;
  const auto model = open_with(values, embedding());
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().reason, "bad_config");
  EXPECT_EQ(model.error().field, "num_hidden_layers");
  EXPECT_THAT(model.error().message, HasSubstr("x.gguf, read as config.json"));
}

TEST(GgufModelFiles, TensorsThatFitNowhereAreNamed) {
  const auto with = [](const Values& values, const std::string& name, const Tensor& tensor) {
    Tensors tensors = embedding();
    tensors[name] = tensor;
    return open_with(values, tensors);
  };
  for (const char* stray : {"blk.x.attn_q.weight", "blk.0.ssm_conv1d.weight", "blk.-1.attn_q.weight", "vision.patch"}) {
    expect_refused(with(llama(), stray, {{4}, 4}), "bad_gguf", stray, "no part");
  }
  expect_refused(with(llama(), "rope_freqs.weight", {{3}, 3}), "bad_gguf", "rope_freqs.weight", "[2]");
  expect_refused(with(llama(), "rope_freqs.weight", {{2}, 2}), "bad_gguf", "rope_freqs.weight", "not a divisor");
  expect_refused(with(deepseek2(), "blk.0.attn_k_b.weight", {{3, 6, 2}, 36}), "bad_gguf", "blk.0.attn_k_b.weight",
                 "attn_v_b");
  expect_refused(with(deepseek2(), "blk.0.attn_v_b.weight", {{6, 4, 2}, 48}), "bad_gguf", "blk.0.attn_v_b.weight",
                 "attn_k_b");
  expect_refused(with(deepseek2(), "blk.1.ffn_up_exps.weight", {{16, 8, 3}, 384}), "bad_gguf",
                 "blk.1.ffn_up_exps.weight", "256 experts");
}

TEST(GgufTensorName, IsTheNameThatTheReaderKnows) {
  EXPECT_EQ(gguf_tensor_name("model.embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(gguf_tensor_name("lm_head.weight"), "output.weight");
  EXPECT_EQ(gguf_tensor_name("model.layers.12.self_attn.q_a_layernorm.weight"), "blk.12.attn_q_a_norm.weight");
  EXPECT_EQ(gguf_tensor_name("model.layers.3.mlp.gate.e_score_correction_bias"), "blk.3.exp_probs_b.bias");
  EXPECT_EQ(gguf_tensor_name("model.layers.3.mlp.experts.17.down_proj.weight"), "blk.3.ffn_down_exps.weight") << "the stack";
  EXPECT_EQ(gguf_tensor_name("model.layers.3.mlp.shared_experts.up_proj.weight"), "blk.3.ffn_up_shexp.weight");
  EXPECT_EQ(gguf_tensor_name("model.layers.3.self_attn.kv_b_proj.weight"), std::nullopt) << "kept in halves";
  EXPECT_EQ(gguf_tensor_name("model.layers.61.eh_proj.weight"), std::nullopt);
  EXPECT_EQ(gguf_tensor_name("model.layers."), std::nullopt);
}

}  // namespace
}  // namespace tidegate::worker::gguf_model_test
