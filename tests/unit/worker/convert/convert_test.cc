#include "worker/convert/convert.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "base/core/encoding.h"
#include "base/crypto/sha256.h"
#include "tests/golden/golden_folder.h"
#include "tests/support/temp_dir.h"
#include "worker/model/model_files.h"
#include "worker/tokenizer/tokenizer.h"

namespace tidegate::worker::convert_test {
namespace {

const std::filesystem::path kSource = TG_SOURCE_DIR;

ConvertReport convert(const std::filesystem::path& from, const std::filesystem::path& to, Precision precision,
                      ModelFormat format = ModelFormat::kSafetensors) {
  const auto report = convert_model(from, to, {.precision = precision, .format = format});
  EXPECT_TRUE(report) << report.error().to_string();
  return report.value_or(ConvertReport());
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// Every tensor by its Hugging Face name; FP8 with its scales applied as far as names go.
std::map<std::string, std::vector<float>> tensors_of(const std::filesystem::path& model) {
  const auto files = open_model_files(model);
  EXPECT_TRUE(files) << files.error().to_string();
  std::map<std::string, std::vector<float>> out;
  if (!files) return out;
  for (const auto& [name, view] : files->checkpoint.tensors()) out.emplace(name, to_floats(view));
  return out;
}

bool holds_nothing_but(const std::filesystem::path& folder, const std::string& only) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename() != only) return false;
  }
  return true;
}

std::string text_at(const json::object& from, const char* name) { return std::string(from.at(name).as_string()); }

TEST(Convert, TheManifestNamesEveryFileWithItsDigest) {
  const test::TempDir dir;
  const auto target = dir.path() / "out";
  const ConvertReport report = convert(kSource / "models/tang-distill-qwen2", target, Precision::kF32);
  const json::value manifest = json::parse_file((target / "manifest.json").string()).value();
  const json::object& root = manifest.as_object();
  EXPECT_EQ(text_at(root, "weights_digest"), report.weights_digest);
  EXPECT_EQ(text_at(root, "precision"), "f32");
  std::size_t listed = 0;
  for (const json::value& entry : root.at("files").as_array()) {
    const std::string name = text_at(entry.as_object(), "name");
    const std::string content = text_of(target / name);
    const Digest hash = sha256(content);
    EXPECT_EQ(text_at(entry.as_object(), "sha256"), hex_encode(as_view(hash))) << name;
    EXPECT_EQ(entry.as_object().at("bytes").to_number<std::uint64_t>(), content.size()) << name;
    ++listed;
  }
  const auto files = std::distance(std::filesystem::directory_iterator(target), std::filesystem::directory_iterator());
  EXPECT_EQ(static_cast<std::ptrdiff_t>(listed), files - 1) << "all but the manifest itself";
  const auto model = open_model_files(target);
  ASSERT_TRUE(model) << model.error().to_string();
  EXPECT_EQ(model->checkpoint.digest(), report.weights_digest) << "what a receipt will say";
  EXPECT_EQ(open_model_files(kSource / "models/tang-distill-qwen2")->checkpoint.digest(), report.source_digest);
  EXPECT_TRUE(std::filesystem::exists(target / "tokenizer.json"));
  EXPECT_TRUE(std::filesystem::exists(target / "tidegate.json"));
}

TEST(Convert, TheSameSourceGivesTheSameBytes) {
  const test::TempDir dir;
  for (const ModelFormat format : {ModelFormat::kSafetensors, ModelFormat::kGguf}) {
    const auto a = convert(golden_folder("deepseek_v3"), dir.path() / "a", Precision::kF32, format);
    const auto b = convert(golden_folder("deepseek_v3"), dir.path() / "b", Precision::kF32, format);
    EXPECT_EQ(a.weights_digest, b.weights_digest);
    EXPECT_EQ(text_of(dir.path() / "a/manifest.json"), text_of(dir.path() / "b/manifest.json"));
    std::filesystem::remove_all(dir.path() / "a");
    std::filesystem::remove_all(dir.path() / "b");
  }
}

