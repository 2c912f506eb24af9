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
  /// Fails: invalid_argument/tokenizer_unsupported when a byte that UTF-8 can hold has no token or is an added token's, or a merge
  /// names an unknown one. Added tokens are out of reach of text: neither a whole piece nor a merge gives one, whatever the file
  /// says. The 13 bytes that no UTF-8 holds (C0, C1, F5 to FF) may be absent: vocabularies trained on text never met them.
  static Result<Bpe> build(const TokenizerFile& file);

  /// Whether the vocabulary has no token for this byte; only ever so for the 13 that no UTF-8 holds.
  bool lacks(std::uint8_t byte) const { return byte_ids_[byte] == kNoToken; }
  bool lacks_bytes() const { return lacks_bytes_; }

  /// Appends the ids of one piece: of all adjacent pairs, the one of lowest rank is merged first (leftmost on
  /// a tie) until no pair has a rank; where the file says so, a piece that is a token is that token. O(n log n)
  /// in the piece's bytes, so a megabyte without a space is no attack. The piece must hold no byte that the vocabulary lacks.
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

  static constexpr TokenId kNoToken = -1;
  std::array<TokenId, 256> byte_ids_{};
  bool lacks_bytes_ = false;
  /// Empty unless pieces are looked up whole.
  std::unordered_map<std::string, TokenId, HashText, std::equal_to<>> whole_;
  std::vector<Merge> table_;  ///< open addressing, linear probing; a power of two at least twice the merges
};

}  // namespace tidegate::worker
