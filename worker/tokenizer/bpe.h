#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/core/result.h"
#include "worker/tokenizer/tokenizer_file.h"

namespace tidegate::worker {

/// Merges of a byte-level BPE vocabulary. Immutable and thread-safe.
class Bpe {
 public:
  /// Fails: invalid_argument/tokenizer_unsupported when a byte has no token or a merge names an unknown one.
  static Result<Bpe> build(const TokenizerFile& file);

  /// Appends the ids of one piece: of all adjacent pairs, the one of lowest rank is merged first (leftmost on
  /// a tie) until no pair has a rank; where the file says so, a piece that is a token is that token. O(n log n)
  /// in the piece's bytes, so a megabyte without a space is no attack.
  void encode_piece(std::string_view piece, std::vector<TokenId>& ids) const;

 private:
  struct Merge {
    std::uint64_t pair = kEmpty;  ///< left id << 32 | right id
    std::uint32_t rank = 0;
    TokenId result = 0;
  };
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  struct HashText {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  const Merge* find(TokenId left, TokenId right) const;
  void insert(const Merge& merge);
  void encode_short(std::string_view piece, std::vector<TokenId>& ids) const;
  void encode_long(std::string_view piece, std::vector<TokenId>& ids) const;

  std::array<TokenId, 256> byte_ids_{};
  /// Empty unless pieces are looked up whole.
  std::unordered_map<std::string, TokenId, HashText, std::equal_to<>> whole_;
  std::vector<Merge> table_;  ///< open addressing, linear probing; a power of two at least twice the merges
};

}  // namespace tidegate::worker
