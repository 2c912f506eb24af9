// The draft layer over the paged cache says, bit for bit, what it says when it sees the whole sequence at once: whatever the
// chunks, the company, and however often it guessed wrong before.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/core/random.h"
#include "tests/unit/worker/backend/golden_backend.h"
#include "tests/unit/worker/backend/same_bits.h"

namespace tidegate::worker::cpu_draft_test {
namespace {

constexpr std::size_t kVocab = 512;
constexpr std::int32_t kBlocks = 4;

std::vector<TokenId> random_tokens(std::size_t count) {
  Rng rng(17);
  std::vector<TokenId> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(static_cast<TokenId>(rng.below(kVocab)));
  return out;
}

std::unique_ptr<CpuBackend> drafting_backend(const char* name, std::int32_t blocks = kBlocks) {
  return golden_backend(name, {.threads = 2, .digest = false, .mtp = true}, blocks);
}

/// One sequence that is fed and drafted for.
struct Fed {
  Fed(CpuBackend& backend_in, std::vector<std::int32_t> blocks_in) : backend(backend_in), blocks(std::move(blocks_in)) {}

  /// Tokens [position, +count), and behind them a guess. Returns the rows of logits.
  std::vector<float> feed(std::span<const TokenId> tokens, std::int32_t position, std::size_t count, bool want,
                          std::optional<TokenId> guess = std::nullopt) {
    std::vector<TokenId> fed(tokens.begin() + position, tokens.begin() + position + static_cast<std::ptrdiff_t>(count));
    if (guess) fed.push_back(*guess);
    const std::size_t rows = want ? (guess ? 2 : 1) : 0;
    std::vector<float> logits(rows * kVocab);
    const BatchSequence sequence{.tokens = fed,
                                 .position = position,
                                 .blocks = blocks,
                                 .want_logits = want,
                                 .drafts = guess ? 1 : 0,
                                 .draft_state = &state};
    EXPECT_TRUE(backend.forward({&sequence, 1}, logits));
    return logits;
  }
  std::vector<float> draft(std::span<const TokenId> certain) {
    std::vector<float> logits(kVocab);
    const DraftSequence sequence{.tokens = certain, .blocks = blocks, .state = &state};
    EXPECT_TRUE(backend.draft({&sequence, 1}, logits));
    return logits;
  }

