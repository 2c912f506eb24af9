#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "worker/engine/engine.h"
#include "worker/external/usage_check.h"
#include "worker/tokenizer/chat_template.h"
#include "worker/tokenizer/tokenizer.h"

namespace tidegate::worker::external {

/// Counts tokens without asking the engine. With a tokenizer exactly, as far as text shows; without one by bytes: a text has
/// at most a token a byte, and hardly fewer than one in `bytes_per_token_max`. Immutable; thread-safe.
class TokenCounter {
 public:
  /// `folder`: tokenizer.json, and for prompts tokenizer_config.json, of the engine's model; empty: bytes only. A chat
  /// template that we do not know is no failure: prompts then are counted as the texts in them.
  /// Fails: as Tokenizer::load.
  static Result<TokenCounter> open(const std::string& folder, std::int64_t bytes_per_token_max);

  bool has_tokenizer() const { return tokenizer_ != nullptr; }
  /// True when prompt() counts with the model's own template.
  bool has_template() const { return template_.has_value(); }

  TokenRange text(std::string_view text) const;
  /// Of everything that the engine is given to read.
  TokenRange prompt(const GenerateRequest& request) const;

 private:
  explicit TokenCounter(std::int64_t bytes_per_token_max) : bytes_per_token_max_(bytes_per_token_max) {}

  std::unique_ptr<const Tokenizer> tokenizer_;  ///< on the heap because the template points at it and this moves
  std::optional<ChatTemplate> template_;
  std::int64_t bytes_per_token_max_;
};

/// The count of a text that grows. What it costs does not grow with the text: a tokenizer never joins words over a blank, so
/// everything before one is counted once.
class RunningCount {
 public:
  /// `counter` outlives it.
  explicit RunningCount(const TokenCounter& counter) : counter_(&counter) {}

  void add(std::string_view text);
  TokenRange range() const { return closed_ + open_range_; }

 private:
  const TokenCounter* counter_;
  TokenRange closed_;
  TokenRange open_range_;
  std::string open_;
};

}  // namespace tidegate::worker::external
