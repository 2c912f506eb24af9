// A request's logits are the same bits alone, in any batch, in any chunking, at any place in the cache, on
// any number of threads and any instruction set (invariant E1).
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/core/random.h"
#include "tests/unit/worker/backend/golden_backend.h"
#include "tests/unit/worker/backend/same_bits.h"

namespace tidegate::worker::batch_invariance_test {
namespace {

using Floats = std::vector<float>;

constexpr std::int32_t kLength = 200;  // past one attention part, ends inside a block
constexpr std::int32_t kBlocks = 4;    // per sequence

std::vector<TokenId> tokens_of(std::uint64_t seed, std::int32_t length = kLength) {
  Rng rng(seed);
  std::vector<TokenId> out;
  for (std::int32_t i = 0; i < length; ++i) out.push_back(static_cast<TokenId>(rng.below(512)));
  return out;
}

std::vector<std::int32_t> blocks_from(std::int32_t first) {
  std::vector<std::int32_t> out(kBlocks);
  std::iota(out.rbegin(), out.rend(), first);
  return out;
}

/// Logits after the last token, fed alone in chunks of `chunk`.
Floats run_alone(CpuBackend& backend, const std::vector<TokenId>& tokens, std::size_t chunk,
                 std::int32_t first_block = 0) {
  const auto blocks = blocks_from(first_block);
  Floats logits(512);
  for (std::size_t at = 0; at < tokens.size(); at += chunk) {
    const auto piece = std::span(tokens).subspan(at, std::min(chunk, tokens.size() - at));
    const BatchSequence sequence{
        .tokens = piece, .position = static_cast<std::int32_t>(at), .blocks = blocks, .want_logits = true};
    EXPECT_TRUE(backend.forward({&sequence, 1}, logits));
  }
  return logits;
}

class BatchInvariance : public testing::TestWithParam<const char*> {
 protected:
  const std::vector<TokenId> tokens_ = tokens_of(42);
};

TEST_P(BatchInvariance, AnyChunking) {
  const auto backend = golden_backend(GetParam(), {.threads = 2, .digest = false}, kBlocks);
  const Floats whole = run_alone(*backend, tokens_, kLength);
  for (const std::size_t chunk : {1u, 7u, 64u, 100u})
    EXPECT_TRUE(same_bits(run_alone(*backend, tokens_, chunk), whole)) << chunk;
}

TEST_P(BatchInvariance, AnyNumberOfThreadsAndAnyInstructionSet) {
  const Floats reference =
      run_alone(*golden_backend(GetParam(), {.threads = 1, .digest = false}, kBlocks), tokens_, 64);
  for (const int threads : {2, 5}) {
    const auto backend = golden_backend(GetParam(), {.threads = threads, .digest = false}, kBlocks);
    EXPECT_TRUE(same_bits(run_alone(*backend, tokens_, 64), reference)) << threads;
    EXPECT_TRUE(same_bits(run_alone(*backend, tokens_, 1), reference)) << threads;
  }
  for (const CpuIsa isa : {CpuIsa::kScalar, CpuIsa::kAvx2, CpuIsa::kAvx512}) {
    if (!isa_available(isa)) continue;
    const auto backend = golden_backend(GetParam(), {.threads = 1, .isa = isa, .digest = false}, kBlocks);
    EXPECT_TRUE(same_bits(run_alone(*backend, tokens_, 64), reference)) << isa_name(isa);
  }
}

TEST_P(BatchInvariance, AnyPlaceInTheCache) {
  const auto backend = golden_backend(GetParam(), {.threads = 2, .digest = false}, 3 * kBlocks);
  const Floats first = run_alone(*backend, tokens_, 64, 0);
  EXPECT_TRUE(same_bits(run_alone(*backend, tokens_, 64, 2 * kBlocks), first));
}

/// Sequences of random lengths advance together by random chunks, in random order, with and without wanted
/// logits; each one's final logits equal those it has alone.
TEST_P(BatchInvariance, AnyCompany) {
  constexpr std::int32_t kSequences = 7;
  const auto backend = golden_backend(GetParam(), {.threads = 2, .digest = false}, kSequences * kBlocks);
  Rng rng(7);
  struct Live {
    std::vector<TokenId> tokens;
    std::vector<std::int32_t> blocks;
    std::size_t done = 0;
    Floats last;
  };
  std::vector<Live> live;
  for (std::int32_t s = 0; s < kSequences; ++s) {
    const auto length = static_cast<std::int32_t>(1 + rng.below(kLength));
    live.push_back({tokens_of(100 + static_cast<std::uint64_t>(s), length), blocks_from(s * kBlocks), 0, {}});
  }
  for (;;) {
    std::vector<std::size_t> order;
    for (std::size_t s = 0; s < live.size(); ++s) {
      if (live[s].done < live[s].tokens.size() && rng.below(4) != 0) {
        order.insert(order.begin() + static_cast<std::ptrdiff_t>(rng.below(order.size() + 1)), s);
      }
    }
    if (std::ranges::all_of(live, [](const Live& one) { return one.done == one.tokens.size(); })) break;
    std::vector<BatchSequence> batch;
    std::vector<std::size_t> wanting;
    for (const std::size_t s : order) {
      const std::size_t left = live[s].tokens.size() - live[s].done;
      const std::size_t size = rng.below(3) == 0 ? 1 : 1 + rng.below(left);
      const bool wants = size == left;
      batch.push_back({std::span(live[s].tokens).subspan(live[s].done, size),
                       static_cast<std::int32_t>(live[s].done), live[s].blocks, wants});
      live[s].done += size;
      if (wants) wanting.push_back(s);
    }
    Floats logits(512 * wanting.size());
    ASSERT_TRUE(backend->forward(batch, logits));
    for (std::size_t i = 0; i < wanting.size(); ++i) {
      live[wanting[i]].last.assign(logits.begin() + static_cast<std::ptrdiff_t>(512 * i),
                                   logits.begin() + static_cast<std::ptrdiff_t>(512 * (i + 1)));
    }
  }
  for (std::size_t s = 0; s < live.size(); ++s) {
    EXPECT_TRUE(same_bits(run_alone(*backend, live[s].tokens, kLength), live[s].last)) << "sequence " << s;
  }
}

INSTANTIATE_TEST_SUITE_P(, BatchInvariance,
                         testing::Values("deepseek_v3", "deepseek_v3_fp8", "deepseek_v2", "deepseek_moe", "llama",
                                         "qwen2"),
                         [](const auto& param_info) { return std::string(param_info.param); });

}  // namespace
}  // namespace tidegate::worker::batch_invariance_test
