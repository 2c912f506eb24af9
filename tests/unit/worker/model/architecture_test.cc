#include "worker/model/architecture.h"

#include <gtest/gtest.h>

namespace tidegate::worker {
namespace {

constexpr const char* kTinyV3 = R"({
  "architectures": ["DeepseekV3ForCausalLM"], "hidden_act": "silu", "rms_norm_eps": 1e-6, "vocab_size": 512,
  "num_attention_heads": 4, "num_key_value_heads": 4, "num_hidden_layers": 3, "qk_nope_head_dim": 32,
  "qk_rope_head_dim": 16, "v_head_dim": 24, "kv_lora_rank": 64, "q_lora_rank": 96, "first_k_dense_replace": 1,
  "moe_layer_freq": 1, "max_position_embeddings": 256, "rope_theta": 10000.0, "hidden_size": 128,
  "rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 64, "beta_fast": 32,
                   "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0},
  "intermediate_size": 320, "n_routed_experts": 16, "n_shared_experts": 1, "num_experts_per_tok": 4, "n_group": 4,
  "topk_group": 2, "moe_intermediate_size": 40, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
  "norm_topk_prob": true, "routed_scaling_factor": 2.5, "num_nextn_predict_layers": 1,
  "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}
})";

std::string with(std::string_view from, std::string_view to) {
  std::string text = kTinyV3;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ModelSpec, IsReadFromConfig) {
  const auto spec = parse_model_spec(kTinyV3);
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_EQ(spec->architecture, "DeepseekV3ForCausalLM");
  EXPECT_EQ(spec->layers, 3);
  EXPECT_EQ(spec->cache_width(), 80);
  EXPECT_EQ(spec->query_head_dim(), 48);
  EXPECT_EQ(spec->moe.experts, 16);
  EXPECT_EQ(spec->moe.groups_kept, 2);
  EXPECT_DOUBLE_EQ(spec->moe.routed_scaling, 2.5);
  EXPECT_TRUE(spec->fp8);
  EXPECT_FALSE(spec->is_moe(0));
  EXPECT_TRUE(spec->is_moe(1));
  EXPECT_TRUE(spec->is_moe(3)) << "the draft layer";
}

TEST(ModelSpec, UnknownArchitectureIsRefusedWithTheKnownOnes) {
  const auto spec = parse_model_spec(with("DeepseekV3ForCausalLM", "MambaForCausalLM"));
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().reason, "unknown_architecture");
  EXPECT_NE(spec.error().message.find("DeepseekV3ForCausalLM"), std::string::npos);
  EXPECT_NE(spec.error().message.find("MambaForCausalLM"), std::string::npos);
}

struct Refused {
  const char* field;
  const char* from;
  const char* to;
};

class RefusedConfig : public testing::TestWithParam<Refused> {};

TEST_P(RefusedConfig, NamesTheField) {
  const Refused& refused = GetParam();
  const auto spec = parse_model_spec(with(refused.from, refused.to));
  ASSERT_FALSE(spec) << refused.to;
  EXPECT_EQ(spec.error().reason, "bad_config") << spec.error().to_string();
  EXPECT_EQ(spec.error().field, refused.field) << spec.error().to_string();
}

INSTANTIATE_TEST_SUITE_P(
    , RefusedConfig,
    testing::Values(
        Refused{"num_hidden_layers", R"("num_hidden_layers": 3)", R"("num_hidden_layers": 0)"},
        Refused{"num_hidden_layers", R"("num_hidden_layers": 3,)", ""},
        Refused{"hidden_size", R"("hidden_size": 128)", R"("hidden_size": 99999999)"},
        Refused{"hidden_size", R"("hidden_size": 128)", R"("hidden_size": "128")"},
        Refused{"vocab_size", R"("vocab_size": 512)", R"("vocab_size": -1)"},
        Refused{"rms_norm_eps", R"("rms_norm_eps": 1e-6)", R"("rms_norm_eps": 0)"},
        Refused{"hidden_act", R"("hidden_act": "silu")", R"("hidden_act": "gelu")"},
        Refused{"num_key_value_heads", R"("num_key_value_heads": 4)", R"("num_key_value_heads": 2)"},
        Refused{"qk_rope_head_dim", R"("qk_rope_head_dim": 16)", R"("qk_rope_head_dim": 15)"},
        Refused{"rope_scaling.type", R"("type": "yarn")", R"("type": "linear")"},
        Refused{"rope_scaling.factor", R"("factor": 4)", R"("factor": 0.5)"},
        Refused{"rope_scaling", R"("rope_scaling": {"type")", R"("rope_scaling": 7, "other": {"type")"},
        Refused{"n_group", R"("n_group": 4)", R"("n_group": 3)"},
        Refused{"n_group", R"("n_group": 4)", R"("n_group": 16)"},
        Refused{"topk_group", R"("topk_group": 2)", R"("topk_group": 5)"},
        Refused{"num_experts_per_tok", R"("num_experts_per_tok": 4)", R"("num_experts_per_tok": 9)"},
        Refused{"scoring_func", R"("scoring_func": "sigmoid")", R"("scoring_func": "softmax")"},
        Refused{"topk_method", R"("topk_method": "noaux_tc")", R"("topk_method": "greedy")"},
        Refused{"first_k_dense_replace", R"("first_k_dense_replace": 1)", R"("first_k_dense_replace": 4)"},
        Refused{"quantization_config.weight_block_size", "[128, 128]", "[64, 64]"},
        Refused{"quantization_config.quant_method", R"("quant_method": "fp8")", R"("quant_method": "awq")"},
        Refused{"architectures", R"(["DeepseekV3ForCausalLM"])", R"([])"}));

TEST(ModelSpec, BrokenJsonIsABadConfig) {
  for (const char* text : {"", "[]", "{", "null"}) {
    const auto spec = parse_model_spec(text);
    ASSERT_FALSE(spec) << text;
    EXPECT_EQ(spec.error().reason, "bad_config");
  }
}

}  // namespace
}  // namespace tidegate::worker
