#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "worker/backend/backend.h"

namespace tidegate::worker {

/// A Backend whose logits are a hash of everything it finds in the sequence's KV blocks. Any block that is
/// lost, stale or out of order, or that two sequences write, therefore changes the tokens that come out. Shapes and
/// ownership are checked on the way: a block that somebody writes in a step is in nobody else's table.
class FakeBackend final : public Backend {
 public:
  static constexpr TokenId kBegin = 0;
  static constexpr TokenId kEnd = 1;
  static constexpr TokenId kFirstByte = 2;  ///< 256 tokens, one per byte
  static constexpr TokenId kThink = 258;
  static constexpr TokenId kThinkEnd = 259;
  static constexpr TokenId kUser = 260;
  static constexpr TokenId kAssistant = 261;
  static constexpr TokenId kFirstPaddingId =
      262;  ///< these rows get the largest logits, and must never be chosen
  static constexpr std::int32_t kVocab = 272;
  static constexpr std::int32_t kHidden = 4;  ///< of states, for tests that set ModelFacts::hidden_size to it

  FakeBackend() {
    facts_ = {.architecture = "FakeForCausalLM",
              .weights_digest = "sha256:fake",
              .vocab_size = kVocab,
              .context_max = 512,
              .kv_bytes_per_token = 4};
  }

  ModelFacts& mutable_facts() { return facts_; }
  /// Sequences whose tokens contain this one have a numeric fault: reported as an Error, or as a NaN in the
  /// row.
  std::optional<TokenId> poison;
  bool poison_as_nan = false;
  /// A byte that answers never contain.
  std::optional<char> never;
  /// Greedy answers are this token for ever.
  std::optional<TokenId> always;
  /// The next forward fails without naming a sequence.
  std::optional<Error> fail_next_forward;
  /// Chance, in 1/256, that a guess is drawn from the logits that the model will have; else from others. 0: no draft layer.
  std::uint32_t draft_chance = 0;
  /// Guesses are always this token.
  std::optional<TokenId> always_draft;
  /// Runs with every forward; tests move clocks by it.
  std::function<void()> on_forward;
  /// Chance, in 1/256, that a row prefers the end token or </think>.
  std::uint32_t end_chance = 8;
  std::uint32_t think_end_chance = 16;

  std::int64_t rows_total = 0;
  std::int64_t tokens_total = 0;
  std::int32_t batch_max = 0;

  const ModelFacts& facts() const override { return facts_; }

  Status alloc_kv(std::int32_t blocks) override {
    memory_.assign(static_cast<std::size_t>(blocks) * kKvBlockTokens, -1);
    return {};
  }

  Status forward(std::span<const BatchSequence> batch, std::span<float> logits) override {
    if (fail_next_forward) return fail(*std::exchange(fail_next_forward, std::nullopt));
    if (on_forward) on_forward();
    batch_max = std::max(batch_max, static_cast<std::int32_t>(batch.size()));
    std::map<std::int32_t, std::size_t> tables;
    for (const BatchSequence& sequence : batch) {
      for (const std::int32_t block : sequence.blocks) ++tables[block];
    }
    std::size_t wanted = 0;
    for (const BatchSequence& sequence : batch) {
      check_shape(sequence, tables);
      write(sequence);
      if (sequence.states != nullptr) fill_states(sequence);
      wanted += sequence.want_logits ? 1 + static_cast<std::size_t>(sequence.drafts) : 0;
    }
    EXPECT_EQ(logits.size(), wanted * kVocab);
    std::size_t row = 0;
    for (std::size_t index = 0; index < batch.size(); ++index) {
      const BatchSequence& sequence = batch[index];
      if (!sequence.want_logits) continue;
      const bool poisoned = poison && contains(sequence, *poison);
      if (poisoned && !poison_as_nan) {
        return fail(Code::kInternal, "numeric_fault", "a row is not finite",
                    "batch[" + std::to_string(index) + "]");
      }
      for (std::size_t end = end_of(sequence) - static_cast<std::size_t>(sequence.drafts); end <= end_of(sequence); ++end) {
        const auto out = logits.subspan(row++ * kVocab, kVocab);
        fill(history_hash(sequence.blocks, end), out);
        if (poisoned) out[17] = std::numeric_limits<float>::quiet_NaN();
      }
    }
    rows_total += static_cast<std::int64_t>(wanted);
    for (const BatchSequence& sequence : batch) {
      tokens_total += static_cast<std::int64_t>(sequence.tokens.size()) - sequence.drafts;
      drafts_total += sequence.drafts;
      follow(sequence);
    }
    return {};
  }

  /// What forward() says behind these tokens, if no block is lost, stale or another's: the model without an engine.
  std::vector<float> row_behind(std::span<const TokenId> tokens) const {
    std::uint64_t hash = 1;
    for (const TokenId id : tokens) hash = mix(hash, static_cast<std::uint64_t>(id));
    std::vector<float> row(kVocab);
    fill(hash, row);
    return row;
  }

