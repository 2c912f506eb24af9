// What each architecture's config.json becomes, beyond DeepSeek-V3's (architecture_test.cc).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "worker/model/architecture.h"

namespace tidegate::worker::families_test {
namespace {

std::string config_of(const char* golden) {
  std::ifstream in(std::filesystem::path(TG_SOURCE_DIR) / "tests/golden" / golden / "config.json");
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The golden config with the value of one member replaced; `member` as `"name": old`.
Result<ModelSpec> read_with(const char* golden, const std::string& member, const std::string& replacement) {
  std::string text = config_of(golden);
  const std::size_t at = text.find(member);
  EXPECT_NE(at, std::string::npos) << member;
  if (at != std::string::npos) text.replace(at, member.size(), replacement);
  return parse_model_spec(text);
}

void expect_refused(const Result<ModelSpec>& spec, std::string_view field) {
  ASSERT_FALSE(spec) << field;
  EXPECT_EQ(spec.error().reason, "bad_config") << spec.error().to_string();
  EXPECT_EQ(spec.error().field, field) << spec.error().to_string();
}

TEST(Families, AreAllInTheRegistry) {
  std::set<std::string_view> names;
  for (const Architecture& known : architectures()) names.insert(known.name);
  EXPECT_EQ(names, (std::set<std::string_view>{"DeepseekV3ForCausalLM", "DeepseekV2ForCausalLM", "DeepseekForCausalLM",
                                               "LlamaForCausalLM", "Qwen2ForCausalLM"}));
}

TEST(DeepseekV2, RoutesBySoftmaxWithinTheBestGroups) {
  const auto spec = parse_model_spec(config_of("deepseek_v2"));
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_EQ(spec->attention, AttentionKind::kLatent);
  EXPECT_EQ(spec->q_lora_rank, 96);
  EXPECT_EQ(spec->formulas.router.score, RouterScore::kSoftmax);
  EXPECT_EQ(spec->formulas.router.group_score, GroupScore::kMax);
  EXPECT_EQ(spec->moe.groups, 4);
  EXPECT_EQ(spec->moe.groups_kept, 2);
  EXPECT_DOUBLE_EQ(spec->moe.routed_scaling, 16);
  EXPECT_FALSE(spec->moe.renormalise);
  EXPECT_FALSE(spec->moe.correction_bias);
}

TEST(DeepseekV2, DoesNotScaleWhatItRenormalises) {
  const auto spec = read_with("deepseek_v2", R"("norm_topk_prob": false)", R"("norm_topk_prob": true)");
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_DOUBLE_EQ(spec->moe.routed_scaling, 1) << "so does the authors' gate";
}

TEST(DeepseekV2, LiteHasNoQueryRankAndNoGroups) {
  const auto spec = parse_model_spec(config_of("deepseek_v2_lite"));
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_EQ(spec->q_lora_rank, 0);
  EXPECT_EQ(spec->moe.groups, 1);
  EXPECT_DOUBLE_EQ(spec->yarn->mscale_all_dim, 0.707);
}

TEST(DeepseekV2, GreedyIgnoresGroupsThatTheConfigNames) {
  const auto spec = read_with("deepseek_v2", R"("topk_method": "group_limited_greedy")", R"("topk_method": "greedy")");
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_EQ(spec->moe.groups, 1);
}

TEST(DeepseekV2, RefusesTheRoutingOfOthers) {
  expect_refused(read_with("deepseek_v2", R"("scoring_func": "softmax")", R"("scoring_func": "sigmoid")"),
                 "scoring_func");
  expect_refused(
      read_with("deepseek_v2", R"("topk_method": "group_limited_greedy")", R"("topk_method": "noaux_tc")"),
      "topk_method");
  expect_refused(read_with("deepseek_v2", R"("num_experts_per_tok": 3)", R"("num_experts_per_tok": 9)"),
                 "num_experts_per_tok");
}

TEST(DeepseekMoe, IsPlainMultiHeadAttentionWithExperts) {
  const auto spec = parse_model_spec(config_of("deepseek_moe"));
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_EQ(spec->attention, AttentionKind::kGrouped);
  EXPECT_EQ(spec->group_heads(), 1);
  EXPECT_EQ(spec->formulas.rope.layout, RopeLayout::kHalfSplit);
  EXPECT_EQ(spec->moe.experts, 16);
  EXPECT_EQ(spec->moe.shared_experts, 2);
  EXPECT_DOUBLE_EQ(spec->moe.routed_scaling, 1);
}

TEST(Llama, SharesKeysBetweenNeighbouringHeads) {
  const auto spec = parse_model_spec(config_of("llama"));
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_EQ(spec->group_heads(), 4);
  EXPECT_EQ(spec->query_head_dim(), 16);
  EXPECT_EQ(spec->cache_width(), 2 * (16 + 16));
  EXPECT_FALSE(spec->qkv_bias);
  EXPECT_DOUBLE_EQ(spec->softmax_scale(), 0.25);
  ASSERT_TRUE(spec->llama3);
  EXPECT_DOUBLE_EQ(spec->llama3->factor, 8);
}

TEST(Llama, HeadDimMayDifferFromHiddenOverHeads) {
  const auto spec = read_with("llama", R"("num_key_value_heads": 2)", R"("num_key_value_heads": 2, "head_dim": 32)");
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_EQ(spec->query_head_dim(), 32);
}

TEST(Llama, RefusesWhatItWouldGetWrong) {
  expect_refused(read_with("llama", R"("num_key_value_heads": 2)", R"("num_key_value_heads": 3)"),
                 "num_key_value_heads");
  expect_refused(read_with("llama", R"("num_attention_heads": 8)", R"("num_attention_heads": 10)"),
                 "num_attention_heads");
  expect_refused(read_with("llama", R"("attention_bias": false)", R"("attention_bias": true)"), "attention_bias");
  expect_refused(read_with("llama", R"("rope_type": "llama3")", R"("rope_type": "linear")"),
                 "rope_scaling.rope_type");
  expect_refused(read_with("llama", R"("high_freq_factor": 4.0)", R"("high_freq_factor": 0.5)"),
                 "rope_scaling.high_freq_factor");
  expect_refused(read_with("llama", R"("num_key_value_heads": 2)", R"("num_key_value_heads": 2, "head_dim": 15)"),
                 "head_dim");
}

TEST(Qwen2, HasBiasesOnQueryKeyAndValue) {
  const auto spec = parse_model_spec(config_of("qwen2"));
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_TRUE(spec->qkv_bias);
  EXPECT_FALSE(spec->llama3);
  EXPECT_FALSE(spec->yarn);
}

TEST(Qwen2, RefusesSlidingWindows) {
  expect_refused(read_with("qwen2", R"("use_sliding_window": false)", R"("use_sliding_window": true)"),
                 "use_sliding_window");
}

}  // namespace
}  // namespace tidegate::worker::families_test
