// The catalogue as it is shipped, held against the published table of sizes: every row, every column.
#include <gmock/gmock.h>

#include <cmath>
#include <string>

#include "scheduler/catalogue/accelerator_file.h"
#include "scheduler/catalogue/catalogue_file.h"

namespace tidegate::scheduler {
namespace {

const Catalogue& shipped() {
  static const Catalogue catalogue = *load_catalogue(std::string(TG_SOURCE_DIR) + "/models/catalogue");
  return catalogue;
}
const AcceleratorTable& accelerators() {
  static const AcceleratorTable table = *load_accelerators(std::string(TG_SOURCE_DIR) + "/models/accelerators");
  return table;
}
const ModelShape& shape_of(const std::string& model) { return *(*shipped().find_model(model))->shape; }

struct Row {
  const char* model;
  std::int64_t parameters;
  double active_billions;  ///< 0 = all
  std::int32_t layers;
  double bf16_gib, fp8_gib, int4_gib;
  std::int64_t kv_bf16, kv_fp8;
  double kv_32k_gib, kv_128k_gib;
};

// As printed: GiB to the decimals given, so half of the last one may be lost.
constexpr Row kRows[] = {
    {"deepseek-v3", 671'026'419'200, 37.55, 61, 1249.9, 626.9, 324.7, 70'272, 35'136, 2.145, 8.578},
    {"deepseek-r1", 671'026'419'200, 37.55, 61, 1249.9, 626.9, 324.7, 70'272, 35'136, 2.145, 8.578},
    {"deepseek-v2", 235'741'434'880, 21.38, 60, 439.1, 219.6, 114.1, 69'120, 34'560, 2.109, 8.438},
    {"deepseek-v2-lite", 15'706'484'224, 2.66, 27, 29.26, 14.63, 7.60, 31'104, 15'552, 0.949, 3.797},
    {"deepseek-llm-67b", 67'425'001'472, 0, 95, 125.6, 62.8, 32.6, 389'120, 194'560, 11.875, 47.5},
    {"deepseek-llm-7b", 6'910'365'696, 0, 30, 12.87, 6.44, 3.34, 491'520, 245'760, 15.0, 60.0},
    {"deepseek-r1-distill-qwen-1.5b", 1'777'088'000, 0, 28, 3.31, 1.66, 0.86, 28'672, 14'336, 0.875, 3.5},
    {"deepseek-r1-distill-qwen-7b", 7'615'616'512, 0, 28, 14.19, 7.09, 3.68, 57'344, 28'672, 1.75, 7.0},
    {"deepseek-r1-distill-qwen-14b", 14'770'033'664, 0, 48, 27.51, 13.76, 7.15, 196'608, 98'304, 6.0, 24.0},
    {"deepseek-r1-distill-qwen-32b", 32'763'876'352, 0, 64, 61.03, 30.51, 15.85, 262'144, 131'072, 8.0, 32.0},
    {"deepseek-r1-distill-llama-8b", 8'030'261'248, 0, 32, 14.96, 7.48, 3.89, 131'072, 65'536, 4.0, 16.0},
    {"deepseek-r1-distill-llama-70b", 70'553'706'496, 0, 80, 131.4, 65.7, 34.1, 327'680, 163'840, 10.0, 40.0},
};

/// Large figures are printed with one decimal, small ones with two.
double half_of_last_decimal(double printed) { return printed >= 32 ? 0.05 + 1e-9 : 0.005 + 1e-9; }

double gib(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

TEST(ShippedCatalogue, EveryRowOfTheTableComesOutOfItsConfig) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.model);
    const ModelShape& shape = shape_of(row.model);
    const ModelSizes bf16 = model_sizes(shape, Precision::kBf16);
    EXPECT_EQ(bf16.parameters(), row.parameters);
    EXPECT_EQ(shape.layers, row.layers);
    if (row.active_billions > 0) {
      EXPECT_NEAR(static_cast<double>(bf16.active_parameters) / 1e9, row.active_billions, 0.005);
    } else {
      EXPECT_EQ(bf16.active_parameters, row.parameters);
    }
    EXPECT_NEAR(gib(bf16.bytes()), row.bf16_gib, half_of_last_decimal(row.bf16_gib));
    EXPECT_NEAR(gib(model_sizes(shape, Precision::kInt4).bytes()), row.int4_gib, half_of_last_decimal(row.int4_gib));
    EXPECT_EQ(kv_bytes_per_token(shape, KvPrecision::kBf16), row.kv_bf16);
    EXPECT_EQ(kv_bytes_per_token(shape, KvPrecision::kFp8), row.kv_fp8);
    EXPECT_NEAR(gib(row.kv_bf16 * 32'768), row.kv_32k_gib, 0.00051);
    EXPECT_NEAR(gib(row.kv_bf16 * 131'072), row.kv_128k_gib, 0.00051);
    // One byte each, but the real mix of the checkpoint where that is what is shipped.
    const bool is_v3 = shape.router_bias;
    const ModelSizes fp8 = model_sizes(shape, is_v3 ? Precision::kFp8Block : Precision::kFp8);
    EXPECT_NEAR(gib(fp8.bytes()), row.fp8_gib, half_of_last_decimal(row.fp8_gib));
  }
}

TEST(ShippedCatalogue, HoldsEveryModelOfTheFamily) {
  for (const char* model :
       {"deepseek-llm-7b", "deepseek-llm-67b", "deepseek-moe-16b", "deepseek-v2", "deepseek-v2-lite", "deepseek-v2.5",
        "deepseek-v3", "deepseek-r1", "deepseek-r1-zero", "deepseek-v3.1", "deepseek-v3.2", "deepseek-v4-flash",
        "deepseek-v4-pro", "tang-moe", "tang-distill-qwen2", "sim-fast"}) {
    EXPECT_TRUE(shipped().find_model(model)) << model;
  }
  for (const char* distill : {"qwen-1.5b", "qwen-7b", "qwen-14b", "qwen-32b", "llama-8b", "llama-70b"}) {
    EXPECT_TRUE(shipped().find_model(std::string("deepseek-r1-distill-") + distill)) << distill;
  }
  for (const auto& [name, model] : shipped().models()) {
    EXPECT_FALSE(model.licence.empty()) << name;
    EXPECT_FALSE(model.capabilities.vision) << name;
    EXPECT_EQ(model.capabilities.embeddings, name == "tang-distill-qwen2") << name;
    if (name.starts_with("deepseek-r1")) {
      EXPECT_TRUE(model.capabilities.reasoning) << name;
    }
    if (!name.starts_with("sim")) {
      EXPECT_TRUE(model.shape || !model.unknown.empty())
          << name << " says neither its sizes nor that they are not known";
    }
  }
}

TEST(ShippedCatalogue, WhatIsNotKnownIsRefusedNotGuessed) {
  const CatalogueModel& v4 = **shipped().find_model("deepseek-v4-pro");
  EXPECT_EQ(v4.parameters_published, 1'600'000'000'000);
  EXPECT_EQ(v4.variants[0].parameters, 0);
  const auto found = fit_variant(v4, v4.variants[0], {}, **accelerators().find("h200"), {});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().reason, "unknown_shape");
}

TEST(ShippedCatalogue, MoE16BHasGroupedAttentionAndExperts) {
  EXPECT_EQ(model_sizes(shape_of("deepseek-moe-16b"), Precision::kBf16).parameters(), 16'375'728'128);
  EXPECT_FALSE(shape_of("deepseek-moe-16b").is_latent());
}

TEST(ShippedCatalogue, TheDistilledQwen3AddsUp) {
  const ModelShape& shape = shape_of("deepseek-r1-0528-qwen3-8b");
  EXPECT_EQ(model_sizes(shape, Precision::kBf16).parameters(), 8'190'735'360);
  EXPECT_EQ(kv_bytes_per_token(shape, KvPrecision::kBf16), 147'456);
}

// What only was trained further, or had its template changed, is the same to the fit.
TEST(ShippedCatalogue, LaterReleasesHaveTheShapeOfTheirArchitecture) {
  for (const char* model :
       {"deepseek-v3-0324", "deepseek-r1-0528", "deepseek-prover-v2-671b", "deepseek-v3.1-terminus"}) {
    EXPECT_EQ(shape_of(model), shape_of("deepseek-v3")) << model;
  }
  for (const char* model : {"deepseek-v3.2-exp", "deepseek-v3.2-speciale", "deepseek-math-v2"}) {
    EXPECT_EQ(shape_of(model), shape_of("deepseek-v3.2")) << model;
  }
  EXPECT_EQ(shape_of("deepseek-coder-v2"), shape_of("deepseek-v2"));
  EXPECT_EQ(shape_of("deepseek-coder-v2-lite"), shape_of("deepseek-v2-lite"));
}

// A checkpoint held here: its file has exactly the bytes the shape says, draft layer and scales included.
TEST(ShippedCatalogue, TheDemoModelsShapeAddsUpToItsFile) {
  const ModelSizes sizes = model_sizes(shape_of("tang-moe"), Precision::kFp8Block);
  EXPECT_EQ(sizes.parameters() + sizes.draft.parameters, 24'647'456);
  EXPECT_EQ(sizes.bytes() + sizes.draft.bytes, 27'853'988);
  const CatalogueVariant& variant = *shipped().find("tang-moe", "fp8");
  EXPECT_EQ(variant.parameters, sizes.parameters());
  EXPECT_EQ(variant.weight_bytes, sizes.bytes());
  EXPECT_EQ(variant.kv_bytes_per_token, 1'920);
}

TEST(ShippedCatalogue, TheDenseDemoModelsShapeAddsUpToItsFile) {
  const ModelSizes sizes = model_sizes(shape_of("tang-distill-qwen2"), Precision::kBf16);
  EXPECT_EQ(sizes.parameters(), 2'755'520);
  EXPECT_EQ(sizes.bytes(), 5'511'040);
}

TEST(ShippedAccelerators, CoverTheVendorsAndThePlanOfV3) {
  for (const char* name :
       {"h100", "h200", "h20",  "h20-141", "a100",  "l40s",  "l20",    "a10",    "910b",   "910c",   "p800",
        "k100", "c500", "c550", "s60",     "s4000", "s5000", "mi300x", "gaudi2", "gaudi3", "cpu-amx"}) {
    EXPECT_TRUE(accelerators().find(name)) << name;
  }
  for (const auto& [name, kind] : accelerators().kinds()) {
    EXPECT_FALSE(kind.sources.empty()) << name;
    EXPECT_FALSE(kind.engines.empty()) << name;
    EXPECT_GT(kind.memory_bytes, 0) << name << ": nothing can be planned without its memory";
  }
  const CatalogueModel& v3 = **shipped().find_model("deepseek-v3");
  const auto tokens = [&](const char* layout, const char* kind) {
    const auto found = fit_variant(v3, v3.variants[0], *parse_layout(layout), **accelerators().find(kind), {});
    return found ? found->kv_tokens : 0;
  };
  EXPECT_EQ(tokens("TP8", "h20"), 56'153);
  EXPECT_EQ(tokens("TP8", "h20-141"), 672'234);
  EXPECT_EQ(tokens("DP8+EP8", "h200"), 3'871'698);
  EXPECT_EQ(tokens("TP16", "h100"), 434'825);
  EXPECT_EQ(tokens("DP16+EP16", "h100"), 3'729'676);
  EXPECT_EQ(tokens("TP32", "h100"), 734'175);
  EXPECT_EQ(tokens("DP32+EP32", "h100"), 16'823'400);
  EXPECT_EQ(tokens("DP8+EP8", "h20"), 0);
  EXPECT_GT(tokens("TP8", "p800"), tokens("TP8", "h20")) << "eight of 96 GiB, as its maker sells it";
}

}  // namespace
}  // namespace tidegate::scheduler
