#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/engine/grammar/matcher.h"
#include "worker/engine/grammar/token_mask.h"
#include "worker/engine/grammar/token_trie.h"

namespace tidegate::worker::grammar {

/// A tokenizer's tokens as masks need them. Built once per tokenizer; immutable; thread-safe.
///
/// Most tokens are plain: whole characters that may stand in a JSON string as they are. Inside a string, whether one
/// is allowed depends on its number of characters only, so their masks are made here and never walked for.
class Vocabulary {
 public:
  struct Token {
    std::int32_t id = 0;
    std::string_view bytes;
    TokenKind kind = TokenKind::kText;
  };
  /// Tokens that no UTF-8 text contains a part of are never allowed, and left out. Ids are below `limit`.
  Vocabulary(const std::vector<Token>& tokens, std::int32_t limit);

  std::int32_t limit() const { return limit_; }
  /// Every byte of UTF-8 text is a token of its own, so every sentence can be spelled.
  bool is_complete() const { return complete_; }

  const TokenTrie& plain() const { return plain_; }
  const TokenTrie& other() const { return other_; }
  /// Plain tokens of at most so many characters.
  void add_plain(std::uint32_t characters_most, TokenMask& mask) const;

  std::uint32_t bytes_max() const { return bytes_max_; }  ///< of the longest token
  std::uint32_t opens_max() const { return opens_max_; }  ///< most brackets that one token opens

 private:
  static constexpr std::uint32_t kShort = 16;  ///< characters; few tokens are longer

  std::int32_t limit_;
  bool complete_ = false;
  TokenTrie plain_;
  TokenTrie other_;
  std::vector<TokenMask> short_;                              ///< [n]: plain tokens of at most n characters
  std::vector<std::pair<std::uint32_t, std::int32_t>> long_;  ///< the others: characters and id, sorted
  std::uint32_t bytes_max_ = 1;
  std::uint32_t opens_max_ = 0;
};

}  // namespace tidegate::worker::grammar
