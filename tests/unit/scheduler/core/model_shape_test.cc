#include "scheduler/core/model_shape.h"

#include <gmock/gmock.h>

#include "tests/unit/scheduler/core/test_shapes.h"

namespace tidegate::scheduler {
namespace {

// Small enough to count by hand: one dense layer, two layers of 4 experts.
ModelShape small_latent() {
  ModelShape shape;
  shape.layers = 3;
  shape.hidden = 10;
  shape.vocab = 7;
  shape.heads = 2;
  shape.q_lora_rank = 5;
  shape.kv_lora_rank = 4;
  shape.nope_dim = 3;
  shape.rope_dim = 2;
  shape.value_dim = 6;
  shape.dense_intermediate = 20;
  shape.experts = 4;
  shape.experts_per_token = 1;
  shape.shared_experts = 2;
  shape.moe_intermediate = 8;
  shape.first_moe_layer = 1;
  shape.router_bias = true;
  return shape;
}

std::string bad_field(const ModelShape& shape) {
  const Status checked = check_shape(shape);
  return checked ? "good" : checked.error().field;
}

TEST(ModelShape, LatentAttentionIsCountedMatrixByMatrix) {
  const ModelSizes sizes = model_sizes(small_latent(), Precision::kBf16);
  // q_a 10x5, its norm 5, q_b 5x2x5; kv_a 10x6, its norm 4, kv_b 4x2x9; o 2x6x10: a layer 50+5+50+60+4+72+120.
  EXPECT_EQ(sizes.attention.parameters, 3 * 361);
  EXPECT_EQ(sizes.dense_ffn.parameters, 3 * 10 * 20);
  EXPECT_EQ(sizes.expert.parameters, 3 * 10 * 8);
  EXPECT_EQ(sizes.routed_experts.parameters, 2 * 4 * 240);
  EXPECT_EQ(sizes.shared_experts.parameters, 2 * 3 * 10 * 16);
  EXPECT_EQ(sizes.router.parameters, 2 * (40 + 4));
  EXPECT_EQ(sizes.norms.parameters, 7 * 10);
  EXPECT_EQ(sizes.tables.parameters, 2 * 70);
  EXPECT_EQ(sizes.parameters(), 1083 + 600 + 1920 + 960 + 88 + 70 + 140);
  EXPECT_EQ(sizes.active_parameters, sizes.parameters() - 2 * 3 * 240);
  EXPECT_EQ(sizes.bytes(), 2 * sizes.parameters());
}

TEST(ModelShape, QueriesWithoutALatentAreOneMatrix) {
  ModelShape shape = small_latent();
  shape.q_lora_rank = 0;
  EXPECT_EQ(model_sizes(shape, Precision::kBf16).attention.parameters, 3 * (361 - 50 - 5 - 50 + 10 * 2 * 5));
}

TEST(ModelShape, GroupedAttentionHasItsBiasesAndOneTableWhenTied) {
  ModelShape shape = qwen_7b_shape();
  EXPECT_EQ(model_sizes(shape, Precision::kBf16).parameters(), 7'615'616'512);
  shape.qkv_bias = false;
  EXPECT_EQ(model_sizes(shape, Precision::kBf16).parameters(), 7'615'616'512 - 28 * (3584 + 2 * 512));
  shape.tied_embeddings = true;
  EXPECT_EQ(model_sizes(shape, Precision::kBf16).tables.parameters, 152'064LL * 3584);
}

TEST(ModelShape, HeadsWithNormsOfTheirOwnAreCountedOnceALayer) {
  ModelShape shape = qwen_7b_shape();
  shape.qk_norm = true;
  const ModelSizes sizes = model_sizes(shape, Precision::kBf16);
  EXPECT_EQ(sizes.parameters(), 7'615'616'512 + 28 * 2 * 128);
  EXPECT_EQ(model_sizes(shape, Precision::kFp8Block).attention.parameters, sizes.attention.parameters);
}

TEST(ModelShape, BlocksOf128RoundUpAndOnlyMatricesAreQuantised) {
  ModelShape shape = small_latent();
  const ModelSizes sizes = model_sizes(shape, Precision::kFp8Block);
  EXPECT_EQ(sizes.expert.bytes, 240 + 3 * 4);  // three matrices smaller than a block: one scale each
  EXPECT_EQ(sizes.tables.bytes, 2 * 140);
  EXPECT_EQ(sizes.router.bytes, 2 * (2 * 40 + 4 * 4));
  EXPECT_EQ(sizes.attention.bytes, 3 * (352 + 5 * 4 + 2 * 9));
  EXPECT_EQ(model_sizes(shape, Precision::kFp8).bytes(), sizes.parameters());
}

TEST(ModelShape, V3ChecksOutToTheParameterAndItsCheckpointToTheByte) {
  const ModelSizes sizes = model_sizes(v3_shape(), Precision::kFp8Block);
  EXPECT_EQ(sizes.parameters(), 671'026'419'200);
  EXPECT_EQ(sizes.active_parameters, 37'552'297'472);
  EXPECT_EQ(sizes.expert.parameters, 44'040'192);
  EXPECT_EQ(sizes.draft.parameters, 11'610'068'224);
  EXPECT_EQ(sizes.bytes(), 673'150'611'808);
  EXPECT_EQ(v3_shape().moe_layers(), 58);
}

TEST(ModelShape, Int4CountsScalesAndZeroPointsOfGroups) {
  // 4 bits and 20 bits a group of 128: 133/256 of a byte.
  const ModelSizes sizes = model_sizes(v3_shape(), Precision::kInt4);
  EXPECT_NEAR(static_cast<double>(sizes.bytes()), 671'026'419'200.0 * 133 / 256, 64);
}

TEST(ModelShape, KvOfALatentIsItsLatentAndOfGroupsItsKeysAndValues) {
  EXPECT_EQ(kv_bytes_per_token(v3_shape(), KvPrecision::kBf16), 70'272);
  EXPECT_EQ(kv_bytes_per_token(v3_shape(), KvPrecision::kFp8), 35'136);
  EXPECT_EQ(kv_bytes_per_token(v3_shape(), KvPrecision::kF32), 140'544);
  EXPECT_EQ(kv_bytes_per_token(qwen_7b_shape(), KvPrecision::kBf16), 57'344);
}

TEST(ModelShape, AnIndexerAddsItsWeightsAndItsKeysWhateverTheCachesPrecision) {
  ModelShape shape = v3_shape();
  shape.index_heads = 64;
  shape.index_head_dim = 128;
  EXPECT_EQ(kv_bytes_per_token(shape, KvPrecision::kBf16), 70'272 + 61 * 132);
  EXPECT_EQ(kv_bytes_per_token(shape, KvPrecision::kFp8), 35'136 + 61 * 132);
  EXPECT_EQ(model_sizes(shape, Precision::kBf16).parameters() - 671'026'419'200,
            61 * (64LL * 128 * 1536 + 128 * 7168 + 2 * 128 + 64 * 7168));
}

TEST(ModelShape, ShapesOutsideTheLimitsAreRefusedByTheConfigsOwnName) {
  EXPECT_EQ(bad_field(v3_shape()), "good");
  EXPECT_EQ(bad_field(qwen_7b_shape()), "good");
  EXPECT_EQ(bad_field(small_latent()), "good");
  const auto with = [](auto change) {
    ModelShape shape = v3_shape();
    change(shape);
    return bad_field(shape);
  };
  EXPECT_EQ(with([](ModelShape& s) { s.layers = 0; }), "num_hidden_layers");
  EXPECT_EQ(with([](ModelShape& s) { s.hidden = 1 << 20; }), "hidden_size");
  EXPECT_EQ(with([](ModelShape& s) { s.experts_per_token = 257; }), "num_experts_per_tok");
  EXPECT_EQ(with([](ModelShape& s) { s.first_moe_layer = 62; }), "first_k_dense_replace");
  EXPECT_EQ(with([](ModelShape& s) { s.index_head_dim = 128; }), "index_head_dim");
  EXPECT_EQ(with([](ModelShape& s) { s.dense_intermediate = 0; }), "intermediate_size");
  EXPECT_EQ(
      with([](ModelShape& s) { s.layers = 1024, s.experts = 4096, s.hidden = 65'536, s.moe_intermediate = 1 << 20; }),
      "n_routed_experts");
  ModelShape grouped = qwen_7b_shape();
  grouped.kv_heads = 5;
  EXPECT_EQ(bad_field(grouped), "num_key_value_heads");
}

TEST(Precision, NamesAreReadBackAndUnknownOnesAnswerWithTheList) {
  for (const Precision precision : {Precision::kBf16, Precision::kFp8, Precision::kFp8Block, Precision::kInt4}) {
    EXPECT_TRUE(*parse_precision(precision_name(precision)) == precision);
  }
  for (const KvPrecision precision : {KvPrecision::kBf16, KvPrecision::kFp8, KvPrecision::kF32}) {
    EXPECT_TRUE(*parse_kv_precision(kv_precision_name(precision)) == precision);
  }
  EXPECT_THAT(parse_precision("fp7").error().message, ::testing::HasSubstr("fp8_e4m3_128x128"));
  EXPECT_EQ(parse_kv_precision("int8").error().field, "kv");
}

}  // namespace
}  // namespace tidegate::scheduler