  bool can_draft() const override { return draft_chance > 0; }
  Status draft(std::span<const DraftSequence> batch, std::span<float> logits) override {
    EXPECT_EQ(logits.size(), batch.size() * kVocab);
    for (std::size_t index = 0; index < batch.size(); ++index) {
      const DraftSequence& sequence = batch[index];
      EXPECT_GE(sequence.state->position, 0);
      EXPECT_LE(sequence.tokens.size(), sequence.state->hidden.size());
      const auto first = static_cast<std::size_t>(sequence.state->position) + 1;
      // The last of them is not fed yet; the others are in the blocks already.
      std::uint64_t hash = history_hash(sequence.blocks, first);
      for (const TokenId id : sequence.tokens) hash = mix(hash, static_cast<std::uint64_t>(id));
      for (std::size_t n = 0; n + 1 < sequence.tokens.size(); ++n) {
        EXPECT_EQ(cell(sequence.blocks, first + n), sequence.tokens[n]) << "not what was accepted";
      }
      const bool is_good = mix(hash, 77) % 256 < draft_chance;
      const auto row = logits.subspan(index * kVocab, kVocab);
      fill(is_good ? hash : mix(hash, 78), row);
      if (always_draft) row[static_cast<std::size_t>(*always_draft)] = 60;
      sequence.state->position = -1;
      sequence.state->hidden.clear();
    }
    return {};
  }

  std::int64_t drafts_total = 0;

 private:
  static std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
    hash = (hash ^ value) * 0x9E3779B97F4A7C15ULL;
    return hash ^ (hash >> 29);
  }

  void check_shape(const BatchSequence& sequence, const std::map<std::int32_t, std::size_t>& tables) const {
    ASSERT_FALSE(sequence.tokens.empty());
    const std::size_t end = static_cast<std::size_t>(sequence.position) + sequence.tokens.size();
    ASSERT_LE(end, static_cast<std::size_t>(facts_.context_max));
    ASSERT_GE(sequence.blocks.size() * kKvBlockTokens, end);
    for (std::size_t n = 0; n < sequence.blocks.size(); ++n) {
      const std::int32_t block = sequence.blocks[n];
      ASSERT_GE(block, 0);
      ASSERT_LT(static_cast<std::size_t>(block) * kKvBlockTokens, memory_.size());
      const bool is_written = (n + 1) * kKvBlockTokens > static_cast<std::size_t>(sequence.position);
      ASSERT_TRUE(!is_written || tables.at(block) == 1) << "block " << block << " is written, and in two tables";
    }
  }

  static void follow(const BatchSequence& sequence) {
    if (sequence.draft_state == nullptr) return;
    const auto kept = sequence.want_logits ? 1 + static_cast<std::size_t>(sequence.drafts) : std::size_t{1};
    sequence.draft_state->position = sequence.position + static_cast<std::int32_t>(sequence.tokens.size() - kept);
    sequence.draft_state->hidden.assign(kept, 0);
  }

  TokenId& cell(std::span<const std::int32_t> blocks, std::size_t position) {
    const auto block = static_cast<std::size_t>(blocks[position / kKvBlockTokens]);
    return memory_[block * kKvBlockTokens + position % kKvBlockTokens];
  }

  void write(const BatchSequence& sequence) {
    for (std::size_t i = 0; i < sequence.tokens.size(); ++i) {
      cell(sequence.blocks, static_cast<std::size_t>(sequence.position) + i) = sequence.tokens[i];
    }
  }

  std::size_t end_of(const BatchSequence& sequence) const {
    return static_cast<std::size_t>(sequence.position) + sequence.tokens.size();
  }

  std::uint64_t history_hash(std::span<const std::int32_t> blocks, std::size_t end) {
    std::uint64_t hash = 1;
    for (std::size_t i = 0; i < end; ++i) hash = mix(hash, static_cast<std::uint64_t>(cell(blocks, i)));
    return hash;
  }

  /// A state is a hash of what its token has seen.
  void fill_states(const BatchSequence& sequence) {
    float* out = sequence.states;
    for (std::size_t i = 0; i < sequence.tokens.size(); ++i) {
      const std::uint64_t hash = history_hash(sequence.blocks, static_cast<std::size_t>(sequence.position) + i + 1);
      for (std::uint64_t n = 0; n < kHidden; ++n) {
        *out++ = static_cast<float>(mix(hash, n) % 2001) / 1000.0F - 1;
      }
    }
  }

  bool contains(const BatchSequence& sequence, TokenId id) {
    for (std::size_t i = 0; i < end_of(sequence); ++i) {
      if (cell(sequence.blocks, i) == id) return true;
    }
    return false;
  }

  void fill(std::uint64_t hash, std::span<float> row) const {
    std::fill(row.begin(), row.end(), -20.0F);
    for (int n = 0; n < 12; ++n) {
      const std::uint64_t word = mix(hash, static_cast<std::uint64_t>(n) + 100);
      row[kFirstByte + word % 256] = static_cast<float>(word >> 60) * 0.25F;
    }
    if (never) row[static_cast<std::size_t>(kFirstByte) + static_cast<std::uint8_t>(*never)] = -20;
    if (mix(hash, 1) % 256 < end_chance) row[kEnd] = 9;
    if (mix(hash, 2) % 256 < think_end_chance) row[kThinkEnd] = 8;
    if (always) row[static_cast<std::size_t>(*always)] = 50;
    for (TokenId id = kFirstPaddingId; id < kVocab; ++id) row[static_cast<std::size_t>(id)] = 100;
  }

  ModelFacts facts_;
  std::vector<TokenId> memory_;
};

}  // namespace tidegate::worker
