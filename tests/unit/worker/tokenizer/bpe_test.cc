#include "worker/tokenizer/bpe.h"

#include <gmock/gmock.h>

#include <map>
#include <string>

#include "base/core/random.h"

namespace tidegate::worker {
namespace {

// All bytes, and random merges over "abc" on top of them.
TokenizerFile random_vocabulary(std::uint64_t seed, int merges) {
  TokenizerFile file;
  for (int byte = 0; byte < 256; ++byte)
    file.vocab.emplace_back(std::string(1, static_cast<char>(byte)), byte);
  std::map<std::string, TokenId> ids;
  for (const char c : {'a', 'b', 'c'}) ids.emplace(std::string(1, c), c);
  Rng rng(seed);
  const auto pick = [&] {
    return std::next(ids.begin(), static_cast<std::ptrdiff_t>(rng.below(ids.size())))->first;
  };
  while (merges-- > 0) {
    const std::string left = pick();
    const std::string right = pick();
    if (left.size() + right.size() > 12) continue;
    const auto [entry, fresh] = ids.emplace(left + right, static_cast<TokenId>(file.vocab.size()));
    if (fresh) file.vocab.emplace_back(left + right, entry->second);
    file.merges.emplace_back(left, right);
  }
  return file;
}

// The definition itself, quadratic: merge the pair of lowest rank, leftmost first, until none is left.
std::vector<TokenId> by_definition(const TokenizerFile& file, const std::string& piece) {
  std::map<std::string, TokenId> ids(file.vocab.begin(), file.vocab.end());
  std::vector<std::string> parts;
  for (const char c : piece) parts.emplace_back(1, c);
  for (;;) {
    std::size_t best = file.merges.size();
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      for (std::size_t rank = 0; rank < best; ++rank) {
        if (file.merges[rank] == std::pair(parts[i], parts[i + 1])) best = rank, at = i;
      }
    }
    if (best == file.merges.size()) break;
    parts[at] += parts[at + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  std::vector<TokenId> out;
  for (const std::string& part : parts) out.push_back(ids.at(part));
  return out;
}

TEST(Bpe, ShortAndLongPiecesEqualTheDefinition) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const TokenizerFile file = random_vocabulary(seed, 40);
    const auto bpe = Bpe::build(file);
    ASSERT_TRUE(bpe) << bpe.error().to_string();
    Rng rng(seed);
    for (int round = 0; round < 40; ++round) {
      std::string piece;
      for (std::uint64_t n = 1 + rng.below(80); n > 0; --n) piece.push_back("abc"[rng.below(3)]);
      std::vector<TokenId> ids;
      bpe->encode_piece(piece, ids);
      EXPECT_EQ(ids, by_definition(file, piece)) << piece;
    }
  }
}

TEST(Bpe, AMegabyteWithoutASpaceIsNotQuadratic) {
  // By scanning alone this would be about 10^12 steps: the test would run into its time limit.
  const TokenizerFile file = random_vocabulary(3, 40);
  const auto bpe = Bpe::build(file);
  ASSERT_TRUE(bpe);
  std::string piece;
  Rng rng(4);
  for (int n = 0; n < 1 << 20; ++n) piece.push_back("abc"[rng.below(3)]);
  std::vector<TokenId> ids;
  bpe->encode_piece(piece, ids);
  EXPECT_LT(ids.size(), piece.size());
}

// As trainers make them that start from the bytes of their text alone.
TEST(Bpe, RefusesAVocabularyThatLacksAByteUnlessNoTextCanHoldIt) {
  std::size_t lacking = 0;
  for (std::uint8_t byte = 0;; ++byte) {
    TokenizerFile file = random_vocabulary(1, 0);
    file.vocab.erase(file.vocab.begin() + byte);
    const auto bpe = Bpe::build(file);
    const bool is_outside_utf8 = byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
    ASSERT_EQ(bpe.has_value(), is_outside_utf8) << int{byte};
    if (bpe) {
      EXPECT_TRUE(bpe->lacks(byte) && bpe->lacks_bytes());
      EXPECT_FALSE(bpe->lacks('a'));
      ++lacking;
    } else {
      EXPECT_EQ(bpe.error().reason, "tokenizer_unsupported");
      EXPECT_EQ(bpe.error().field, "model.vocab");
    }
    if (byte == 0xFF) break;
  }
  EXPECT_EQ(lacking, 13U);
  EXPECT_FALSE(Bpe::build(random_vocabulary(1, 0))->lacks_bytes());
}

TEST(Bpe, RefusesAMergeIntoAnUnknownToken) {
  TokenizerFile file = random_vocabulary(1, 0);
  file.merges.emplace_back("a", "b");
  EXPECT_FALSE(Bpe::build(file));
}

}  // namespace
}  // namespace tidegate::worker
