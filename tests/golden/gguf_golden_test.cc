// The golden checkpoints, rewritten as GGUF files in every way that converters have, give the golden values too.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/core/random.h"
#include "tests/golden/gguf_export.h"
#include "tests/golden/golden_folder.h"
#include "tests/support/temp_dir.h"
#include "worker/backend/load.h"
#include "worker/model/model_files.h"
#include "worker/verify/verify.h"

namespace tidegate::worker {
namespace {

using KvB = GgufExport::KvB;

struct Exported {
  const char* name;
  const char* golden;
  KvB kv_b;
};

std::ostream& operator<<(std::ostream& out, const Exported& exported) { return out << exported.name; }

/// The taps of a draft layer, which conversion drops.
bool is_of_the_draft(const TapDifference& tap) { return tap.tap.find("mtp") != std::string::npos; }

class GgufGolden : public testing::TestWithParam<Exported> {};

TEST_P(GgufGolden, EveryTapIsWithinTolerance) {
  const Exported& exported = GetParam();
  const test::TempDir dir;
  const auto path = dir.path() / "model.gguf";
  GgufExport(golden_folder(exported.golden), exported.kv_b).write(path);
  const auto report = verify_golden(path, golden_folder(exported.golden), {.threads = 2});
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_GE(report->taps.size(), 17u);
  for (const TapDifference& tap : report->taps) {
    if (is_of_the_draft(tap)) continue;
    EXPECT_TRUE(tap.passed()) << to_text(*report);
  }
}

INSTANTIATE_TEST_SUITE_P(, GgufGolden,
                         testing::Values(Exported{"Llama", "llama", KvB::kWhole}, Exported{"Qwen2", "qwen2", KvB::kWhole},
                                         Exported{"DeepseekMoe", "deepseek_moe", KvB::kWhole},
                                         Exported{"V2Whole", "deepseek_v2", KvB::kWhole},
                                         Exported{"V2Halves", "deepseek_v2", KvB::kHalves},
                                         Exported{"V2LiteHalves", "deepseek_v2_lite", KvB::kHalves},
                                         Exported{"V3Whole", "deepseek_v3", KvB::kWhole},
                                         Exported{"V3Halves", "deepseek_v3", KvB::kHalves}),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(GgufModel, UnpermutedRowsGiveAnotherModel) {
  // Otherwise the permutation of q and k could be forgotten on both sides.
  const test::TempDir dir;
  const auto path = dir.path() / "model.gguf";
  GgufExport(golden_folder("llama"), KvB::kWhole).write(path);
  const auto report = verify_golden(path, golden_folder("llama"), {.threads = 1, .adjust = [](ModelSpec& spec) {
                                                                     spec.formulas.rope.layout = RopeLayout::kHalfSplit;
                                                                   }});
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(report->passed());
}

TEST(GgufModel, AFolderOrAFileLoadsWithTheFilesDigest) {
  const test::TempDir dir;
  const auto path = dir.path() / "model.gguf";
  GgufExport(golden_folder("qwen2"), KvB::kWhole).write(path);
  const auto of_file = load_backend(path, {.threads = 1});
  const auto of_folder = load_backend(dir.path(), {.threads = 1});
  ASSERT_TRUE(of_file && of_folder);
  EXPECT_EQ((*of_file)->facts().architecture, "Qwen2ForCausalLM");
  EXPECT_TRUE((*of_file)->facts().weights_digest.starts_with("sha256:"));
  EXPECT_EQ((*of_file)->facts().weights_digest, (*of_folder)->facts().weights_digest);
}

/// A tiny llama whose matrices are of one block type, or of its values in F32.
std::string tiny_llama(std::uint32_t type, Dtype dtype, bool as_floats) {
  constexpr std::int64_t kHidden = 256;
  constexpr std::int64_t kVocab = 64;
  GgufWriter writer;
  writer.text("general.architecture", "llama");
  const std::pair<const char*, std::uint32_t> wholes[] = {
      {"block_count", 1}, {"context_length", 64},       {"embedding_length", 256},    {"feed_forward_length", 512},
      {"attention.head_count", 4}, {"attention.head_count_kv", 2}};
  for (const auto& [key, value] : wholes) writer.whole(fmt::format("llama.{}", key), value);
  Rng rng(9);
  const auto matrix = [&](const char* name, std::int64_t rows, std::int64_t columns) {
    const DtypeBlock block = dtype_block(dtype);
    std::string bytes;
    for (std::int64_t i = 0; i < rows * columns / block.elements; ++i) {
      std::string one;
      for (std::int64_t b = 0; b < block.bytes; ++b) one.push_back(static_cast<char>(rng.below(256)));
      // Scales must be finite and small: 2^-14 * 1.x, wherever the type keeps them.
      for (const std::int64_t at : {std::int64_t{0}, std::int64_t{2}, block.bytes - 2}) {
        const bool is_scale = at == 0 || (at == 2 && (dtype == Dtype::kQ4_1 || dtype == Dtype::kQ4K || dtype == Dtype::kQ5K)) ||
                              (at == block.bytes - 2 && dtype == Dtype::kQ6K);
        if (is_scale) one[static_cast<std::size_t>(at) + 1] = 0x04;
      }
      bytes += one;
    }
    const std::vector<std::uint64_t> dims{static_cast<std::uint64_t>(columns), static_cast<std::uint64_t>(rows)};
    if (!as_floats) return writer.tensor(name, dims, type, bytes);
    const TensorView view{dtype, {rows, columns}, std::as_bytes(std::span(bytes))};
    const std::vector<float> values = to_floats(view);
    writer.tensor(name, dims, 0, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  };
  const auto norm = [&](const char* name) {
    const std::vector<float> ones(kHidden, 1.0f);
    writer.tensor(name, {kHidden}, 0, {reinterpret_cast<const char*>(ones.data()), ones.size() * sizeof(float)});
  };
  matrix("token_embd.weight", kVocab, kHidden);  // the head as well
  norm("output_norm.weight");
  norm("blk.0.attn_norm.weight");
  norm("blk.0.ffn_norm.weight");
  matrix("blk.0.attn_q.weight", kHidden, kHidden);
  matrix("blk.0.attn_k.weight", kHidden / 2, kHidden);
  matrix("blk.0.attn_v.weight", kHidden / 2, kHidden);
  matrix("blk.0.attn_output.weight", kHidden, kHidden);
  matrix("blk.0.ffn_gate.weight", 2 * kHidden, kHidden);
  matrix("blk.0.ffn_up.weight", 2 * kHidden, kHidden);
  matrix("blk.0.ffn_down.weight", kHidden, 2 * kHidden);
  return writer.bytes();
}

std::vector<float> logits_of(const std::string& bytes) {
  const test::TempDir dir;
  std::ofstream(dir.file("model.gguf"), std::ios::binary) << bytes;
  auto backend = load_backend(dir.file("model.gguf"), {.threads = 1, .digest = false});
  EXPECT_TRUE(backend) << backend.error().to_string();
  if (!backend) return {};
  EXPECT_TRUE((*backend)->alloc_kv(1));
  const std::vector<TokenId> tokens{1, 5, 9, 2};
  const std::vector<std::int32_t> blocks{0};
  const BatchSequence sequence{.tokens = tokens, .position = 0, .blocks = blocks, .want_logits = true};
  std::vector<float> logits(64);
  EXPECT_TRUE((*backend)->forward({&sequence, 1}, logits));
  return logits;
}

struct Type {
  std::uint32_t number;
  Dtype dtype;
};

class QuantisedModel : public testing::TestWithParam<Type> {};

TEST_P(QuantisedModel, IsTheModelOfItsValues) {
  const auto [number, dtype] = GetParam();
  const auto quantised = logits_of(tiny_llama(number, dtype, false));
  const auto floats = logits_of(tiny_llama(number, dtype, true));
  ASSERT_EQ(quantised.size(), 64u);
  if (dtype == Dtype::kQ8_0) {  // kept as bytes: a block's scale meets the sum of its products, not each of them
    for (std::size_t i = 0; i < floats.size(); ++i) EXPECT_NEAR(quantised[i], floats[i], 2e-6f) << i;
  } else {
    EXPECT_EQ(quantised, floats) << "nothing is rounded on the way";
  }
  EXPECT_NE(quantised, std::vector<float>(64)) << "and the model says something";
}

INSTANTIATE_TEST_SUITE_P(, QuantisedModel,
                         testing::Values(Type{8, Dtype::kQ8_0}, Type{2, Dtype::kQ4_0}, Type{3, Dtype::kQ4_1},
                                         Type{6, Dtype::kQ5_0}, Type{12, Dtype::kQ4K}, Type{13, Dtype::kQ5K},
                                         Type{14, Dtype::kQ6K}),
                         [](const auto& param_info) { return std::string(dtype_name(param_info.param.dtype)); });

}  // namespace
}  // namespace tidegate::worker
