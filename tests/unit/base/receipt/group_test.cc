#include "base/receipt/group.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/receipt/checkpoint.h"
#include "base/receipt/receipt_check.h"
#include "base/receipt/signature_runs.h"
#include "tests/unit/base/receipt/receipt_maker.h"

namespace tidegate::receipt {
namespace group_test {

using test::make_key;
using test::make_receipt;

struct Commit {
  std::vector<std::string> bodies;
  std::vector<Digest> links;
  std::vector<std::string> signatures;

  explicit Commit(std::size_t size, std::uint64_t first = 1) {
    Digest head{};
    for (std::size_t i = 0; i < size; ++i) {
      bodies.push_back(encode_body(make_receipt(first + i, head)));
      head = link_of(bodies.back());
      links.push_back(head);
    }
    if (size == 1) {
      const Signature alone = signature_of(bodies[0], make_key(1));
      signatures.emplace_back(as_view(alone));
      return;
    }
    const Group group(links, make_key(1));
    for (std::uint32_t i = 0; i < group.size(); ++i) signatures.push_back(group.signature_of(i));
  }
  std::string whole(std::size_t i) const { return join(bodies[i], make_key(1).public_key().id(), signatures[i]); }
};

KeyRing ring() {
  const Ed25519Key key = make_key(1);
  return {{key.public_key().id(), PublishedKey{key.public_key(), "", 0, std::nullopt}}};
}

std::vector<std::string_view> views(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

TEST(ReceiptGroup, EveryMemberVerifiesByItselfAtEverySize) {
  for (std::size_t size = 2; size <= 33; ++size) {
    const Commit commit(size);
    for (std::size_t i = 0; i < size; ++i) {
      const auto read = decode_signed(commit.whole(i));
      ASSERT_TRUE(read) << read.error().to_string();
      EXPECT_TRUE(read->envelope.is_grouped());
      EXPECT_EQ(read->receipt.sequence, i + 1);
      EXPECT_EQ(link_of(read->envelope.body), commit.links[i]) << "the link does not know of groups";
      EXPECT_TRUE(verify_receipt(*read, ring())) << i << " of " << size;
      EXPECT_EQ(join(read->envelope.body, read->envelope.key_id, read->envelope.signature), commit.whole(i));
    }
  }
}

TEST(ReceiptGroup, TheLargestFitsItsField) {
  const Commit commit(kGroupMax);
  const auto read = decode_signed(commit.whole(kGroupMax - 1));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->envelope.signature.size(), kGroupSignatureBytesMax);
  EXPECT_TRUE(verify_receipt(*read, ring()));
}

TEST(ReceiptGroup, NoByteOfAMemberCanBeChangedUnnoticed) {
  const std::string whole = Commit(5).whole(3);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    const auto read = decode_signed(changed);
    EXPECT_FALSE(read && verify_receipt(*read, ring())) << at;
  }
}

TEST(ReceiptGroup, EveryTruncationIsRefused) {
  const std::string whole = Commit(3).whole(1);
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(decode_signed(whole.substr(0, size))) << size;
  EXPECT_FALSE(decode_signed(whole + '\0'));
}

TEST(ReceiptGroup, AMembersPlaceIsNoProofOfAnother) {
  const Commit commit(4);
  const std::string key_id = make_key(1).public_key().id();
  const auto swapped = decode_signed(join(commit.bodies[0], key_id, commit.signatures[1]));
  ASSERT_TRUE(swapped);
  EXPECT_EQ(verify_receipt(*swapped, ring()).error().reason, "bad_signature");
  const auto of_root = decode_signed(join(commit.bodies[0], key_id, commit.signatures[0].substr(0, kSignatureBytes)));
  ASSERT_TRUE(of_root);
  EXPECT_EQ(verify_receipt(*of_root, ring()).error().reason, "bad_signature") << "the root's is no signature of a body";
}

TEST(ReceiptGroup, AClaimOfAnotherSizeIsNoProof) {
  // Leaf 0 of 4 and leaf 0 of 3 have paths of one length.
  const Commit commit(4);
  std::string other = commit.signatures[0];
  other[kSignatureBytes + 7] = 3;
  ASSERT_TRUE(is_signature(other));
  const auto read = decode_signed(join(commit.bodies[0], make_key(1).public_key().id(), other));
  ASSERT_TRUE(read);
  EXPECT_EQ(verify_receipt(*read, ring()).error().reason, "bad_signature");
}

TEST(ReceiptGroup, WhatIsNoSignatureIsNamed) {
  const Commit commit(2);
  EXPECT_TRUE(is_signature(commit.signatures[0]));
  EXPECT_TRUE(is_signature(std::string(64, 'x')));
  EXPECT_FALSE(is_signature(""));
  EXPECT_FALSE(is_signature(std::string(63, 'x')));
  EXPECT_FALSE(is_signature(commit.signatures[0] + std::string(32, 'x'))) << "a sibling too many";
  EXPECT_FALSE(is_signature(commit.signatures[0].substr(0, 72))) << "a sibling too few";
  EXPECT_FALSE(is_signature(write_group_place(std::string(64, 'x'), 0, 1, {}))) << "one alone is no group";
  EXPECT_FALSE(is_signature(write_group_place(std::string(64, 'x'), 2, 2, std::vector<Digest>(1))));
}

TEST(ReceiptGroup, ACheckpointIsSignedAlone) {
  const std::string body = encode_body(Checkpoint{"tide", "receipts/2026-11-22", 1, Digest{}, 1});
  const std::vector<Digest> links{sha256(body), sha256("other")};
  const Group group(links, make_key(1));
  const auto read = decode_checkpoint(join(body, make_key(1).public_key().id(), group.signature_of(0)));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().field, "signature");
}

