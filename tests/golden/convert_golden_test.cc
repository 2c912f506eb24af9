// What `model convert` writes of the golden checkpoints gives the golden values too.
#include <gtest/gtest.h>

#include <filesystem>
#include <ostream>
#include <string>

#include "tests/support/temp_dir.h"
#include "worker/convert/convert.h"
#include "worker/verify/verify.h"

namespace tidegate::worker {
namespace {

struct Converted {
  const char* name;
  const char* model;   ///< under the source folder
  const char* golden;  ///< under tests/golden
  ModelFormat format;
};

std::ostream& operator<<(std::ostream& out, const Converted& converted) { return out << converted.name; }

class ConvertGolden : public testing::TestWithParam<Converted> {};

TEST_P(ConvertGolden, EveryTapIsWithinTolerance) {
  const Converted& converted = GetParam();
  const std::filesystem::path source = TG_SOURCE_DIR;
  const test::TempDir dir;
  const auto report = convert_model(source / converted.model, dir.path() / "out",
                                    {.precision = Precision::kF32, .format = converted.format});
  ASSERT_TRUE(report) << report.error().to_string();
  const auto verified = verify_golden(dir.path() / "out", source / "tests/golden" / converted.golden, {.threads = 2});
  ASSERT_TRUE(verified) << verified.error().to_string();
  EXPECT_FALSE(verified->taps.empty());
  for (const TapDifference& tap : verified->taps) {
    // GGUF files have no draft layer.
    if (converted.format == ModelFormat::kGguf && tap.tap.find("mtp") != std::string::npos) continue;
    EXPECT_TRUE(tap.passed()) << to_text(*verified);
  }
}

INSTANTIATE_TEST_SUITE_P(
    , ConvertGolden,
    testing::Values(Converted{"Llama", "tests/golden/llama", "llama", ModelFormat::kGguf},
                    Converted{"Qwen2", "tests/golden/qwen2", "qwen2", ModelFormat::kGguf},
                    Converted{"DeepseekMoe", "tests/golden/deepseek_moe", "deepseek_moe", ModelFormat::kGguf},
                    Converted{"V2", "tests/golden/deepseek_v2", "deepseek_v2", ModelFormat::kGguf},
                    Converted{"V2Lite", "tests/golden/deepseek_v2_lite", "deepseek_v2_lite", ModelFormat::kGguf},
                    Converted{"V3", "tests/golden/deepseek_v3", "deepseek_v3", ModelFormat::kGguf},
                    Converted{"V3Fp8", "tests/golden/deepseek_v3_fp8", "deepseek_v3_fp8", ModelFormat::kGguf},
                    Converted{"V3Fp8Dequantised", "tests/golden/deepseek_v3_fp8", "deepseek_v3_fp8", ModelFormat::kSafetensors},
                    Converted{"TangMoe", "models/tang-moe", "tang_moe", ModelFormat::kGguf},
                    Converted{"TangDistill", "models/tang-distill-qwen2", "tang_distill_qwen2", ModelFormat::kGguf}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

}  // namespace
}  // namespace tidegate::worker
