#include "base/receipt/merkle.h"

#include <bit>
#include <cstring>
#include <string>

#include "base/core/check.h"

namespace tidegate::merkle {
namespace {

/// The largest power of two below n, for n > 1.
std::uint64_t split(std::uint64_t n) { return std::bit_floor(n - 1); }

void subproof(std::span<const Digest> leaves, std::uint64_t old_size, bool is_known, std::vector<Digest>& out) {
  if (old_size == leaves.size()) {
    if (!is_known) out.push_back(root_of(leaves));
    return;
  }
  const std::uint64_t k = split(leaves.size());
  if (old_size <= k) {
    subproof(leaves.first(k), old_size, is_known, out);
    out.push_back(root_of(leaves.subspan(k)));
  } else {
    subproof(leaves.subspan(k), old_size - k, false, out);
    out.push_back(root_of(leaves.first(k)));
  }
}

/// Where a walk from a leaf to the root is: its own number and the last one, on the present level.
struct Climb {
  std::uint64_t at;
  std::uint64_t last;
  bool is_right() const { return (at & 1) != 0 || at == last; }
  void up() {
    at >>= 1;
    last >>= 1;
  }
  /// After a node without a right sibling: up to where it is a right child.
  void skip() {
    while ((at & 1) == 0 && at != 0) up();
  }
};

}  // namespace

Digest leaf_hash(std::string_view data) {
  std::string input(1, '\0');
  input += data;
  return sha256(input);
}

Digest node_hash(const Digest& left, const Digest& right) {
  std::array<char, 65> input;
  input[0] = 1;
  std::memcpy(input.data() + 1, left.data(), left.size());
  std::memcpy(input.data() + 33, right.data(), right.size());
  return sha256({input.data(), input.size()});
}

Digest empty_root() { return sha256(""); }

void Frontier::append(const Digest& leaf) {
  Digest node = leaf;
  for (std::uint64_t n = size_; (n & 1) != 0; n >>= 1) {
    node = node_hash(peaks_.back(), node);
    peaks_.pop_back();
  }
  peaks_.push_back(node);
  ++size_;
}

Digest Frontier::root() const {
  if (peaks_.empty()) return empty_root();
  Digest node = peaks_.back();
  for (std::size_t i = peaks_.size() - 1; i > 0; --i) node = node_hash(peaks_[i - 1], node);
  return node;
}

Digest root_of(std::span<const Digest> leaves) {
  Frontier frontier;
  for (const Digest& leaf : leaves) frontier.append(leaf);
  return frontier.root();
}

std::vector<Digest> inclusion_proof(std::span<const Digest> leaves, std::uint64_t index) {
  TG_CHECK(index < leaves.size());
  std::vector<Digest> proof;
  if (leaves.size() == 1) return proof;
  const std::uint64_t k = split(leaves.size());
  const bool is_left = index < k;
  proof = is_left ? inclusion_proof(leaves.first(k), index) : inclusion_proof(leaves.subspan(k), index - k);
  proof.push_back(is_left ? root_of(leaves.subspan(k)) : root_of(leaves.first(k)));
  return proof;
}

std::vector<Digest> consistency_proof(std::span<const Digest> leaves, std::uint64_t old_size) {
  TG_CHECK(old_size > 0 && old_size <= leaves.size());
  std::vector<Digest> proof;
  subproof(leaves, old_size, true, proof);
  return proof;
}

Tree::Tree(std::span<const Digest> leaves) : size_(leaves.size()) {
  TG_CHECK(!leaves.empty());
  nodes_.reserve(2 * leaves.size() + static_cast<std::size_t>(std::bit_width(leaves.size())));
  nodes_.assign(leaves.begin(), leaves.end());
  std::size_t begin = 0;
  for (std::size_t width = leaves.size(); width > 1; width = (width + 1) / 2) {
    for (std::size_t i = 0; i + 1 < width; i += 2) nodes_.push_back(node_hash(nodes_[begin + i], nodes_[begin + i + 1]));
    if (width % 2 == 1) nodes_.push_back(Digest(nodes_[begin + width - 1]));
    begin += width;
  }
}

std::vector<Digest> Tree::proof(std::uint64_t index) const {
  TG_CHECK(index < size_);
  std::vector<Digest> proof;
  proof.reserve(proof_length(index, size_));
  std::size_t begin = 0;
  std::size_t at = index;
  for (std::size_t width = size_; width > 1; width = (width + 1) / 2) {
    const std::size_t sibling = at ^ 1;
    if (sibling < width) proof.push_back(nodes_[begin + sibling]);
    begin += width;
    at /= 2;
  }
  return proof;
}

std::size_t proof_length(std::uint64_t index, std::uint64_t size) {
  TG_CHECK(index < size);
  std::size_t length = 0;
  for (std::uint64_t last = size - 1; last > 0; last >>= 1, index >>= 1) {
    if ((index ^ 1) <= last) ++length;
  }
  return length;
}

std::optional<Digest> root_through(const Digest& leaf, std::uint64_t index, std::uint64_t size,
                                   std::span<const Digest> proof) {
  if (index >= size) return std::nullopt;
  Climb climb{index, size - 1};
  Digest node = leaf;
  for (const Digest& sibling : proof) {
    if (climb.last == 0) return std::nullopt;
    if (climb.is_right()) {
      node = node_hash(sibling, node);
      climb.skip();
    } else {
      node = node_hash(node, sibling);
    }
    climb.up();
  }
  if (climb.last != 0) return std::nullopt;
  return node;
}

bool verify_inclusion(const Digest& leaf, std::uint64_t index, std::uint64_t size, std::span<const Digest> proof,
                      const Digest& root) {
  return root_through(leaf, index, size, proof) == root;
}

bool verify_consistency(std::uint64_t old_size, const Digest& old_root, std::uint64_t size, const Digest& root,
                        std::span<const Digest> proof) {
  if (old_size > size) return false;
  if (old_size == size) return proof.empty() && old_root == root;
  if (old_size == 0) return proof.empty() && old_root == empty_root();
  Climb climb{old_size - 1, size - 1};
  while ((climb.at & 1) != 0) climb.up();
  // An old tree that is one full subtree is its own first node.
  const bool is_full = std::has_single_bit(old_size);
  if (!is_full && proof.empty()) return false;
  Digest old_node = is_full ? old_root : proof.front();
  Digest node = old_node;
  for (const Digest& sibling : proof.subspan(is_full ? 0 : 1)) {
    if (climb.last == 0) return false;
    if (climb.is_right()) {
      old_node = node_hash(sibling, old_node);
      node = node_hash(sibling, node);
      climb.skip();
    } else {
      node = node_hash(node, sibling);
    }
    climb.up();
  }
  return climb.last == 0 && old_node == old_root && node == root;
}

}  // namespace tidegate::merkle
