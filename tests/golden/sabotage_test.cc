// Every formula of the engine that has been got wrong somewhere is broken here, one at a time, in the
// engine's own code path, and verification must notice. The list is the mutation table of
// tests/golden/README.md, line by line.
#include <gtest/gtest.h>

#include <filesystem>

#include "worker/verify/verify.h"

namespace tidegate::worker {
namespace {

struct Sabotage {
  const char* name;
  const char* golden;
  void (*apply)(ModelSpec& spec);
};

std::ostream& operator<<(std::ostream& out, const Sabotage& sabotage) {
  return out << sabotage.name;
}

constexpr const char* kV3 = "deepseek_v3";
constexpr const char* kFp8 = "deepseek_v3_fp8";
constexpr const char* kV2 = "deepseek_v2";
constexpr const char* kLite = "deepseek_v2_lite";
constexpr const char* kMoe = "deepseek_moe";
constexpr const char* kLlama = "llama";
constexpr const char* kQwen2 = "qwen2";

void half_split_becomes_interleaved(ModelSpec& s) { s.formulas.rope.layout = RopeLayout::kInterleaved; }

const Sabotage kSabotages[] = {
    // Router
    {"MaskedGroupsGetZero", kV3, [](ModelSpec& s) { s.formulas.router.group_mask = GroupMask::kZero; }},
    {"BiasLeaksIntoWeights", kV3, [](ModelSpec& s) { s.formulas.router.bias = BiasUse::kChoiceAndWeight; }},
    {"BiasIgnored", kV3, [](ModelSpec& s) { s.formulas.router.bias = BiasUse::kNowhere; }},
    {"BiasRoundedToBf16", kFp8, [](ModelSpec& s) { s.formulas.router.bias_in_bf16 = true; }},
    {"RouterLogitsRoundedToBf16", kV3, [](ModelSpec& s) { s.formulas.router.logits_in_bf16 = true; }},
    {"GroupScoreIsTheMaximum", kV3, [](ModelSpec& s) { s.formulas.router.group_score = GroupScore::kMax; }},
    {"SoftmaxScores", kV3, [](ModelSpec& s) { s.formulas.router.score = RouterScore::kSoftmax; }},
    {"WeightsNotRenormalised", kV3, [](ModelSpec& s) { s.moe.renormalise = false; }},
    {"RoutedScalingDropped", kV3, [](ModelSpec& s) { s.moe.routed_scaling = 1; }},
    {"OneExpertFewer", kV3, [](ModelSpec& s) { s.moe.experts_per_token -= 1; }},
    {"SharedExpertDropped", kV3, [](ModelSpec& s) { s.formulas.router.shared_expert = false; }},
    // Attention
    {"SoftmaxScaleWithoutMscale", kV3, [](ModelSpec& s) { s.formulas.attention.mscale_power = 0; }},
    {"MscaleAppliedOnce", kV3, [](ModelSpec& s) { s.formulas.attention.mscale_power = 1; }},
    {"MscaleOnCosAndSin", kV3, [](ModelSpec& s) { s.formulas.rope.mscale_on_cos_sin = true; }},
    {"YarnIgnored", kV3, [](ModelSpec& s) { s.formulas.rope.ramp = YarnRamp::kOff; }},
    {"YarnRampReversed", kV3, [](ModelSpec& s) { s.formulas.rope.ramp = YarnRamp::kReversed; }},
    {"RopeHalfSplit", kV3, [](ModelSpec& s) { s.formulas.rope.layout = RopeLayout::kHalfSplit; }},
    {"SharedKeyNormed", kV3, [](ModelSpec& s) { s.formulas.attention.norm_k_pe = true; }},
    {"SharedKeyNotRoped", kV3, [](ModelSpec& s) { s.formulas.attention.rope_k_pe = false; }},
    {"QueryNormSkipped", kV3, [](ModelSpec& s) { s.formulas.attention.norm_q_a = false; }},
    {"LatentNormSkipped", kV3, [](ModelSpec& s) { s.formulas.attention.norm_kv_a = false; }},
    {"KeyAndValueSwappedInKvB", kV3, [](ModelSpec& s) { s.formulas.attention.kv_b_value_first = true; }},
    {"QueryRopePartFirst", kV3, [](ModelSpec& s) { s.formulas.attention.query_rope_first = true; }},
    {"OneFutureTokenVisible", kV3, [](ModelSpec& s) { s.formulas.attention.causal_lookahead = 1; }},
    // Draft layer
    {"MtpHalvesSwapped", kV3, [](ModelSpec& s) { s.formulas.mtp.hidden_first = true; }},
    {"MtpEmbedsTheCurrentToken", kV3, [](ModelSpec& s) { s.formulas.mtp.embed_next_token = false; }},
    {"MtpHiddenNotNormed", kV3, [](ModelSpec& s) { s.formulas.mtp.hidden_after_norm = false; }},
    // FP8
    {"Fp8ScaleDivided", kFp8, [](ModelSpec& s) { s.formulas.fp8.scale = Fp8Scale::kDivide; }},
    {"Fp8ScaleIgnored", kFp8, [](ModelSpec& s) { s.formulas.fp8.scale = Fp8Scale::kIgnore; }},
    {"Fp8BlockIsRowsOverBlocks", kFp8, [](ModelSpec& s) { s.formulas.fp8.rows_over_blocks = true; }},
    {"Fp8ColumnsUseBlockZero", kFp8, [](ModelSpec& s) { s.formulas.fp8.first_column_block_only = true; }},
    {"Fp8ExponentBias8", kFp8, [](ModelSpec& s) { s.formulas.fp8.exponent_bias = 8; }},
    // V2
    {"V2SoftmaxOverKeptGroups", kV2,
     [](ModelSpec& s) { s.formulas.router.softmax_over = SoftmaxOver::kKeptGroups; }},
    {"V2GroupLimitIgnored", kV2, [](ModelSpec& s) { s.moe.groups = s.moe.groups_kept = 1; }},
    {"V2Renormalised", kV2, [](ModelSpec& s) { s.moe.renormalise = true; }},
    {"V2RoutedScalingDropped", kV2, [](ModelSpec& s) { s.moe.routed_scaling = 1; }},
    {"V2GroupScoreIsATopTwoSum", kV2,
     [](ModelSpec& s) { s.formulas.router.group_score = GroupScore::kTopTwoSum; }},
    // V2-Lite, in whose numbers both bounds of the yarn ramp are fractional
    {"YarnUpperBoundRoundedDown", kLite,
     [](ModelSpec& s) { s.formulas.rope.bounds = YarnBounds::kUpperFloored; }},
    {"YarnLowerBoundNotRounded", kLite,
     [](ModelSpec& s) { s.formulas.rope.bounds = YarnBounds::kLowerUnrounded; }},
    {"LiteMscaleTakenAsOne", kLite, [](ModelSpec& s) { s.yarn->mscale = s.yarn->mscale_all_dim = 1; }},
    {"LiteRenormalised", kLite, [](ModelSpec& s) { s.moe.renormalise = true; }},
    {"LiteSigmoidScores", kLite, [](ModelSpec& s) { s.formulas.router.score = RouterScore::kSigmoid; }},
    // MoE-16B
    {"MoeRenormalised", kMoe, [](ModelSpec& s) { s.moe.renormalise = true; }},
    {"MoeInterleavedRope", kMoe, half_split_becomes_interleaved},
    // Llama
    {"LlamaInterleavedRope", kLlama, half_split_becomes_interleaved},
    {"Llama3ScalingIgnored", kLlama, [](ModelSpec& s) { s.formulas.rope.llama3 = Llama3Ramp::kOff; }},
    {"Llama3AllFrequenciesDivided", kLlama,
     [](ModelSpec& s) { s.formulas.rope.llama3 = Llama3Ramp::kAllDivided; }},
    {"LlamaKvHeadsTiled", kLlama,
     [](ModelSpec& s) { s.formulas.attention.kv_sharing = KvHeadSharing::kTiled; }},
    // Qwen2
    {"Qwen2BiasesIgnored", kQwen2, [](ModelSpec& s) { s.formulas.attention.qkv_bias = false; }},
    {"Qwen2InterleavedRope", kQwen2, half_split_becomes_interleaved},
    {"SiluReplacedByGelu", kQwen2, [](ModelSpec& s) { s.formulas.feed_forward.gate = GateFunction::kGelu; }},
};

class SabotagedEngine : public testing::TestWithParam<Sabotage> {};

TEST_P(SabotagedEngine, FailsVerification) {
  const Sabotage& sabotage = GetParam();
  const auto folder = std::filesystem::path(TG_SOURCE_DIR) / "tests/golden" / sabotage.golden;
  const auto report = verify_golden(folder, folder, {.threads = 1, .adjust = sabotage.apply});
  // It must run to the end and be found wrong; failing to load would prove nothing.
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(report->passed()) << to_text(*report);
}

INSTANTIATE_TEST_SUITE_P(, SabotagedEngine, testing::ValuesIn(kSabotages),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(Sabotage, NoneGoesUnnoticedBecauseTheUntouchedEnginePasses) {
  for (const char* golden : {kV3, kFp8, kV2, kLite, kMoe, kLlama, kQwen2}) {
    const auto folder = std::filesystem::path(TG_SOURCE_DIR) / "tests/golden" / golden;
    const auto report = verify_golden(folder, folder, {.threads = 1, .adjust = [](ModelSpec&) {}});
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_TRUE(report->passed()) << to_text(*report);
  }
}

/// A new row in the table must get a sabotage here.
TEST(Sabotage, CoversTheWholeTable) {
  EXPECT_EQ(std::size(kSabotages), 51u);
}

}  // namespace
}  // namespace tidegate::worker
