// Every formula of the engine that has been got wrong somewhere is broken here, one at a time, in the
// engine's own code path, and verification must notice. The list is the mutation table of
// tests/golden/README.md, line by line.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "worker/verify/verify.h"

namespace tidegate::worker {
namespace {

struct Sabotage {
  const char* name;    ///< of the test that must fail to find fault: SabotagedEngine.FailsVerification/<name>
  const char* row;     ///< of the mutation table, word by word
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
    {"MaskedGroupsGetZero", "masked groups get 0 instead of -inf", kV3,
     [](ModelSpec& s) { s.formulas.router.group_mask = GroupMask::kZero; }},
    {"BiasLeaksIntoWeights", "correction bias leaks into the weights", kV3,
     [](ModelSpec& s) { s.formulas.router.bias = BiasUse::kChoiceAndWeight; }},
    {"BiasIgnored", "correction bias ignored", kV3, [](ModelSpec& s) { s.formulas.router.bias = BiasUse::kNowhere; }},
    {"BiasRoundedToBf16", "correction bias rounded to bf16", kFp8,
     [](ModelSpec& s) { s.formulas.router.bias_in_bf16 = true; }},
    {"RouterLogitsRoundedToBf16", "router logits rounded to bf16", kV3,
     [](ModelSpec& s) { s.formulas.router.logits_in_bf16 = true; }},
    {"GroupScoreIsTheMaximum", "group score is the maximum, not the top-2 sum", kV3,
     [](ModelSpec& s) { s.formulas.router.group_score = GroupScore::kMax; }},
    {"SoftmaxScores", "softmax scores in V3", kV3,
     [](ModelSpec& s) { s.formulas.router.score = RouterScore::kSoftmax; }},
    {"WeightsNotRenormalised", "weights not renormalised in V3", kV3, [](ModelSpec& s) { s.moe.renormalise = false; }},
    {"RoutedScalingDropped", "routed scaling dropped in V3", kV3, [](ModelSpec& s) { s.moe.routed_scaling = 1; }},
    {"OneExpertFewer", "one expert fewer", kV3, [](ModelSpec& s) { s.moe.experts_per_token -= 1; }},
    {"SharedExpertDropped", "shared expert dropped", kV3,
     [](ModelSpec& s) { s.formulas.router.shared_expert = false; }},
    // Attention
    {"SoftmaxScaleWithoutMscale", "softmax scale without m^2", kV3,
     [](ModelSpec& s) { s.formulas.attention.mscale_power = 0; }},
    {"MscaleAppliedOnce", "m^2 applied once, not squared", kV3,
     [](ModelSpec& s) { s.formulas.attention.mscale_power = 1; }},
    {"MscaleOnCosAndSin", "m put on cos/sin as well", kV3,
     [](ModelSpec& s) { s.formulas.rope.mscale_on_cos_sin = true; }},
    {"YarnIgnored", "yarn ignored", kV3, [](ModelSpec& s) { s.formulas.rope.ramp = YarnRamp::kOff; }},
    {"YarnRampReversed", "yarn ramp reversed", kV3, [](ModelSpec& s) { s.formulas.rope.ramp = YarnRamp::kReversed; }},
    {"RopeHalfSplit", "rope half-split in MLA", kV3,
     [](ModelSpec& s) { s.formulas.rope.layout = RopeLayout::kHalfSplit; }},
    {"SharedKeyNormed", "k_pe normed", kV3, [](ModelSpec& s) { s.formulas.attention.norm_k_pe = true; }},
    {"SharedKeyNotRoped", "k_pe not roped", kV3, [](ModelSpec& s) { s.formulas.attention.rope_k_pe = false; }},
    {"QueryNormSkipped", "q_a norm skipped", kV3, [](ModelSpec& s) { s.formulas.attention.norm_q_a = false; }},
    {"LatentNormSkipped", "kv_a norm skipped", kV3, [](ModelSpec& s) { s.formulas.attention.norm_kv_a = false; }},
    {"KeyAndValueSwappedInKvB", "k_nope and v swapped in kv_b", kV3,
     [](ModelSpec& s) { s.formulas.attention.kv_b_value_first = true; }},
    {"QueryRopePartFirst", "query rope part taken first", kV3,
     [](ModelSpec& s) { s.formulas.attention.query_rope_first = true; }},
    {"OneFutureTokenVisible", "causal mask lets one future token in", kV3,
     [](ModelSpec& s) { s.formulas.attention.causal_lookahead = 1; }},
    // Draft layer
    {"MtpHalvesSwapped", "MTP halves swapped", kV3, [](ModelSpec& s) { s.formulas.mtp.hidden_first = true; }},
    {"MtpEmbedsTheCurrentToken", "MTP embeds the current token, not the next", kV3,
     [](ModelSpec& s) { s.formulas.mtp.embed_next_token = false; }},
    {"MtpHiddenNotNormed", "MTP hidden state not normed", kV3,
     [](ModelSpec& s) { s.formulas.mtp.hidden_after_norm = false; }},
    // FP8
    {"Fp8ScaleDivided", "FP8 scale divided", kFp8, [](ModelSpec& s) { s.formulas.fp8.scale = Fp8Scale::kDivide; }},
    {"Fp8ScaleIgnored", "FP8 scale ignored", kFp8, [](ModelSpec& s) { s.formulas.fp8.scale = Fp8Scale::kIgnore; }},
    {"Fp8BlockIsRowsOverBlocks", "FP8 block = rows // blocks (not 128)", kFp8,
     [](ModelSpec& s) { s.formulas.fp8.rows_over_blocks = true; }},
    {"Fp8ColumnsUseBlockZero", "FP8 columns use block 0", kFp8,
     [](ModelSpec& s) { s.formulas.fp8.first_column_block_only = true; }},
    {"Fp8ExponentBias8", "E4M3 exponent bias 8", kFp8, [](ModelSpec& s) { s.formulas.fp8.exponent_bias = 8; }},
    // V2
    {"V2SoftmaxOverKeptGroups", "V2 softmax only over the kept groups", kV2,
     [](ModelSpec& s) { s.formulas.router.softmax_over = SoftmaxOver::kKeptGroups; }},
    {"V2GroupLimitIgnored", "V2 group limit ignored", kV2, [](ModelSpec& s) { s.moe.groups = s.moe.groups_kept = 1; }},
    {"V2Renormalised", "V2 renormalised", kV2, [](ModelSpec& s) { s.moe.renormalise = true; }},
    {"V2RoutedScalingDropped", "V2 routed scaling dropped", kV2, [](ModelSpec& s) { s.moe.routed_scaling = 1; }},
    {"V2GroupScoreIsATopTwoSum", "V2 group score is a top-2 sum", kV2,
     [](ModelSpec& s) { s.formulas.router.group_score = GroupScore::kTopTwoSum; }},
    // V2-Lite, in whose numbers both bounds of the yarn ramp are fractional
    {"YarnUpperBoundRoundedDown", "yarn upper bound rounded down", kLite,
     [](ModelSpec& s) { s.formulas.rope.bounds = YarnBounds::kUpperFloored; }},
    {"YarnLowerBoundNotRounded", "yarn lower bound not rounded", kLite,
     [](ModelSpec& s) { s.formulas.rope.bounds = YarnBounds::kLowerUnrounded; }},
    {"LiteMscaleTakenAsOne", "Lite: mscale taken as 1", kLite,
     [](ModelSpec& s) { s.yarn->mscale = s.yarn->mscale_all_dim = 1; }},
    {"LiteRenormalised", "Lite: renormalised", kLite, [](ModelSpec& s) { s.moe.renormalise = true; }},
    {"LiteSigmoidScores", "Lite: sigmoid scores", kLite,
     [](ModelSpec& s) { s.formulas.router.score = RouterScore::kSigmoid; }},
    // MoE-16B
    {"MoeRenormalised", "MoE-16B: renormalised", kMoe, [](ModelSpec& s) { s.moe.renormalise = true; }},
    {"MoeInterleavedRope", "MoE-16B: interleaved rope", kMoe, half_split_becomes_interleaved},
    // Llama
    {"LlamaInterleavedRope", "Llama: interleaved rope", kLlama, half_split_becomes_interleaved},
    {"Llama3ScalingIgnored", "Llama: llama3 scaling ignored", kLlama,
     [](ModelSpec& s) { s.formulas.rope.llama3 = Llama3Ramp::kOff; }},
    {"Llama3AllFrequenciesDivided", "Llama: all frequencies divided", kLlama,
     [](ModelSpec& s) { s.formulas.rope.llama3 = Llama3Ramp::kAllDivided; }},
    {"LlamaKvHeadsTiled", "Llama: kv heads tiled, not repeated", kLlama,
     [](ModelSpec& s) { s.formulas.attention.kv_sharing = KvHeadSharing::kTiled; }},
    // Qwen2
    {"Qwen2BiasesIgnored", "Qwen2: biases ignored", kQwen2,
     [](ModelSpec& s) { s.formulas.attention.qkv_bias = false; }},
    {"Qwen2InterleavedRope", "Qwen2: interleaved rope", kQwen2, half_split_becomes_interleaved},
    {"SiluReplacedByGelu", "SiLU replaced by GELU", kQwen2,
     [](ModelSpec& s) { s.formulas.feed_forward.gate = GateFunction::kGelu; }},
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

/// The rows of the mutation table of tests/golden/README.md: what is sabotaged, and on which golden folder it shows.
std::multimap<std::string, std::string> mutation_table() {
  std::multimap<std::string, std::string> rows;
  std::ifstream readme(TG_SOURCE_DIR "/tests/golden/README.md");
  bool is_inside = false;
  for (std::string line; std::getline(readme, line);) {
    if (line.starts_with("| sabotage | golden |")) {
      is_inside = true;
    } else if (!line.starts_with("|")) {
      is_inside = false;
    } else if (is_inside && !line.starts_with("| ---")) {
      const std::size_t first = line.find(" | ");
      const std::size_t second = line.find(" | ", first + 3);
      if (first == std::string::npos || second == std::string::npos) {
        ADD_FAILURE() << "not a row: " << line;
        continue;
      }
      rows.emplace(line.substr(2, first - 2), line.substr(first + 3, second - first - 3));
    }
  }
  return rows;
}

/// Each row has its sabotage here, and each sabotage its row: a new row fails until somebody breaks the engine that way.
TEST(Sabotage, CoversTheWholeTable) {
  std::multimap<std::string, std::string> broken;
  for (const Sabotage& sabotage : kSabotages) broken.emplace(sabotage.row, sabotage.golden);
  EXPECT_EQ(broken.size(), 51u);
  EXPECT_EQ(broken, mutation_table());
}

}  // namespace
}  // namespace tidegate::worker
