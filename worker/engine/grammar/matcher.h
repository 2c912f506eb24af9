#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string_view>

#include "worker/engine/grammar/grammar.h"
#include "worker/engine/grammar/pushdown.h"

namespace tidegate::worker::grammar {

enum class TokenKind : std::uint8_t { kText, kControl };

/// One answer in the making, under a grammar. Copies are independent and cost a few kilobytes. One thread.
class Matcher {
 public:
  /// Tokens that rollback() can take back.
  static constexpr std::size_t kRollbackMax = 64;
  /// Ways held between two tokens; only a schema of very many alternatives that begin alike has more, and then the
  /// later ones are given up. Each way can reach an end by itself, so what is left is narrower and never stuck. This
  /// bounds the work per token that one request can ask of everybody's engine.
  static constexpr std::size_t kWaysMax = 128;

  explicit Matcher(std::shared_ptr<const Grammar> grammar);

  /// The next token. False: the grammar does not allow it, and nothing has changed. A control token is known by its
  /// spelling.
  bool accept(std::string_view bytes, TokenKind kind = TokenKind::kText);
  /// As if the last `tokens` had not been accepted. At most rollback_max().
  void rollback(std::size_t tokens);
  std::size_t rollback_max() const { return history_.size(); }

  /// The answer may end here.
  bool can_end() const;
  /// And must: nothing may follow.
  bool is_complete() const;

  const Grammar& grammar() const { return *grammar_; }
  const std::shared_ptr<const Grammar>& shared_grammar() const { return grammar_; }
  const Configs& configs() const { return configs_; }
  /// For trying how it goes on; whoever pushes frames cuts them off again.
  Pushdown& pushdown() { return pushdown_; }

 private:
  struct Step {
    Configs configs;
    Pushdown::Mark mark;
  };
  bool read(std::string_view bytes);
  void keep_few();
  void keep_small();

  std::shared_ptr<const Grammar> grammar_;
  Pushdown pushdown_;
  Configs configs_;
  Configs scratch_;
  std::deque<Step> history_;  ///< before each of the last tokens
  std::size_t compact_at_;
};

}  // namespace tidegate::worker::grammar
