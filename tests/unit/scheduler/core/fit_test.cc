#include "scheduler/core/fit.h"

#include <gmock/gmock.h>

#include "base/core/random.h"
#include "tests/unit/scheduler/core/test_shapes.h"

namespace tidegate::scheduler {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kContext = 163'840;
constexpr double kGiB = 1 << 30;

const AcceleratorKind kH20 = accelerator("h20-96", 95.6);
const AcceleratorKind kH200 = accelerator("h200-141", 140.4);
const AcceleratorKind kH100 = accelerator("h100-80", 79.6);

Result<Fit> v3_fit(std::string_view layout, const AcceleratorKind& on, FitOptions options = {}) {
  return fit(v3_shape(), Precision::kFp8Block, *parse_layout(layout), on, kContext, options);
}
double gib_per_rank(const Result<Fit>& found) {
  return found ? static_cast<double>(found->weights_bytes_per_rank) / kGiB : 0;
}

// The published plan of V3 FP8 at 90 % of memory, 4 GiB slack, BF16 cache.
TEST(Fit, V3OnTensorParallelRanksHoldsWhatThePlanSays) {
  EXPECT_EQ(v3_fit("TP8", kH20)->kv_tokens, 56'153);  // a vendor documents 56,000
  EXPECT_EQ(v3_fit("TP8", kH200)->kv_tokens, 672'234);
  EXPECT_EQ(v3_fit("TP16", kH100)->kv_tokens, 434'825);
  EXPECT_EQ(v3_fit("TP32", kH100)->kv_tokens, 734'175);
  EXPECT_NEAR(gib_per_rank(v3_fit("TP8", kH20)), 78.4, 0.05);
  EXPECT_NEAR(gib_per_rank(v3_fit("TP16", kH100)), 39.2, 0.05);
  EXPECT_NEAR(gib_per_rank(v3_fit("TP32", kH100)), 19.6, 0.05);
}

TEST(Fit, V3WithDataParallelAttentionHoldsWhatThePlanSays) {
  EXPECT_EQ(v3_fit("DP8+EP8", kH200)->kv_tokens, 3'871'698);
  EXPECT_EQ(v3_fit("DP16+EP16", kH100)->kv_tokens, 3'729'676);
  EXPECT_EQ(v3_fit("DP32+EP32", kH100)->kv_tokens, 16'823'400);
  EXPECT_NEAR(gib_per_rank(v3_fit("DP8+EP8", kH200)), 90.7, 0.05);
  EXPECT_NEAR(gib_per_rank(v3_fit("DP16+EP16", kH100)), 52.4, 0.05);
  EXPECT_NEAR(gib_per_rank(v3_fit("DP32+EP32", kH100)), 33.2, 0.05);
}

TEST(Fit, V3InExpertUnitsHoldsWhatThePlanSaysOnEachRank) {
  const auto prefill = v3_fit("EP32", kH100);
  const auto decode = v3_fit("EP144", kH100);
  ASSERT_TRUE(prefill && decode);
  EXPECT_EQ(prefill->experts_per_rank, 9);
  EXPECT_EQ(decode->experts_per_rank, 2);
  EXPECT_EQ(prefill->kv_tokens_per_group, 437'812);
  EXPECT_EQ(decode->kv_tokens_per_group, 692'319);
  EXPECT_NEAR(gib_per_rank(prefill), 39.0, 0.05);
  EXPECT_NEAR(gib_per_rank(decode), 22.3, 0.05);
}

TEST(Fit, WhatDoesNotFitSaysWhatIsMissingAndTheNearestThatDoes) {
  const auto found = v3_fit("DP8+EP8", kH20);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().reason, "does_not_fit");
  EXPECT_EQ(found.error().field, "layout");
  EXPECT_THAT(found.error().message, HasSubstr("90.7 GiB"));  // of weights
  EXPECT_THAT(found.error().message, HasSubstr("82.0 GiB"));  // usable
  EXPECT_THAT(found.error().message, HasSubstr("8.6 GiB each are missing"));
  EXPECT_THAT(found.error().message, HasSubstr("TP8 (8 accelerators, 56153 tokens of KV)"));
}

TEST(Fit, NothingFitsIsSaidToo) {
  const auto found = v3_fit("TP8", accelerator("small", 8));
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, HasSubstr("no layout of up to 64"));
  EXPECT_EQ(nearest_fit(v3_shape(), Precision::kFp8Block, 8, accelerator("small", 8), kContext).error().reason,
            "nothing_fits");
}

TEST(Fit, ALatentCacheIsNotCutByTensorParallelismGroupedKeysAre) {
  EXPECT_EQ(v3_fit("TP8", kH200)->kv_bytes_per_token_rank, 70'272);
  const auto tp4 = fit(qwen_7b_shape(), Precision::kBf16, *parse_layout("TP4"), accelerator("a10", 22.3), 131'072);
  const auto tp28 = fit(qwen_7b_shape(), Precision::kBf16, *parse_layout("TP28"), accelerator("a10", 22.3), 131'072);
  ASSERT_TRUE(tp4 && tp28);
  EXPECT_EQ(tp4->kv_bytes_per_token_rank, 57'344 / 4);
  EXPECT_EQ(tp4->kv_tokens, 938'004);
  EXPECT_EQ(tp28->kv_bytes_per_token_rank, 57'344 / 4);  // a key head is never cut
  EXPECT_THAT(tp28->notes, ::testing::Contains(HasSubstr("wider than the 4 key heads")));
}

TEST(Fit, StagesShareLayersAndTheFullestDecides) {
  const auto found = v3_fit("TP4+PP2", kH20);
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(found->kv_tokens, 37'235);
  EXPECT_EQ(found->weights_bytes_per_rank, 86'802'947'584);
  EXPECT_EQ(found->kv_bytes_per_token_rank, 30 * 1152);  // the second of 31 + 30 layers: fewer, but no dense ones
  EXPECT_EQ(v3_fit("PP8", kH20).error().reason, "does_not_fit");
}

TEST(Fit, HalfTheCachePrecisionHoldsTwiceTheTokens) {
  const auto bf16 = v3_fit("TP8", kH200);
  const auto fp8 = v3_fit("TP8", kH200, {.kv = KvPrecision::kFp8});
  EXPECT_NEAR(static_cast<double>(fp8->kv_tokens) / static_cast<double>(bf16->kv_tokens), 2, 1e-4);
}

TEST(Fit, DraftLayersCostWeightsAndCache) {
  const auto plain = v3_fit("TP8", kH200);
  const auto draft = v3_fit("TP8", kH200, {.with_draft = true});
  ASSERT_TRUE(plain && draft);
  EXPECT_EQ(draft->kv_bytes_per_token, 62 * 1152);
  EXPECT_EQ(draft->weights_bytes - plain->weights_bytes, model_sizes(v3_shape(), Precision::kFp8Block).draft.bytes);
  EXPECT_EQ(fit(qwen_7b_shape(), Precision::kBf16, {}, kH100, 4096, {.with_draft = true}).error().reason, "no_draft");
}

TEST(Fit, LongestContextIsBoundByWhereOneSequenceLivesAndByTheModel) {
  const auto small = v3_fit("TP8", kH20);
  EXPECT_EQ(small->context_max, 56'153);
  const auto large = v3_fit("DP8+EP8", kH200);
  EXPECT_EQ(large->context_max, kContext);
  EXPECT_EQ(large->concurrency, 8 * (large->kv_tokens_per_group / kContext));
  EXPECT_EQ(v3_fit("TP8", kH20, {.context = 4096})->concurrency, 56'153 / 4096);
}

TEST(Fit, AContextThatIsTooLongIsRefusedWithWhatWouldHoldIt) {
  const auto found = v3_fit("TP8", kH20, {.context = 131'072});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().reason, "context_too_long");
  EXPECT_THAT(found.error().message, HasSubstr("74919 fewer"));
  EXPECT_THAT(found.error().message, HasSubstr("the nearest that fits is"));
  EXPECT_THAT(v3_fit("TP8", kH200, {.context = kContext + 1}).error().message, HasSubstr("163840"));
}

TEST(Fit, OptionsOutsideTheirLimitsAreNamed) {
  const auto field = [](FitOptions options) {
    const auto found = v3_fit("TP8", kH200, options);
    return found ? std::string("accepted") : found.error().field;
  };
  EXPECT_EQ(field({.utilisation_permille = 0}), "utilisation");
  EXPECT_EQ(field({.utilisation_permille = 1001}), "utilisation");
  EXPECT_EQ(field({.slack_bytes = -1}), "slack");
  EXPECT_EQ(field({.context = -1}), "context");
  EXPECT_EQ(v3_fit("TP8", AcceleratorKind{.name = "unknown"}).error().reason, "unknown_memory");
  EXPECT_EQ(v3_fit("TP3", kH200).error().reason, "layout_not_allowed");
}

TEST(Fit, NearestKeepsToTheRanksAskedForWhenTheyFit) {
  const auto on_eight = nearest_fit(v3_shape(), Precision::kFp8Block, 8, kH200, kContext);
  ASSERT_TRUE(on_eight);
  EXPECT_EQ(on_eight->ranks, 8);
  EXPECT_GE(on_eight->kv_tokens, 3'871'698);
  const auto bf16 = nearest_fit(v3_shape(), Precision::kBf16, 8, kH100, kContext);
  ASSERT_TRUE(bf16);
  EXPECT_EQ(bf16->ranks, 32);  // 1,250 GiB
}

// What a plan promises is there: no accepted plan asks a rank for more than its memory.
TEST(Fit, NoAcceptedPlanOverfillsARank) {
  Rng random(20250120);
  const auto below = [&random](std::uint64_t most) { return static_cast<std::int64_t>(random.below(most)); };
  const std::vector<Layout> layouts = candidate_layouts(v3_shape(), 128);
  int accepted = 0;
  for (int i = 0; i < 10'000; ++i) {
    const AcceleratorKind card = accelerator("card", 16 + static_cast<double>(below(2'000)) / 10);
    const FitOptions options{.utilisation_permille = static_cast<std::int32_t>(500 + below(501)),
                             .slack_bytes = below(8) << 30,
                             .kv = below(2) == 0 ? KvPrecision::kBf16 : KvPrecision::kFp8,
                             .with_draft = below(2) == 0};
    const Layout& layout = layouts[static_cast<std::size_t>(below(layouts.size()))];
    const auto precision = static_cast<Precision>(below(4));
    const auto found = fit(v3_shape(), precision, layout, card, kContext, options);
    if (!found) continue;
    ++accepted;
    // The newest token has no entry.
    const std::int64_t cache = (found->kv_tokens_per_group - 1) * found->kv_bytes_per_token_rank;
    const std::int64_t used = found->weights_bytes_per_rank + cache + options.slack_bytes;
    ASSERT_LE(used, card.memory_bytes * options.utilisation_permille / 1000) << layout.to_string();
    ASSERT_GE(found->context_max, 1);
    ASSERT_GE(found->kv_tokens, found->kv_tokens_per_group);
  }
  EXPECT_GT(accepted, 1'000);
}

TEST(PredictedKvTokens, FollowTheSequencesUntilTheMemoryEnds) {
  ModelShape tang;  // cache of 64 + 16 floats in 6 layers: 1,920 bytes a token
  tang.layers = 6;
  tang.kv_lora_rank = 64;
  tang.rope_dim = 16;
  EXPECT_EQ(predicted_kv_tokens(tang, 1024, {}), 16 * 1024);
  EXPECT_EQ(predicted_kv_tokens(tang, 1000, {.sequences_max = 3}), 3 * 1024);  // whole blocks of 64
  EXPECT_EQ(predicted_kv_tokens(tang, 1024, {.sequences_max = 16, .kv_bytes_max = 1 << 20}),
            (1 << 20) / (64 * 1920) * 64);
  EXPECT_EQ(predicted_kv_tokens(tang, 1024, {.sequences_max = 16, .kv_bytes_max = 64 * 1920 - 1}), 0);
}

}  // namespace
}  // namespace tidegate::scheduler
