#include "worker/model/weight_plan.h"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <sys/resource.h>

#include <functional>

#include "tests/golden/golden_folder.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/format/safetensors_writer.h"
#include "worker/model/architecture.h"

namespace tidegate::worker::weight_plan_test {
namespace {

struct StoredTensor {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::string bytes;
};
using Tensors = std::map<std::string, StoredTensor>;

/// A golden checkpoint rewritten with a change.
Result<WeightPlan> plan_of(const char* name, const std::function<void(Tensors&)>& change) {
  Tensors tensors;
  const auto original = SafetensorsFile::open(golden_folder(name) / "model.safetensors");
  EXPECT_TRUE(original);
  for (const auto& [key, view] : original->tensors()) {
    tensors[key] = {std::string(dtype_name(view.dtype)), view.shape,
                    std::string(reinterpret_cast<const char*>(view.bytes.data()), view.bytes.size())};
  }
  change(tensors);
  std::string header = "{";
  std::string data;
  for (const auto& [key, tensor] : tensors) {
    header += fmt::format(R"({}"{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})",
                          header == "{" ? "" : ",", key, tensor.dtype, shape_text(tensor.shape), data.size(),
                          data.size() + tensor.bytes.size());
    data += tensor.bytes;
  }
  const test::TempDir dir;
  write_safetensors(dir.path() / "model.safetensors", header + "}", data);
  const auto spec = read_model_spec(golden_folder(name));
  EXPECT_TRUE(spec);
  const auto checkpoint = Checkpoint::open(dir.path());
  EXPECT_TRUE(checkpoint) << checkpoint.error().to_string();
  return plan_weights(*spec, *checkpoint);
}

void expect_refused(const Result<WeightPlan>& plan, std::string_view tensor, std::string_view words) {
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().reason, "bad_weights");
  EXPECT_EQ(plan.error().field, tensor);
  EXPECT_NE(plan.error().message.find(words), std::string::npos) << plan.error().message;
}

constexpr const char* kV3 = "deepseek_v3";
constexpr const char* kFp8 = "deepseek_v3_fp8";
constexpr const char* kMatrix = "model.layers.1.mlp.experts.3.up_proj.weight";
constexpr const char* kBias = "model.layers.1.mlp.gate.e_score_correction_bias";

TEST(WeightPlan, TheGoldenCheckpointsFitExactly) {
  const auto plan = plan_of(kV3, [](Tensors&) {});
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->mtp_layers, 1);
  EXPECT_TRUE(plan->mtp_has_own_embedding);
  EXPECT_EQ(plan->weights.size(), 208u - 1) << "everything but __metadata__";
}

TEST(WeightPlan, ACheckpointMayLackItsDraftLayerButNotHalfOfIt) {
  const auto without = plan_of(kV3, [](Tensors& tensors) {
    std::erase_if(tensors, [](const auto& entry) { return entry.first.starts_with("model.layers.3."); });
  });
  ASSERT_TRUE(without) << without.error().to_string();
  EXPECT_EQ(without->mtp_layers, 0);
  expect_refused(plan_of(kV3, [](Tensors& tensors) { tensors.erase("model.layers.3.hnorm.weight"); }),
                 "model.layers.3.hnorm.weight", "missing");
}

TEST(WeightPlan, AMissingTensorIsRefused) {
  expect_refused(plan_of(kV3, [](Tensors& tensors) { tensors.erase(kMatrix); }), kMatrix, "missing");
}

// Twelve million names are two gigabytes, and a config that asks for them is a page.
TEST(WeightPlan, AConfigOfMillionsOfTensorsIsRefusedWithoutListingThem) {
  const auto spec = read_model_spec(golden_folder("deepseek_v3"));
  ASSERT_TRUE(spec);
  ModelSpec huge = *spec;
  huge.layers = 1024;
  huge.moe.experts = 4096;
  const auto peak_kib = [] {
    rusage usage{};
    EXPECT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
  };
  const auto checkpoint = Checkpoint::open(golden_folder("deepseek_v3"));
  ASSERT_TRUE(checkpoint);
  const auto before = peak_kib();
  const auto plan = plan_weights(huge, *checkpoint);
  EXPECT_LT(peak_kib() - before, 64 << 10);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().reason, "bad_weights");
}

