// A request's logits are the same bits alone, in any batch, in any chunking, at any place in the cache, on
// any number of threads and any instruction set (invariant E1).
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

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

/// Contexts of more parts than are shared out at once: their last token, alone and in company, on some threads.
class LongContext : public testing::TestWithParam<const char*> {
 protected:
  static constexpr std::int32_t kLongBlocks = 40;

  static std::unique_ptr<CpuBackend> open(int threads, std::int32_t blocks) {
    return golden_backend(GetParam(), {.threads = threads, .digest = false}, blocks,
                          [](ModelSpec& spec) { spec.context_max = kLongBlocks * kKvBlockTokens; });
  }
  static std::vector<std::int32_t> table_of(std::int32_t sequence, std::int32_t blocks) {
    std::vector<std::int32_t> out(static_cast<std::size_t>(blocks));
    std::iota(out.begin(), out.end(), sequence * blocks);
    return out;
  }
  /// Logits after the last of `tokens`, of which [from, end) are fed now.
  static Floats feed(CpuBackend& backend, std::span<const TokenId> tokens, std::size_t from, std::span<const std::int32_t> blocks) {
    Floats logits(512);
    const BatchSequence sequence{.tokens = tokens.subspan(from),
                                 .position = static_cast<std::int32_t>(from),
                                 .blocks = blocks,
                                 .want_logits = true};
    EXPECT_TRUE(backend.forward({&sequence, 1}, logits));
    return logits;
  }
};

TEST_P(LongContext, TheLastTokenHasTheSameBitsHoweverItsPartsAreSharedOut) {
  constexpr std::int32_t kSequences = 3;
  constexpr std::int32_t kBlocksEach = 11;
  constexpr std::size_t kTokens = 690;  // six parts; a wave has four for each thread
  std::vector<std::vector<TokenId>> tokens;
  std::vector<Floats> whole;
  const auto prefills = open(1, kSequences * kBlocksEach);
  for (std::int32_t s = 0; s < kSequences; ++s) {
    tokens.push_back(tokens_of(500 + static_cast<std::uint64_t>(s), static_cast<std::int32_t>(kTokens)));
    whole.push_back(feed(*prefills, tokens.back(), 0, table_of(s, kBlocksEach)));
  }
  for (const int threads : {1, 2}) {
    const auto backend = open(threads, kSequences * kBlocksEach);
    std::vector<std::vector<std::int32_t>> tables;
    for (std::int32_t s = 0; s < kSequences; ++s) tables.push_back(table_of(s, kBlocksEach));
    for (std::size_t s = 0; s < tokens.size(); ++s) {
      feed(*backend, std::span(tokens[s]).first(kTokens - 1), 0, tables[s]);
      EXPECT_TRUE(same_bits(feed(*backend, tokens[s], kTokens - 1, tables[s]), whole[s])) << threads << " threads, alone";
    }
    std::vector<BatchSequence> batch;
    for (std::size_t s = 0; s < tokens.size(); ++s) {
      batch.push_back({.tokens = std::span(tokens[s]).subspan(kTokens - 1),
                       .position = static_cast<std::int32_t>(kTokens - 1),
                       .blocks = tables[s],
                       .want_logits = true});
    }
    Floats together(512 * tokens.size());
    ASSERT_TRUE(backend->forward(batch, together));
    for (std::size_t s = 0; s < tokens.size(); ++s) {
      EXPECT_TRUE(same_bits(std::span(together).subspan(512 * s, 512), whole[s])) << threads << " threads, together";
    }
  }
}

TEST_P(LongContext, ScratchMemoryDoesNotGrowWithIt) {
  const auto backend = open(2, kLongBlocks);
  const auto blocks = table_of(0, kLongBlocks);
  const auto tokens = tokens_of(9, kLongBlocks * kKvBlockTokens);
  const auto fill_to = [&](std::size_t from, std::size_t end) {
    for (std::size_t at = from; at < end; at += 64) feed(*backend, std::span(tokens).first(std::min(at + 64, end)), at, blocks);
    // One row alone: its parts are shared out.
    feed(*backend, std::span(tokens).first(end), end - 1, blocks);
    return backend->attention_scratch_bytes();
  };
  const std::size_t at_eighteen_parts = fill_to(0, 2180);
  EXPECT_GT(at_eighteen_parts, 0U);
  EXPECT_EQ(fill_to(2180, tokens.size()), at_eighteen_parts) << "twenty parts";
  const auto said = static_cast<std::size_t>(attention_scratch_bytes_max(backend->spec(), 2, 64));
  EXPECT_LE(at_eighteen_parts, said);
  EXPECT_GT(2 * at_eighteen_parts, said) << "no guess far above what is taken";
}

INSTANTIATE_TEST_SUITE_P(, LongContext, testing::Values("deepseek_v2_lite", "llama"),
                         [](const auto& param_info) { return std::string(param_info.param); });

INSTANTIATE_TEST_SUITE_P(, BatchInvariance,
                         testing::Values("deepseek_v3", "deepseek_v3_fp8", "deepseek_v2", "deepseek_moe", "llama",
                                         "qwen2"),
                         [](const auto& param_info) { return std::string(param_info.param); });

}  // namespace
}  // namespace tidegate::worker::batch_invariance_test
