// The kernels that round the inputs of products (Arithmetic::kBf16, kFast): still batch-invariant, and within the bounds that
// are published, for bf16 (cosine of logits >= 0.9995, KL divergence <= 2e-3) of the exact ones, which the golden tests hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <ostream>

#include "base/core/random.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/backend/golden_backend.h"
#include "tests/unit/worker/backend/same_bits.h"
#include "worker/backend/load.h"
#include "worker/convert/convert.h"

namespace tidegate::worker::rounded_inputs_test {
namespace {

using Floats = std::vector<float>;

constexpr std::int32_t kLength = 150;  // past one attention part
constexpr std::int32_t kBlocks = 3;

/// Logits after the last of kLength tokens, fed in chunks.
Floats logits_of(Backend& backend, std::size_t chunk) {
  Rng rng(42);
  std::vector<TokenId> tokens;
  for (std::int32_t i = 0; i < kLength; ++i) tokens.push_back(static_cast<TokenId>(rng.below(512)));
  std::vector<std::int32_t> blocks(kBlocks);
  std::iota(blocks.begin(), blocks.end(), 0);
  Floats logits(512);
  for (std::size_t at = 0; at < tokens.size(); at += chunk) {
    const auto piece = std::span<const TokenId>(tokens).subspan(at, std::min(chunk, tokens.size() - at));
    const BatchSequence sequence{
        .tokens = piece, .position = static_cast<std::int32_t>(at), .blocks = blocks, .want_logits = true};
    EXPECT_TRUE(backend.forward({&sequence, 1}, logits));
  }
  return logits;
}

double cosine(const Floats& a, const Floats& b) {
  double dot = 0;
  double of_a = 0;
  double of_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    of_a += static_cast<double>(a[i]) * a[i];
    of_b += static_cast<double>(b[i]) * b[i];
  }
  return dot / std::sqrt(of_a * of_b);
}

std::vector<double> probabilities(const Floats& logits) {
  const double maximum = std::ranges::max(logits);
  std::vector<double> out;
  for (const float logit : logits) out.push_back(std::exp(logit - maximum));
  const double total = std::accumulate(out.begin(), out.end(), 0.0);
  for (double& p : out) p /= total;
  return out;
}

double kl_divergence(const Floats& from, const Floats& to) {
  const std::vector<double> p = probabilities(from);
  const std::vector<double> q = probabilities(to);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) sum += p[i] * std::log(p[i] / q[i]);
  return sum;
}

struct Rounded {
  const char* golden;
  CpuIsa isa;
};

std::ostream& operator<<(std::ostream& out, const Rounded& rounded) { return out << rounded.golden << " " << isa_name(rounded.isa); }

class RoundedInputs : public testing::TestWithParam<Rounded> {
 protected:
  void SetUp() override {
    const CpuIsa isa = GetParam().isa;
    if (!isa_available(isa)) GTEST_SKIP() << "no " << isa_name(isa) << " here: " << isa_lack(isa);
  }
  static Floats run(CpuIsa isa, int threads, std::size_t chunk) {
    const auto backend = golden_backend(GetParam().golden, {.threads = threads, .isa = isa, .digest = false}, kBlocks);
    return logits_of(*backend, chunk);
  }
};

TEST_P(RoundedInputs, GiveTheSameBitsInAnyChunkingAndOnAnyNumberOfThreads) {
  const Floats whole = run(GetParam().isa, 1, kLength);
  for (const std::size_t chunk : {1u, 7u, 64u}) EXPECT_TRUE(same_bits(run(GetParam().isa, 2, chunk), whole)) << chunk;
}

TEST_P(RoundedInputs, KeepTheLogitsWithinTheBoundsOfBf16) {
  const Floats exact = run(CpuIsa::kAuto, 1, kLength);
  const Floats rounded = run(GetParam().isa, 1, kLength);
  EXPECT_FALSE(same_bits(rounded, exact));
  EXPECT_GE(cosine(exact, rounded), 0.9995);
  EXPECT_LE(kl_divergence(exact, rounded), 2e-3);
}

