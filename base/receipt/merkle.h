#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/crypto/sha256.h"

/// The Merkle tree of RFC 6962: leaf = SHA-256(0x00 | data), node = SHA-256(0x01 | left | right), the left
/// subtree the largest full one. Verification follows RFC 9162 sections 2.1.3 and 2.1.4.
namespace tidegate::merkle {

Digest leaf_hash(std::string_view data);
Digest node_hash(const Digest& left, const Digest& right);
/// Of no leaves: SHA-256("").
Digest empty_root();

/// Grows leaf by leaf in O(log n) memory.
class Frontier {
 public:
  void append(const Digest& leaf);
  std::uint64_t size() const { return size_; }
  Digest root() const;

 private:
  std::vector<Digest> peaks_;  ///< roots of the full subtrees of size_'s binary digits, largest first
  std::uint64_t size_ = 0;
};

/// `leaves` are leaf hashes, or the roots of full subtrees of one size followed by at most one smaller one.
Digest root_of(std::span<const Digest> leaves);
/// Siblings from the leaf up. index < leaves.size().
std::vector<Digest> inclusion_proof(std::span<const Digest> leaves, std::uint64_t index);
/// That the first `old_size` of `leaves` are the whole old tree. 0 < old_size <= leaves.size().
std::vector<Digest> consistency_proof(std::span<const Digest> leaves, std::uint64_t old_size);

/// All nodes of one tree at hand, for whoever needs every leaf's proof: 2n hashes, where inclusion_proof() of each takes n^2.
class Tree {
 public:
  /// At least one leaf hash.
  explicit Tree(std::span<const Digest> leaves);
  std::uint64_t size() const { return size_; }
  const Digest& root() const { return nodes_.back(); }
  /// As inclusion_proof(). index < size().
  std::vector<Digest> proof(std::uint64_t index) const;

 private:
  std::uint64_t size_;
  std::vector<Digest> nodes_;  ///< level by level, the leaves first; the last of an odd level stands in the next as it is
};

/// How many siblings a proof has. index < size.
std::size_t proof_length(std::uint64_t index, std::uint64_t size);
/// The root that a proof leads to; nullopt when it has too few or too many siblings.
std::optional<Digest> root_through(const Digest& leaf, std::uint64_t index, std::uint64_t size,
                                   std::span<const Digest> proof);
bool verify_inclusion(const Digest& leaf, std::uint64_t index, std::uint64_t size, std::span<const Digest> proof,
                      const Digest& root);
bool verify_consistency(std::uint64_t old_size, const Digest& old_root, std::uint64_t size, const Digest& root,
                        std::span<const Digest> proof);

}  // namespace tidegate::merkle