/// Commits of these sizes, one behind the other; what was stored, loaded again.
struct Stored {
  std::vector<Digest> links;
  std::vector<std::string> signatures;
  SignatureRuns runs;
  explicit Stored(std::initializer_list<std::size_t> sizes) {
    std::uint64_t first = 1;
    for (const std::size_t size : sizes) {
      const Commit commit(size, first);
      links.insert(links.end(), commit.links.begin(), commit.links.end());
      signatures.insert(signatures.end(), commit.signatures.begin(), commit.signatures.end());
      first += size;
    }
    store();
  }
  void store() { runs = store_signatures(links, views(signatures)); }
  void drop_first(std::size_t count) {
    links.erase(links.begin(), links.begin() + static_cast<std::ptrdiff_t>(count));
    signatures.erase(signatures.begin(), signatures.begin() + static_cast<std::ptrdiff_t>(count));
    store();
  }
};

TEST(SignatureRuns, AWholeGroupIsOneSignature) {
  const Stored stored({1, 40, 1, 2, 7});
  EXPECT_EQ(stored.runs.signatures.size(), 5 * kSignatureBytes);
  EXPECT_EQ(stored.runs.runs.size(), 5 * 16u);
  EXPECT_EQ(load_signatures(stored.runs, stored.links).value(), stored.signatures);
}

TEST(SignatureRuns, WithoutGroupsARowIsWhatItAlwaysWas) {
  const Stored stored({1, 1, 1});
  EXPECT_EQ(stored.runs.signatures, stored.signatures[0] + stored.signatures[1] + stored.signatures[2]);
  EXPECT_EQ(stored.runs.runs, "");
  EXPECT_EQ(load_signatures(stored.runs, stored.links).value(), stored.signatures);
}

TEST(SignatureRuns, AGroupCutInTwoKeepsItsPaths) {
  Stored stored({5, 3});
  stored.drop_first(2);
  EXPECT_EQ(stored.runs.signatures.size(), 4 * kSignatureBytes) << "three of the first group, the second whole";
  EXPECT_EQ(load_signatures(stored.runs, stored.links).value(), stored.signatures);
  Stored head({1, 6});
  head.links.pop_back();
  head.signatures.pop_back();
  head.store();
  EXPECT_EQ(load_signatures(head.runs, head.links).value(), head.signatures);
}

TEST(SignatureRuns, APathThatLeadsNowhereIsKeptAsItCame) {
  Stored stored({6});
  stored.signatures[4].back() = static_cast<char>(stored.signatures[4].back() ^ 1);
  stored.store();
  EXPECT_EQ(load_signatures(stored.runs, stored.links).value(), stored.signatures);
}

TEST(SignatureRuns, WhatIsDamagedIsSaidAndNotReadBeyond) {
  const Stored stored({4, 1, 3});
  Stored cut({5});
  cut.drop_first(1);
  for (const Stored* each : {&stored, static_cast<const Stored*>(&cut)}) {
    for (std::size_t size = 1; size < each->runs.runs.size(); ++size) {
      const SignatureRuns shorter{each->runs.signatures, each->runs.runs.substr(0, size)};
      EXPECT_EQ(load_signatures(shorter, each->links).error().reason, "receipt_damaged") << size;
    }
    // Of a run's numbers none can be another: of siblings any can, and the signature then fails.
    for (std::size_t at = 0; at < 16; ++at) {
      SignatureRuns other = each->runs;
      other.runs[at] = static_cast<char>(other.runs[at] ^ 0x40);
      EXPECT_FALSE(load_signatures(other, each->links)) << at;
    }
  }
  const std::vector<Digest> fewer(stored.links.begin(), stored.links.end() - 1);
  EXPECT_FALSE(load_signatures(stored.runs, fewer));
  EXPECT_FALSE(load_signatures({stored.runs.signatures + std::string(64, 'x'), stored.runs.runs}, stored.links));
  EXPECT_FALSE(load_signatures({"", stored.runs.runs}, stored.links));
}

}  // namespace group_test
}  // namespace tidegate::receipt
