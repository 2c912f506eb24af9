#include "worker/inspect/inspect.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"
#include "worker/backend/load.h"
#include "worker/convert/convert.h"

namespace tidegate::worker {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::filesystem::path kSource = TG_SOURCE_DIR;

Inspection inspect(const std::filesystem::path& path, const InspectOptions& options = {}) {
  const auto inspection = inspect_model(path, options);
  EXPECT_TRUE(inspection) << inspection.error().to_string();
  return inspection.value_or(Inspection());
}

TEST(Inspect, CountsTheDemonstrationModel) {
  const Inspection model = inspect(kSource / "models/tang-moe");
  EXPECT_EQ(model.format, "safetensors");
  EXPECT_EQ(model.architecture, "DeepseekV3ForCausalLM");
  EXPECT_EQ(model.weights_digest, "sha256:2d27b42dbd0cad0c5bbc09f8ee22e31e66e177b077c58fe98bd4ca678e1f30ba");
  // Of 32 experts 4 are taken in each of five layers: 3 x 256 x 128 values an expert.
  const std::int64_t untaken = std::int64_t{5} * (32 - 4) * 3 * 256 * 128;
  EXPECT_EQ(model.active_parameters, model.parameters - model.draft_parameters - untaken);
  EXPECT_EQ(model.parameters, 24'647'456);
  EXPECT_EQ(model.draft_parameters, 3'564'992);
  EXPECT_EQ(model.active_parameters, 7'319'904);
  EXPECT_EQ(model.experts, 32);
  EXPECT_EQ(model.experts_per_token, 4);
  EXPECT_EQ(model.context_max, 1024);
  EXPECT_THAT(model.can, ElementsAre("chat", "tools", "reasoning", "drafts"));
  EXPECT_THAT(model.cannot, IsEmpty());
  EXPECT_EQ(model.chat.what, "DeepSeek-R1");
}

TEST(Inspect, TypesAddUpToTheParameters) {
  for (const char* name : {"models/tang-moe", "models/tang-distill-qwen2", "tests/golden/deepseek_v3"}) {
    const Inspection model = inspect(kSource / name, {.digest = false});
    std::int64_t elements = 0;
    for (const TypeShare& share : model.types) elements += share.elements;
    EXPECT_EQ(elements, model.parameters) << name;
    EXPECT_EQ(model.weights_digest, "");
  }
}

TEST(Inspect, MemoryIsWhatTheEngineTakes) {
  const auto path = kSource / "models/tang-moe";
  const Inspection model = inspect(path, {.context = 512, .sequences = 3, .memory_bytes = std::int64_t{1} << 30});
  const auto backend = load_backend(path, {.threads = 1, .mtp = true, .digest = false});
  ASSERT_TRUE(backend);
  EXPECT_EQ(model.memory.kv_bytes_per_token, (*backend)->facts().kv_bytes_per_token);
  EXPECT_EQ(model.memory.kv_bytes, model.memory.kv_bytes_per_token * 512 * 3);
  EXPECT_EQ(model.memory.total_bytes(), model.memory.weight_bytes + model.memory.kv_bytes + model.memory.attention_bytes);
  EXPECT_TRUE(model.memory.fits());
  EXPECT_GT(model.memory.weight_bytes, model.weight_bytes) << "kv_b is unpacked to F32";
}

TEST(Inspect, AttentionTakesRoomByStepsAndThreadsNotByContext) {
  const auto bytes = [](const InspectOptions& options) {
    return inspect(kSource / "models/tang-moe", options).memory.attention_bytes;
  };
  const std::int64_t usual = bytes({.context = 64, .digest = false, .threads = 2});
  EXPECT_GT(usual, 0);
  EXPECT_EQ(bytes({.context = 1024, .sequences = 9, .digest = false, .threads = 2}), usual);
  EXPECT_GT(bytes({.digest = false, .threads = 4}), usual);
  EXPECT_GT(bytes({.digest = false, .threads = 2, .step_tokens = 512}), usual);
}

TEST(Inspect, AMachineThatIsTooSmallIsSaidToBe) {
  const Inspection model = inspect(kSource / "models/tang-moe", {.memory_bytes = 1 << 20, .digest = false});
  EXPECT_FALSE(model.memory.fits());
  EXPECT_EQ(model.memory.sequences_max(), 0);
}

TEST(Inspect, WithoutATokenizerItSaysWhatItCannot) {
  const Inspection model = inspect(kSource / "tests/golden/qwen2", {.digest = false});
  EXPECT_THAT(model.can, IsEmpty());
  EXPECT_THAT(model.cannot, Contains(HasSubstr("answer in text")));
  EXPECT_FALSE(model.tokenizer.problem.empty());
}

TEST(Inspect, AConvertedModelMatchesItsManifestUntilItIsTouched) {
  const test::TempDir dir;
  const auto target = dir.path() / "q8";
  const auto report = convert_model(kSource / "models/tang-distill-qwen2", target,
                                    {.precision = Precision::kQ8_0, .format = ModelFormat::kGguf});
  ASSERT_TRUE(report) << report.error().to_string();
  const Inspection model = inspect(target);
  EXPECT_EQ(model.format, "gguf");
  EXPECT_EQ(model.weights_digest, report->weights_digest);
  EXPECT_EQ(model.manifest_digest, report->weights_digest);
  EXPECT_EQ(model.types.front().dtype, "Q8_0");
  EXPECT_THAT(model.can, Contains("chat"));
  std::fstream file(target / "model.gguf", std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(-1, std::ios::end);
  file.put('\1');
  file.close();
  EXPECT_THAT(inspect(target).cannot, Contains(HasSubstr("manifest.json names other weights")));
  std::ofstream(target / "manifest.json") << R"({"manifest_version": 1})";
  const Inspection broken = inspect(target);
  EXPECT_EQ(broken.manifest_digest, "");
  EXPECT_THAT(broken.cannot, Contains(HasSubstr("manifest.json: 'weights_digest'"))) << "no digest is not the right one";
}

TEST(Inspect, WhatCannotBeLoadedIsAnErrorInTheLoadersWords) {
  const test::TempDir dir;
  std::ofstream(dir.path() / "config.json") << R"({"architectures": ["MambaForCausalLM"]})";
  EXPECT_EQ(inspect_model(dir.path(), {}).error().reason, "unknown_architecture");
  EXPECT_EQ(inspect_model(dir.path() / "nowhere", {}).error().code, Code::kNotFound);
}

TEST(Inspect, JsonHasTheSameNumbers) {
  const Inspection model = inspect(kSource / "models/tang-distill-qwen2", {.digest = false});
  const json::object root = to_json(model);
  EXPECT_EQ(root.at("parameters").to_number<std::int64_t>(), model.parameters);
  EXPECT_EQ(root.at("memory").as_object().at("total_bytes").to_number<std::int64_t>(), model.memory.total_bytes());
  EXPECT_FALSE(root.contains("weights_digest")) << "nobody asked for it";
}

}  // namespace
}  // namespace tidegate::worker