TEST(Convert, WideningAndBackChangesNoValue) {
  const test::TempDir dir;
  convert(golden_folder("deepseek_v3"), dir.path() / "f32", Precision::kF32);
  convert(dir.path() / "f32", dir.path() / "bf16", Precision::kBf16);
  const auto before = tensors_of(golden_folder("deepseek_v3"));
  EXPECT_EQ(tensors_of(dir.path() / "f32"), before) << "the draft layer too";
  EXPECT_EQ(tensors_of(dir.path() / "bf16"), before);
}

TEST(Convert, GgufAndBackChangesNoValue) {
  // Rows of q and k move and come back (llama, deepseek), experts are stacked, kv_b is taken apart.
  for (const char* name : {"qwen2", "deepseek_moe", "deepseek_v2", "deepseek_v2_lite"}) {
    const test::TempDir dir;
    convert(golden_folder(name), dir.path() / "gguf", Precision::kF32, ModelFormat::kGguf);
    convert(dir.path() / "gguf", dir.path() / "back", Precision::kF32);
    auto before = tensors_of(golden_folder(name));
    std::erase_if(before, [](const auto& entry) { return entry.first.ends_with(".inv_freq"); });
    EXPECT_EQ(tensors_of(dir.path() / "back"), before) << name;
  }
}

TEST(Convert, GgufAgainKeepsWhatItNeedNotTouch) {
  const test::TempDir dir;
  const auto first = convert(golden_folder("llama"), dir.path() / "a", Precision::kF32, ModelFormat::kGguf);
  const auto again = convert(dir.path() / "a", dir.path() / "b", Precision::kF32, ModelFormat::kGguf);
  EXPECT_EQ(tensors_of(dir.path() / "b"), tensors_of(dir.path() / "a"));
  EXPECT_EQ(again.source_digest, first.weights_digest);
  EXPECT_EQ(again.relative_error, 0);
  const auto spec = open_model_files(dir.path() / "b");
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_FALSE(spec->spec.rope_divisors.empty()) << "Llama 3.1's rope";
}

TEST(Convert, ErrorsOfWholeModelsAreThoseOfTheirTypes) {
  const test::TempDir dir;
  const auto from = kSource / "models/tang-distill-qwen2";
  EXPECT_EQ(convert(from, dir.path() / "bf16", Precision::kBf16).relative_error, 0) << "it is BF16";
  const double q8 = convert(from, dir.path() / "q8", Precision::kQ8_0, ModelFormat::kGguf).relative_error;
  const double q4 = convert(from, dir.path() / "q4", Precision::kQ4_0, ModelFormat::kGguf).relative_error;
  const double fp8 = convert(from, dir.path() / "fp8", Precision::kFp8).relative_error;
  EXPECT_GT(q8, 1e-4);
  EXPECT_LT(q8, 0.01);
  EXPECT_GT(fp8, q8);
  EXPECT_LT(fp8, 0.04);
  EXPECT_GT(q4, fp8);
  EXPECT_LT(q4, 0.15);
}

TEST(Convert, NormsRoutersAndTheHeadAreNotNarrowed) {
  const test::TempDir dir;
  convert(golden_folder("deepseek_v3"), dir.path() / "fp8", Precision::kFp8);
  const auto model = open_model_files(dir.path() / "fp8");
  ASSERT_TRUE(model) << model.error().to_string();
  EXPECT_TRUE(model->spec.fp8);
  const auto dtype = [&](const char* name) { return model->checkpoint.find(name)->dtype; };
  EXPECT_EQ(dtype("model.layers.1.mlp.experts.3.up_proj.weight"), Dtype::kF8E4m3);
  EXPECT_EQ(dtype("model.layers.1.self_attn.kv_b_proj.weight"), Dtype::kF8E4m3);
  EXPECT_NE(model->checkpoint.find("model.layers.1.self_attn.kv_b_proj.weight_scale_inv"), nullptr);
  for (const char* name : {"lm_head.weight", "model.embed_tokens.weight", "model.norm.weight", "model.layers.1.mlp.gate.weight"}) {
    EXPECT_NE(dtype(name), Dtype::kF8E4m3) << name;
  }
  EXPECT_EQ(dtype("model.layers.1.mlp.gate.e_score_correction_bias"), Dtype::kF32);
  convert(dir.path() / "fp8", dir.path() / "again", Precision::kFp8);
  EXPECT_EQ(tensors_of(dir.path() / "again"), tensors_of(dir.path() / "fp8")) << "FP8 is copied, not encoded twice";
}

