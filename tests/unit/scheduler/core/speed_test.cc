#include "scheduler/core/speed.h"

#include <gmock/gmock.h>

#include "tests/unit/scheduler/core/test_shapes.h"

namespace tidegate::scheduler {
namespace {

AcceleratorKind h800() {
  AcceleratorKind kind = accelerator("h800-80", 79.6);
  kind.bandwidth_bytes_per_s = 3'350'000'000'000;
  kind.bf16_flops = 989'000'000'000'000;
  kind.fp8_flops = 1'979'000'000'000'000;
  kind.link_bytes_per_s = 200'000'000'000;
  return kind;
}

Fit v3_on(std::string_view layout, const AcceleratorKind& kind) {
  return *fit(v3_shape(), Precision::kFp8Block, *parse_layout(layout), kind, 163'840);
}

// The one public figure of a large service: 226.75 nodes of 8, 168e9 answer tokens and 266e9 uncached prompt tokens a
// day, 4,989 tokens of cache per answer token. 88 sequences a rank give its users' pace.
TEST(Speed, EstimateIsWithinAQuarterOfThePublishedService) {
  const AcceleratorKind kind = h800();
  const auto prefill = estimate_speed(v3_shape(), Precision::kFp8Block, v3_on("EP32", kind), kind, 4'989, 32);
  const auto decode = estimate_speed(v3_shape(), Precision::kFp8Block, v3_on("EP144", kind), kind, 4'989, 144 * 88);
  ASSERT_TRUE(prefill && decode);
  const double prompt_per_node = prefill->prefill_tokens_per_s / 4;
  const double answer_per_node = decode->decode_tokens_per_s / 18;
  EXPECT_NEAR(prompt_per_node, 32'200, 32'200 * 0.25);
  EXPECT_NEAR(answer_per_node, 14'800, 14'800 * 0.25);
  EXPECT_NEAR(decode->decode_tokens_per_s_each, 21, 5);  // its users saw 20 to 22
}

TEST(Speed, MoreSequencesAreFasterTogetherAndSlowerEach) {
  const AcceleratorKind kind = h800();
  const Fit fit = v3_on("DP16+EP16", kind);
  const auto few = estimate_speed(v3_shape(), Precision::kFp8Block, fit, kind, 4096, 16);
  const auto many = estimate_speed(v3_shape(), Precision::kFp8Block, fit, kind, 4096, 512);
  ASSERT_TRUE(few && many);
  EXPECT_GT(many->decode_tokens_per_s, few->decode_tokens_per_s);
  EXPECT_LT(many->decode_tokens_per_s_each, few->decode_tokens_per_s_each);
}

TEST(Speed, LongerContextsAreSlower) {
  const AcceleratorKind kind = h800();
  const Fit fit = v3_on("TP16", kind);
  const auto brief = estimate_speed(v3_shape(), Precision::kFp8Block, fit, kind, 1024, 4);
  const auto lengthy = estimate_speed(v3_shape(), Precision::kFp8Block, fit, kind, 65'536, 4);
  ASSERT_TRUE(brief && lengthy);
  EXPECT_LT(lengthy->prefill_tokens_per_s, brief->prefill_tokens_per_s);
  EXPECT_LT(lengthy->decode_tokens_per_s, brief->decode_tokens_per_s);
}

TEST(Speed, OneSequenceCannotBeFasterThanItsWeightsAreRead) {
  AcceleratorKind kind = h800();
  kind.link_bytes_per_s = 0;
  const ModelShape shape = qwen_7b_shape();
  const auto found = fit(shape, Precision::kBf16, {}, kind, 131'072);
  ASSERT_TRUE(found);
  const auto speed = estimate_speed(shape, Precision::kBf16, *found, kind, 1, 1);
  ASSERT_TRUE(speed);
  const double ceiling =
      static_cast<double>(kind.bandwidth_bytes_per_s) / static_cast<double>(found->weights_bytes_per_rank);
  EXPECT_LT(speed->decode_tokens_per_s, ceiling);
  EXPECT_GT(speed->decode_tokens_per_s, ceiling / 3);
}

TEST(Speed, UnsetContextAndBatchAreChosenWithinTheFit) {
  const AcceleratorKind kind = h800();
  const Fit fit = v3_on("TP16", kind);
  const auto speed = estimate_speed(v3_shape(), Precision::kFp8Block, fit, kind);
  ASSERT_TRUE(speed);
  EXPECT_EQ(speed->context, 4096);
  EXPECT_EQ(speed->batch, fit.kv_tokens_per_group / 4096);
  const auto refused = estimate_speed(v3_shape(), Precision::kFp8Block, fit, kind, 4096, speed->batch + 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field, "batch");
}

TEST(Speed, UnknownHardwareIsRefusedNotGuessed) {
  AcceleratorKind kind = h800();
  const Fit fit = v3_on("TP16", kind);
  kind.bandwidth_bytes_per_s = 0;
  EXPECT_EQ(estimate_speed(v3_shape(), Precision::kFp8Block, fit, kind).error().reason, "unknown_speed");
  kind = h800();
  kind.bf16_flops = 0;
  EXPECT_TRUE(estimate_speed(v3_shape(), Precision::kFp8Block, fit, kind));
  EXPECT_EQ(estimate_speed(v3_shape(), Precision::kBf16, fit, kind).error().reason, "unknown_speed");
}

}  // namespace
}  // namespace tidegate::scheduler