/// The instructions, and what they are documented to compute: the whole model agrees.
TEST_P(RoundedInputs, ByAmxAreThoseOfTheReferenceBitForBit) {
  if (GetParam().isa != CpuIsa::kAmxBf16) GTEST_SKIP() << "of AMX";
  EXPECT_TRUE(same_bits(run(CpuIsa::kAmxBf16, 2, 64), run(CpuIsa::kAmxReference, 2, 64)));
}

// The reference is slow: one model of each kind of weights.
INSTANTIATE_TEST_SUITE_P(, RoundedInputs,
                         testing::Values(Rounded{"deepseek_v3", CpuIsa::kAvx512Bf16}, Rounded{"deepseek_v3_fp8", CpuIsa::kAvx512Bf16},
                                         Rounded{"deepseek_v2_lite", CpuIsa::kAvx512Bf16}, Rounded{"llama", CpuIsa::kAvx512Bf16},
                                         Rounded{"deepseek_v3", CpuIsa::kAmxBf16}, Rounded{"deepseek_v3_fp8", CpuIsa::kAmxBf16},
                                         Rounded{"deepseek_v2_lite", CpuIsa::kAmxBf16}, Rounded{"llama", CpuIsa::kAmxBf16},
                                         Rounded{"deepseek_v3_fp8", CpuIsa::kAmxReference},
                                         Rounded{"llama", CpuIsa::kAmxReference}));

/// A golden model with weights of Q8_0, which `fast` is for.
class Int8Inputs : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto report =
        convert_model(golden_folder(GetParam()), model_, {.precision = Precision::kQ8_0, .format = ModelFormat::kGguf});
    ASSERT_TRUE(report) << report.error().to_string();
  }
  Floats run(CpuIsa isa, int threads, std::size_t chunk, const std::filesystem::path& cache = {}) const {
    LoadOptions options{.threads = threads, .isa = isa, .digest = false};
    options.cache.folder = cache;
    const auto backend = load_backend(model_, options);
    EXPECT_TRUE(backend) << backend.error().to_string();
    if (!backend) return {};
    EXPECT_TRUE((*backend)->alloc_kv(kBlocks));
    return logits_of(**backend, chunk);
  }
  const test::TempDir dir_;
  const std::filesystem::path model_ = dir_.path() / "q8_0";
};

TEST_P(Int8Inputs, GiveTheSameBitsInAnyChunkingOnAnyNumberOfThreadsAndOnEveryInstructionSet) {
  const Floats whole = run(CpuIsa::kInt8Reference, 2, kLength);
  EXPECT_TRUE(same_bits(run(CpuIsa::kInt8Reference, 1, 7), whole));
  if (!isa_available(CpuIsa::kVnniInt8)) GTEST_SKIP() << isa_lack(CpuIsa::kVnniInt8) << ": only the reference is tested here";
  for (const std::size_t chunk : {1u, 7u, 64u}) EXPECT_TRUE(same_bits(run(CpuIsa::kVnniInt8, 2, chunk), whole)) << chunk;
}

TEST_P(Int8Inputs, KeepTheLogitsWithinTheBoundsOfInt8) {
  const Floats exact = run(CpuIsa::kAuto, 2, kLength);
  const Floats rounded = run(CpuIsa::kInt8Reference, 2, kLength);
  EXPECT_FALSE(same_bits(rounded, exact));
  EXPECT_GE(cosine(exact, rounded), 0.998);
  EXPECT_LE(kl_divergence(exact, rounded), 2e-2);
}

TEST_P(Int8Inputs, MappedQuadsGiveTheBitsOfPackedOnes) {
  const Floats packed = run(CpuIsa::kInt8Reference, 2, 64);
  for (int start = 0; start < 2; ++start) EXPECT_TRUE(same_bits(run(CpuIsa::kInt8Reference, 2, 64, dir_.path() / "cache"), packed));
}

INSTANTIATE_TEST_SUITE_P(, Int8Inputs, testing::Values("llama", "deepseek_v2_lite"));

}  // namespace
}  // namespace tidegate::worker::rounded_inputs_test
