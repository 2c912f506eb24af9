#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"
#include "worker/verify/verify.h"

namespace tidegate::worker {
namespace {

struct Golden {
  const char* name;
  const char* model;
  std::size_t taps_min;  ///< fewer rows in the report mean that something was silently skipped
};

std::ostream& operator<<(std::ostream& out, const Golden& golden) {
  return out << golden.name;
}

std::filesystem::path source() {
  return TG_SOURCE_DIR;
}

class EngineGolden : public testing::TestWithParam<std::tuple<Golden, CpuIsa>> {};

TEST_P(EngineGolden, EveryTapOfEveryCaseIsWithinTolerance) {
  const auto& [golden, isa] = GetParam();
  // The kernels' bits are equal (tests/unit/worker/backend/kernels_test.cc), so the large models run on the
  // widest alone: software fma makes the scalar reference 50 times slower.
  const bool is_large = std::string_view(golden.name).starts_with("tang_");
  if (is_large && isa != resolve_isa(CpuIsa::kAuto)) GTEST_SKIP() << "the small ones cover " << isa_name(isa);
  const auto report = verify_golden(source() / golden.model, source() / "tests/golden" / golden.name,
                                    {.threads = 2, .isa = isa});
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(report->passed()) << to_text(*report);
  EXPECT_GE(report->taps.size(), golden.taps_min) << to_text(*report);
  EXPECT_EQ(report->kernels, isa_name(isa));
}

TEST(VerifyReport, NamesWhatTheGoldenFileSaysNothingAbout) {
  const auto model = source() / "tests/golden/deepseek_v3";
  const auto whole = verify_golden(model, model, {.threads = 1});
  ASSERT_TRUE(whole) << whole.error().to_string();
  EXPECT_TRUE(whole->not_covered.empty()) << to_text(*whole);

  const test::TempDir dir;  // the same cases without their tensors
  std::filesystem::copy_file(model / "golden.json", dir.file("golden.json"));
  const auto bare = verify_golden(model, dir.file("golden.json"), {.threads = 1});
  ASSERT_TRUE(bare) << bare.error().to_string();
  EXPECT_EQ(bare->not_covered, (std::vector<std::string>{"router", "mtp"}));
  const std::string text = to_text(*bare);
  EXPECT_NE(text.find("not covered: router\nnot covered: mtp\n"), std::string::npos) << text;
  EXPECT_EQ(to_json(*bare).at("not_covered").as_array().size(), 2U);
}

INSTANTIATE_TEST_SUITE_P(
    , EngineGolden,
    testing::Combine(testing::Values(Golden{"deepseek_v3", "tests/golden/deepseek_v3", 23},
                                     Golden{"deepseek_v3_fp8", "tests/golden/deepseek_v3_fp8", 23},
                                     Golden{"deepseek_v2", "tests/golden/deepseek_v2", 21},
                                     Golden{"deepseek_v2_lite", "tests/golden/deepseek_v2_lite", 21},
                                     Golden{"deepseek_moe", "tests/golden/deepseek_moe", 21},
                                     Golden{"llama", "tests/golden/llama", 17},
                                     Golden{"qwen2", "tests/golden/qwen2", 17},
                                     Golden{"tang_distill_qwen2", "models/tang-distill-qwen2", 16},
                                     Golden{"tang_moe", "models/tang-moe", 24}),
                     testing::Values(CpuIsa::kScalar, CpuIsa::kAvx2, CpuIsa::kAvx512)),
    [](const auto& param_info) {
      return std::string(std::get<0>(param_info.param).name) + "_" +
             std::string(isa_name(std::get<1>(param_info.param)));
    });

}  // namespace
}  // namespace tidegate::worker
