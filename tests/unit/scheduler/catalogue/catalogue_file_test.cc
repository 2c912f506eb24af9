#include "scheduler/catalogue/catalogue_file.h"

#include <gmock/gmock.h>

#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace tidegate::scheduler::catalogue_file_test {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kGood = R"({"name": "m", "architecture": "A", "context_max": 1024, "licence": "MIT",
  "variants": [{"name": "fp8", "precision": "fp8", "path": "m", "parameters": 5, "engine": "tidegate"}]})";

std::string with(std::string_view from, std::string_view to) {
  std::string text(kGood);
  return text.replace(text.find(from), from.size(), to);
}
std::string refused_field(const std::string& text) {
  const auto model = parse_catalogue_model(text);
  return model ? "accepted" : model.error().field;
}

TEST(CatalogueFile, GoodEntryIsReadWhole) {
  const auto model = parse_catalogue_model(kGood);
  ASSERT_TRUE(model) << model.error().to_string();
  EXPECT_EQ(model->name, "m");
  EXPECT_EQ(model->context_max, 1024);
  ASSERT_EQ(model->variants.size(), 1u);
  EXPECT_EQ(model->variants[0].path, "m");
  EXPECT_EQ(model->variants[0].parameters, 5);
}

TEST(CatalogueFile, BadEntryIsRefusedWithTheFieldsName) {
  EXPECT_EQ(refused_field(with(R"("name": "m",)", "")), "name");
  EXPECT_EQ(refused_field(with("1024", "\"1024\"")), "context_max");
  EXPECT_EQ(refused_field(with("1024", "0")), "context_max");
  EXPECT_EQ(refused_field(with("licence", "license")), "license");
  EXPECT_EQ(refused_field(with("\"precision\": \"fp8\", ", "")), "variants[0].precision");
  EXPECT_EQ(refused_field(with("tidegate", "vllm")), "variants[0].engine");
  EXPECT_EQ(refused_field(with("\"path\": \"m\"", "\"path\": \"../etc\"")), "variants[0].path");
  EXPECT_EQ(refused_field(with("\"parameters\": 5", "\"parameters\": -5")), "variants[0].parameters");
  EXPECT_EQ(refused_field(with("\"parameters\"", "\"params\"")), "variants[0].params");
}

constexpr std::string_view kShaped = R"({"name": "m", "architecture": "A", "context_max": 1024, "licence": "MIT",
  "capabilities": ["tools"], "unknown": ["its date"], "shape": {"num_hidden_layers": 2, "hidden_size": 8, "vocab_size": 10,
  "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 16},
  "variants": [{"name": "a", "precision": "bf16", "kv": "f32", "layouts": ["TP2"], "engine": "external"}]})";

std::string shaped(std::string_view from, std::string_view to) {
  std::string text(kShaped);
  return text.replace(text.find(from), from.size(), to);
}

TEST(CatalogueFile, SizesOfAModelWithAShapeAreComputed) {
  const auto model = parse_catalogue_model(kShaped);
  ASSERT_TRUE(model) << model.error().to_string();
  ASSERT_TRUE(model->shape);
  EXPECT_EQ(model->shape->head_dim, 2);
  EXPECT_TRUE(model->capabilities.tools);
  EXPECT_FALSE(model->capabilities.reasoning);
  EXPECT_EQ(model->unknown, std::vector<std::string>{"its date"});
  const CatalogueVariant& variant = model->variants[0];
  // Attention 64+32+32+64, FFN 3 x 128, two norms of 8; two layers, a last norm, two tables of 80.
  EXPECT_EQ(variant.parameters, 2 * (192 + 384 + 16) + 8 + 160);
  EXPECT_EQ(variant.weight_bytes, 2 * variant.parameters);
  EXPECT_EQ(variant.kv_bytes_per_token, 2 * 2 * 2 * 2 * 4);
  EXPECT_EQ(variant.layouts.size(), 1u);
}

TEST(CatalogueFile, WhatContradictsTheShapeIsRefused) {
  EXPECT_EQ(refused_field(shaped("\"kv\"", "\"parameters\": 5, \"kv\"")), "variants[0].parameters");
  EXPECT_EQ(refused_field(shaped("\"bf16\"", "\"fp4\"")), "variants[0].precision");
  EXPECT_EQ(refused_field(shaped("f32", "f64")), "variants[0].kv");
  EXPECT_EQ(refused_field(shaped("TP2", "TP3")), "variants[0].layouts");
  EXPECT_EQ(refused_field(shaped("tools", "dance")), "capabilities");
  EXPECT_EQ(refused_field(shaped("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3")), "shape.num_key_value_heads");
  EXPECT_EQ(refused_field(shaped("vocab_size", "vocabulary")), "shape.vocabulary");
  EXPECT_EQ(refused_field(with("\"path\": \"m\"", "\"kv\": \"f32\"")), "variants[0].kv");
}

TEST(CatalogueFile, FolderIsRefusedWholeAndTheFileNamed) {
  test::TempDir folder;
  EXPECT_EQ(load_catalogue(folder.path()).error().reason, "no_catalogue");
  std::ofstream(folder.file("a.json")) << kGood;
  EXPECT_TRUE(load_catalogue(folder.path()));
  std::ofstream(folder.file("b.json")) << "{";
  const auto loaded = load_catalogue(folder.path());
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, HasSubstr("b.json"));
  std::ofstream(folder.file("b.json")) << kGood;
  EXPECT_EQ(load_catalogue(folder.path()).error().reason, "duplicate_model");
}

TEST(CatalogueFile, ShippedCatalogueIsGoodAndTangMoeIsHeldHere) {
  const auto catalogue = load_catalogue(std::string(TG_SOURCE_DIR) + "/models/catalogue");
  ASSERT_TRUE(catalogue) << catalogue.error().to_string();
  EXPECT_TRUE(check_deployment({.name = "t", .model = "tang-moe", .variant = "fp8"}, *catalogue));
  EXPECT_TRUE(check_deployment({.name = "s", .model = "sim-fast", .variant = "sim"}, *catalogue));
}

}  // namespace
}  // namespace tidegate::scheduler::catalogue_file_test