TEST(WeightPlan, AnotherShapeIsRefused) {
  expect_refused(
      plan_of(kV3, [](Tensors& tensors) { std::swap(tensors[kMatrix].shape[0], tensors[kMatrix].shape[1]); }),
      kMatrix, "shape");
}

TEST(WeightPlan, ATensorThatNothingReadsIsRefused) {
  expect_refused(plan_of(kV3,
                         [](Tensors& tensors) {
                           tensors["model.layers.0.self_attn.q_proj.bias"] = {"F32", {1}, zeros(4)};
                         }),
                 "model.layers.0.self_attn.q_proj.bias", "no part");
}

TEST(WeightPlan, TheRoutersBiasMustBeF32) {
  expect_refused(plan_of(kV3,
                         [](Tensors& tensors) {
                           tensors[kBias] = {"BF16", {16}, zeros(32)};
                         }),
                 kBias, "must be F32");
}

TEST(WeightPlan, NaNIsRefusedInEveryDtype) {
  expect_refused(plan_of(kV3, [](Tensors& tensors) { tensors[kMatrix].bytes.replace(0, 2, "\xc0\x7f"); }),
                 kMatrix, "NaN");
  expect_refused(
      plan_of(kV3,
              [](Tensors& tensors) { tensors[kBias].bytes.replace(4, 4, std::string("\0\0\x80\x7f", 4)); }),
      kBias, "NaN");
  expect_refused(plan_of(kFp8, [](Tensors& tensors) { tensors[kMatrix].bytes[5] = '\xff'; }), kMatrix, "NaN");
}

TEST(WeightPlan, Fp8WithoutItsScaleIsRefused) {
  expect_refused(plan_of(kFp8, [](Tensors& tensors) { tensors.erase(std::string(kMatrix) + "_scale_inv"); }),
                 kMatrix, "without its weight_scale_inv");
}

TEST(WeightPlan, AScaleMustBeFiniteAndOfOneValuePerBlock) {
  const std::string scale = std::string(kMatrix) + "_scale_inv";
  expect_refused(
      plan_of(kFp8,
              [&](Tensors& tensors) { tensors[scale].bytes.replace(0, 4, std::string("\0\0\xc0\x7f", 4)); }),
      scale, "not a scale");
  expect_refused(
      plan_of(kFp8,
              [&](Tensors& tensors) { tensors[scale].bytes.replace(0, 4, std::string("\0\0\x80\xbf", 4)); }),
      scale, "not a scale");
  expect_refused(plan_of(kFp8,
                         [&](Tensors& tensors) {
                           tensors[scale] = {"F32", {1, 1}, zeros(4)};
                         }),
                 scale, "shape");
  expect_refused(plan_of(kFp8,
                         [&](Tensors& tensors) {
                           tensors[scale] = {"BF16", {1, 2}, zeros(4)};
                         }),
                 scale, "F32");
}

TEST(WeightPlan, Fp8InAModelThatIsNotFp8IsRefused) {
  expect_refused(plan_of(kV3,
                         [](Tensors& tensors) {
                           tensors[kMatrix] = {"F8_E4M3", {40, 128}, zeros(40 * 128)};
                         }),
                 kMatrix, "may not be F8_E4M3");
}

TEST(WeightPlan, AScaleWithoutItsTensorIsRefused) {
  const std::string stray = "model.layers.0.mlp.down_proj.weight_scale_inv";
  expect_refused(plan_of(kV3,
                         [&](Tensors& tensors) {
                           tensors[stray] = {"F32", {1}, zeros(4)};
                         }),
                 stray, "scale without");
}

}  // namespace
}  // namespace tidegate::worker::weight_plan_test