TEST(Convert, ShardsHoldTogether) {
  const test::TempDir dir;
  const auto report = convert_model(golden_folder("deepseek_v3_fp8"), dir.path() / "out",
                                    {.precision = Precision::kFp8, .shard_bytes_max = ConvertOptions::kShardBytesMin});
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(std::filesystem::exists(dir.path() / "out/model.safetensors.index.json"));
  EXPECT_GT(report->files.size(), 4u);
  const auto model = open_model_files(dir.path() / "out");
  ASSERT_TRUE(model) << model.error().to_string();
  EXPECT_EQ(model->checkpoint.digest(), report->weights_digest) << "of several files";
}

TEST(Convert, AGgufModelCarriesItsTokenizer) {
  const test::TempDir dir;
  const auto from = kSource / "models/tang-moe";
  const auto report = convert(from, dir.path() / "q8", Precision::kQ8_0, ModelFormat::kGguf);
  EXPECT_EQ(report.notes.size(), 1u) << "the draft layer";
  EXPECT_FALSE(std::filesystem::exists(dir.path() / "q8/tokenizer.json"));
  EXPECT_TRUE(std::filesystem::exists(dir.path() / "q8/tokenizer_config.json"));
  const auto own = Tokenizer::load(from.string());
  const auto carried = Tokenizer::load((dir.path() / "q8").string());
  ASSERT_TRUE(own && carried) << carried.error().to_string();
  EXPECT_EQ(carried->encode("白日依山尽，黄河入海流。", AddedTokens::kRefuse), own->encode("白日依山尽，黄河入海流。", AddedTokens::kRefuse));

  convert(dir.path() / "q8", dir.path() / "back", Precision::kBf16);
  const auto back = Tokenizer::load((dir.path() / "back").string());
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_TRUE(std::filesystem::exists(dir.path() / "back/tokenizer.json"));
  EXPECT_EQ(back->encode("<｜User｜>黄河", AddedTokens::kAllow), own->encode("<｜User｜>黄河", AddedTokens::kAllow));
}

struct Refused {
  const char* source;
  Precision precision;
  ModelFormat format;
  const char* reason;
};

TEST(Convert, WhatCannotBeIsRefusedAndLeavesNothing) {
  const Refused cases[] = {
      {"tests/golden/qwen2", Precision::kQ8_0, ModelFormat::kSafetensors, "bad_conversion"},
      {"tests/golden/qwen2", Precision::kFp8, ModelFormat::kGguf, "bad_conversion"},
      {"tests/golden/nothing", Precision::kBf16, ModelFormat::kSafetensors, "no_config"},
  };
  for (const Refused& refused : cases) {
    const test::TempDir dir;
    const auto report = convert_model(kSource / refused.source, dir.path() / "out",
                                      {.precision = refused.precision, .format = refused.format});
    ASSERT_FALSE(report) << refused.source;
    EXPECT_EQ(report.error().reason, refused.reason);
    EXPECT_TRUE(std::filesystem::is_empty(dir.path())) << "neither the folder nor a beginning of it";
  }
}

TEST(Convert, RopeDivisorsHaveNoPlaceInAConfig) {
  const test::TempDir dir;
  convert(golden_folder("llama"), dir.path() / "gguf", Precision::kF32, ModelFormat::kGguf);
  const auto back = convert_model(dir.path() / "gguf", dir.path() / "back", {.precision = Precision::kF32});
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().reason, "bad_conversion");
  EXPECT_TRUE(holds_nothing_but(dir.path(), "gguf"));
}

TEST(Convert, AnExistingTargetIsLeftAlone) {
  const test::TempDir dir;
  std::filesystem::create_directory(dir.path() / "out");
  std::ofstream(dir.path() / "out/mine") << "kept";
  const auto report = convert_model(golden_folder("qwen2"), dir.path() / "out", {});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().reason, "target_exists");
  EXPECT_EQ(text_of(dir.path() / "out/mine"), "kept");
  EXPECT_TRUE(holds_nothing_but(dir.path(), "out"));
}

}  // namespace
}  // namespace tidegate::worker::convert_test
