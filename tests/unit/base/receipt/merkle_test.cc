#include "base/receipt/merkle.h"

#include <gtest/gtest.h>

#include "base/core/encoding.h"

namespace tidegate::merkle {
namespace {

std::string hex(const Digest& digest) { return hex_encode(as_view(digest)); }

std::vector<Digest> make_leaves(std::size_t count) {
  std::vector<Digest> leaves;
  for (std::size_t i = 0; i < count; ++i) leaves.push_back(leaf_hash(std::to_string(i)));
  return leaves;
}

/// The definition of RFC 6962 section 2.1, as it stands there.
Digest defined_root(std::span<const Digest> leaves) {
  if (leaves.empty()) return empty_root();
  if (leaves.size() == 1) return leaves[0];
  std::size_t k = 1;
  while (k * 2 < leaves.size()) k *= 2;
  return node_hash(defined_root(leaves.first(k)), defined_root(leaves.subspan(k)));
}

TEST(Merkle, TheRootsOfTheReferenceVectors) {
  // Certificate transparency's own eight leaves.
  const std::string data[] = {"",
                              std::string("\0", 1),
                              "\x10",
                              "\x20\x21",
                              "\x30\x31",
                              "\x40\x41\x42\x43",
                              "\x50\x51\x52\x53\x54\x55\x56\x57",
                              "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"};
  const char* roots[] = {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                         "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                         "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                         "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                         "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                         "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                         "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  EXPECT_EQ(hex(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Frontier tree;
  for (std::size_t i = 0; i < std::size(roots); ++i) {
    tree.append(leaf_hash(data[i]));
    EXPECT_EQ(hex(tree.root()), roots[i]) << i + 1;
  }
}

TEST(Merkle, GrowingLeafByLeafIsTheDefinition) {
  for (std::size_t n = 0; n <= 70; ++n) EXPECT_EQ(root_of(make_leaves(n)), defined_root(make_leaves(n))) << n;
}

TEST(Merkle, EveryLeafOfEverySizeHasAProofThatFitsNothingElse) {
  for (std::size_t n = 1; n <= 40; ++n) {
    const auto leaves = make_leaves(n);
    const Digest root = root_of(leaves);
    for (std::size_t i = 0; i < n; ++i) {
      auto proof = inclusion_proof(leaves, i);
      EXPECT_TRUE(verify_inclusion(leaves[i], i, n, proof, root)) << i << " of " << n;
      EXPECT_FALSE(verify_inclusion(leaf_hash("other"), i, n, proof, root));
      EXPECT_FALSE(verify_inclusion(leaves[i], (i + 1) % n, n, proof, root) && n > 1);
      EXPECT_FALSE(verify_inclusion(leaves[i], i, n, proof, leaf_hash("other")));
      proof.push_back(leaf_hash("longer"));
      EXPECT_FALSE(verify_inclusion(leaves[i], i, n, proof, root));
      if (n > 1) {
        proof.resize(proof.size() - 2);
        EXPECT_FALSE(verify_inclusion(leaves[i], i, n, proof, root));
      }
    }
    EXPECT_FALSE(verify_inclusion(leaves[0], n, n, {}, root));
  }
}

TEST(Merkle, AProofThroughChunksIsTheProofThroughTheWholeTree) {
  constexpr std::size_t kChunk = 8;
  for (const std::size_t n : {5u, 8u, 9u, 24u, 29u}) {
    const auto leaves = make_leaves(n);
    std::vector<Digest> chunks;
    for (std::size_t at = 0; at < n; at += kChunk) {
      chunks.push_back(root_of(std::span(leaves).subspan(at, std::min(kChunk, n - at))));
    }
    EXPECT_EQ(root_of(chunks), root_of(leaves));
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t at = i / kChunk * kChunk;
      auto proof = inclusion_proof(std::span(leaves).subspan(at, std::min(kChunk, n - at)), i - at);
      const auto above = inclusion_proof(chunks, i / kChunk);
      proof.insert(proof.end(), above.begin(), above.end());
      EXPECT_EQ(proof, inclusion_proof(leaves, i));
    }
  }
}

TEST(Merkle, ATreeAtHandGivesTheProofsOfTheDefinition) {
  for (std::size_t n = 1; n <= 70; ++n) {
    const auto leaves = make_leaves(n);
    const Tree tree(leaves);
    ASSERT_EQ(tree.size(), n);
    ASSERT_EQ(tree.root(), defined_root(leaves)) << n;
    for (std::size_t i = 0; i < n; ++i) {
      const auto proof = tree.proof(i);
      EXPECT_EQ(proof, inclusion_proof(leaves, i)) << i << " of " << n;
      EXPECT_EQ(proof.size(), proof_length(i, n)) << i << " of " << n;
      EXPECT_EQ(root_through(leaves[i], i, n, proof), tree.root());
    }
    EXPECT_EQ(root_through(leaves[0], n, n, {}), std::nullopt);
  }
}

TEST(Merkle, EveryOlderTreeIsProvedToBeABeginning) {
  for (std::size_t n = 1; n <= 40; ++n) {
    const auto leaves = make_leaves(n);
    const Digest root = root_of(leaves);
    for (std::size_t old = 1; old <= n; ++old) {
      const Digest old_root = root_of(std::span(leaves).first(old));
      auto proof = consistency_proof(leaves, old);
      EXPECT_TRUE(verify_consistency(old, old_root, n, root, proof)) << old << " of " << n;
      EXPECT_FALSE(verify_consistency(old, leaf_hash("rewritten"), n, root, proof)) << old << " of " << n;
      EXPECT_FALSE(verify_consistency(old, old_root, n, leaf_hash("rewritten"), proof));
      proof.push_back(leaf_hash("longer"));
      EXPECT_FALSE(verify_consistency(old, old_root, n, root, proof));
    }
    EXPECT_FALSE(verify_consistency(n + 1, root, n, root, {}));
    EXPECT_TRUE(verify_consistency(0, empty_root(), n, root, {}));
  }
}

}  // namespace
}  // namespace tidegate::merkle
