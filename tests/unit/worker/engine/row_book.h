#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "worker/backend/backend.h"

namespace tidegate::worker {

/// Whole rows of logits by the tokens before them, of which a row is to be a function, bit for bit.
class RowBook {
 public:
  using Prefix = std::vector<TokenId>;

  /// The first row of a prefix is what all later ones must be.
  void learn(const Prefix& prefix, std::span<const float> row) {
    const auto [place, is_new] = rows_.try_emplace(prefix, row.begin(), row.end());
    if (!is_new) compare(prefix, place->second, row);
  }

  /// A row whose prefix nobody learnt is counted only: it stands behind a guess that was wrong.
  void check(const Prefix& prefix, std::span<const float> row) {
    const auto place = rows_.find(prefix);
    if (place == rows_.end()) {
      ++unknown_;
      return;
    }
    ++checked_;
    compare(prefix, place->second, row);
  }

  /// Rows only: counts and the difference stay.
  void forget() { rows_.clear(); }

  std::int64_t checked() const { return checked_; }
  std::int64_t unknown() const { return unknown_; }
  /// In words: where the first row that differed did so.
  const std::optional<std::string>& difference() const { return difference_; }

 private:
  void compare(const Prefix& prefix, const std::vector<float>& expected, std::span<const float> row) {
    if (difference_) return;
    const std::string where = "the row behind " + std::to_string(prefix.size()) + " tokens";
    if (expected.size() != row.size()) {
      difference_ = where + " has " + std::to_string(row.size()) + " logits";
      return;
    }
    if (std::memcmp(expected.data(), row.data(), row.size_bytes()) == 0) return;
    std::size_t index = 0;
    while (std::memcmp(&expected[index], &row[index], sizeof(float)) == 0) ++index;
    difference_ = where + " differs, first in logit " + std::to_string(index) + ": " + std::to_string(row[index]) +
                  " is to be " + std::to_string(expected[index]);
  }

  std::map<Prefix, std::vector<float>> rows_;
  std::int64_t checked_ = 0;
  std::int64_t unknown_ = 0;
  std::optional<std::string> difference_;
};

/// A Backend that shows a book every row it computes. It remembers which token was written where, so that a row's prefix is
/// known also when it came from the cache.
class WatchedBackend final : public Backend {
 public:
  enum class Role : std::uint8_t { kLearns, kChecks };

  /// The book must outlive it.
  WatchedBackend(std::unique_ptr<Backend> watched, RowBook& book, Role role)
      : watched_(std::move(watched)), book_(book), role_(role) {}

  const ModelFacts& facts() const override { return watched_->facts(); }

  Status alloc_kv(std::int32_t blocks) override {
    written_.assign(static_cast<std::size_t>(blocks) * kKvBlockTokens, -1);
    return watched_->alloc_kv(blocks);
  }

  Status forward(std::span<const BatchSequence> batch, std::span<float> logits) override {
    TG_TRY(watched_->forward(batch, logits));
    for (const BatchSequence& sequence : batch) write(sequence);
    const auto vocab = static_cast<std::size_t>(facts().vocab_size);
    std::size_t row = 0;
    for (const BatchSequence& sequence : batch) {
      if (!sequence.want_logits) continue;
      const std::size_t length = static_cast<std::size_t>(sequence.position) + sequence.tokens.size();
      for (auto guesses = static_cast<std::size_t>(sequence.drafts) + 1; guesses-- > 0; ++row) {
        show(prefix_of(sequence, length - guesses), logits.subspan(row * vocab, vocab));
      }
    }
    return {};
  }

  bool can_draft() const override { return watched_->can_draft(); }
  Status draft(std::span<const DraftSequence> batch, std::span<float> logits) override {
    return watched_->draft(batch, logits);
  }

 private:
  TokenId& token_at(const BatchSequence& sequence, std::size_t position) {
    const auto block = static_cast<std::size_t>(sequence.blocks[position / kKvBlockTokens]);
    return written_[block * kKvBlockTokens + position % kKvBlockTokens];
  }

  void write(const BatchSequence& sequence) {
    auto position = static_cast<std::size_t>(sequence.position);
    for (const TokenId token : sequence.tokens) token_at(sequence, position++) = token;
  }

  RowBook::Prefix prefix_of(const BatchSequence& sequence, std::size_t length) {
    RowBook::Prefix prefix;
    prefix.reserve(length);
    for (std::size_t position = 0; position < length; ++position) prefix.push_back(token_at(sequence, position));
    return prefix;
  }

  void show(const RowBook::Prefix& prefix, std::span<const float> row) {
    if (role_ == Role::kLearns) {
      book_.learn(prefix, row);
    } else {
      book_.check(prefix, row);
    }
  }

  std::unique_ptr<Backend> watched_;
  RowBook& book_;
  Role role_;
  std::vector<TokenId> written_;  ///< [block][kKvBlockTokens]
};

}  // namespace tidegate::worker