  CpuBackend& backend;
  std::vector<std::int32_t> blocks;
  DraftState state;
};

class CpuDraft : public testing::TestWithParam<const char*> {};

TEST_P(CpuDraft, GuessesAreThoseOfTheWholeSequence) {
  const auto tokens = random_tokens(160);
  const std::span<const TokenId> all = tokens;
  const auto backend = drafting_backend(GetParam());
  const auto whole = backend->draft_logits(tokens);
  ASSERT_TRUE(whole) << whole.error().to_string();
  const auto expected = [&](std::size_t row) { return std::span<const float>(*whole).subspan(row * kVocab, kVocab); };

  for (const std::size_t chunk : {std::size_t{1}, std::size_t{7}, std::size_t{64}, std::size_t{100}}) {
    SCOPED_TRACE(chunk);
    Fed fed(*backend, {3, 0, 2, 1});
    for (std::size_t at = 0; at < 100; at += chunk) {
      const std::size_t count = std::min(chunk, 100 - at);
      (void)fed.feed(all, static_cast<std::int32_t>(at), count, at + count == 100);
    }
    EXPECT_EQ(fed.state.position, 99);
    EXPECT_TRUE(same_bits(fed.draft(all.subspan(100, 1)), expected(99)));
    EXPECT_EQ(fed.state.position, -1) << "known to the draft layer now";
    (void)fed.feed(all, 100, 1, true);
    EXPECT_TRUE(same_bits(fed.draft(all.subspan(101, 1)), expected(100)));
    // A right guess: two tokens become certain.
    (void)fed.feed(all, 101, 1, true, tokens[102]);
    EXPECT_TRUE(same_bits(fed.draft(all.subspan(102, 2)), expected(102)));
    // A wrong one leaves no trace.
    (void)fed.feed(all, 103, 1, true, static_cast<TokenId>((tokens[104] + 1) % 512));
    EXPECT_TRUE(same_bits(fed.draft(all.subspan(104, 1)), expected(103)));
    // Nobody asks for guesses for a while: the layer follows all the same.
    for (std::int32_t at = 104; at < 130; ++at) (void)fed.feed(all, at, 1, true);
    EXPECT_TRUE(same_bits(fed.draft(all.subspan(130, 1)), expected(129)));
  }
}

TEST_P(CpuDraft, AGuessIsCheckedWithTheLogitsOfItsOwnPlace) {
  const auto tokens = random_tokens(80);
  const auto backend = drafting_backend(GetParam(), 2 * kBlocks);
  Fed plain(*backend, {0, 1, 2, 3});
  Fed guessed(*backend, {4, 5, 6, 7});
  (void)plain.feed(tokens, 0, 70, true);
  (void)guessed.feed(tokens, 0, 70, true);
  const auto first = plain.feed(tokens, 70, 1, true);
  const auto second = plain.feed(tokens, 71, 1, true);
  const auto both = guessed.feed(tokens, 70, 1, true, tokens[71]);
  ASSERT_EQ(both.size(), 2 * kVocab);
  EXPECT_TRUE(same_bits(std::span(both).first(kVocab), first));
  EXPECT_TRUE(same_bits(std::span(both).last(kVocab), second));
  const auto wrong = guessed.feed(tokens, 72, 1, true, TokenId{5});
  const auto after = plain.feed(tokens, 72, 1, true);
  EXPECT_TRUE(same_bits(std::span(wrong).first(kVocab), after));
  EXPECT_TRUE(same_bits(guessed.feed(tokens, 73, 1, true), plain.feed(tokens, 73, 1, true)))
      << "a wrong guess is overwritten";
}

TEST_P(CpuDraft, SequencesAreDraftedTogetherAsAlone) {
  const auto tokens = random_tokens(120);
  const auto backend = drafting_backend(GetParam(), 3 * kBlocks);
  const auto whole = backend->draft_logits(tokens);
  ASSERT_TRUE(whole);
  std::vector<Fed> all;
  std::vector<std::size_t> lengths = {5, 64, 117};
  for (std::int32_t n = 0; n < 3; ++n) {
    const std::int32_t base = n * kBlocks;
    all.emplace_back(*backend, std::vector<std::int32_t>{base, base + 1, base + 2, base + 3});
  }
  std::vector<BatchSequence> batch;
  for (std::size_t n = 0; n < 3; ++n) {
    batch.push_back({.tokens = std::span(tokens).first(lengths[n]),
                     .position = 0,
                     .blocks = all[n].blocks,
                     .want_logits = true,
                     .drafts = 0,
                     .draft_state = &all[n].state});
  }
  std::vector<float> logits(3 * kVocab);
  ASSERT_TRUE(backend->forward(batch, logits));
  std::vector<DraftSequence> drafts;
  for (std::size_t n = 0; n < 3; ++n) {
    drafts.push_back({.tokens = std::span(tokens).subspan(lengths[n], 1), .blocks = all[n].blocks, .state = &all[n].state});
  }
  ASSERT_TRUE(backend->draft(drafts, logits));
  for (std::size_t n = 0; n < 3; ++n) {
    const auto expected = std::span<const float>(*whole).subspan((lengths[n] - 1) * kVocab, kVocab);
    EXPECT_TRUE(same_bits(std::span(logits).subspan(n * kVocab, kVocab), expected)) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(, CpuDraft, testing::Values("deepseek_v3", "deepseek_v3_fp8"),
                         [](const auto& param_info) { return std::string(param_info.param); });

TEST(CpuBackend, ADraftLayerTakesItsShareOfTheCache) {
  const auto without = golden_backend("deepseek_v3", {.threads = 1, .digest = false}, 1);
  const auto with = drafting_backend("deepseek_v3", 1);
  EXPECT_FALSE(without->can_draft());
  EXPECT_TRUE(with->can_draft());
  const std::int64_t layers = without->spec().layers;
  EXPECT_EQ(with->facts().kv_bytes_per_token * layers, without->facts().kv_bytes_per_token * (layers + 1));
}

}  // namespace
}  // namespace tidegate::worker::cpu_draft_test
