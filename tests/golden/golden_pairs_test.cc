// What `tidegate engine verify --all` goes through.
#include "worker/verify/golden_pairs.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"
#include "worker/model/architecture.h"
#include "worker/verify/report.h"

namespace tidegate::worker::golden_pairs_test {
namespace {

const std::filesystem::path kSource = TG_SOURCE_DIR;

TEST(GoldenPairs, EveryArchitectureAndBothDemoModelsAreThere) {
  const auto pairs = golden_pairs(kSource / "tests/golden", kSource / "models");
  ASSERT_TRUE(pairs) << pairs.error().to_string();
  std::vector<std::string> names, classes;
  for (const GoldenPair& pair : *pairs) {
    names.push_back(pair.name);
    const auto spec = read_model_spec(pair.model);
    ASSERT_TRUE(spec) << pair.name << ": " << spec.error().to_string();
    classes.push_back(spec->architecture);
  }
  EXPECT_THAT(names, testing::ElementsAre("deepseek_moe", "deepseek_v2", "deepseek_v2_lite", "deepseek_v3", "deepseek_v3_fp8",
                                          "llama", "qwen2", "tang_distill_qwen2", "tang_moe"));
  for (const Architecture& known : architectures()) {
    EXPECT_THAT(classes, testing::Contains(std::string(known.name))) << "an architecture without golden values";
  }
}

TEST(GoldenPairs, AGoldenFileWithoutItsModelIsNoPass) {
  const auto pairs = golden_pairs(kSource / "tests/golden", "");
  ASSERT_FALSE(pairs);
  EXPECT_EQ(pairs.error().reason, "no_model");
  EXPECT_THAT(pairs.error().message, testing::HasSubstr("tang"));
}

TEST(GoldenPairs, AFolderWithoutGoldenFilesIsAnError) {
  const test::TempDir dir;
  EXPECT_EQ(golden_pairs(dir.path(), "").error().reason, "no_golden");
  EXPECT_EQ(golden_pairs(dir.path() / "nowhere", "").error().reason, "no_golden");
  std::filesystem::create_directory(dir.path() / "one_model");
  std::ofstream(dir.path() / "one_model" / "golden.json") << "{}";
  std::filesystem::create_directory(dir.path() / "one-model");
  std::ofstream(dir.path() / "one-model" / "config.json") << "{}";
  const auto pairs = golden_pairs(dir.path(), dir.path());
  ASSERT_TRUE(pairs) << pairs.error().to_string();
  ASSERT_EQ(pairs->size(), 1U);
  EXPECT_EQ(pairs->front().model, dir.path() / "one-model");
}

TEST(VerifyReport, TheTapNearestToItsToleranceIsNamed) {
  VerifyReport report;
  EXPECT_EQ(report.nearest(), nullptr);
  report.taps = {{"a", 1, 10, 5}, {"b", 3, 4, 5}, {"exact", 0, 0, 5}};
  ASSERT_NE(report.nearest(), nullptr);
  EXPECT_EQ(report.nearest()->tap, "b");
  report.taps.push_back({"wrong", 1, 0, 5});
  EXPECT_EQ(report.nearest()->tap, "wrong");
  EXPECT_EQ(report.nearest()->share(), std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace tidegate::worker::golden_pairs_test
