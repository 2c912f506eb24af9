#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto/ed25519.h"
#include "base/receipt/merkle.h"

/// Many bodies under one signature: that of the root of a Merkle tree (merkle.h) over their links. What stands in an
/// envelope as the signature of a body is then
///
///   Ed25519(statement | key id) | index u32 | size u32 | siblings from the leaf up, 32 bytes each
///   statement = "TGG1" and the fields root, size
///   leaf      = leaf_hash(SHA-256(body))
///
/// A body signed alone has the 64 bytes of its own signature and no tree: groups have two members or more, so that every
/// signature has one encoding.
namespace tidegate::receipt {

inline constexpr std::size_t kSignatureBytes = 64;
/// Ten siblings: what a signature may add to an answer's head.
inline constexpr std::size_t kGroupMax = 1024;
inline constexpr std::size_t kGroupSignatureBytesMax = kSignatureBytes + 8 + 10 * 32;

/// A body's place in a group.
struct GroupPlace {
  std::string_view signature;  ///< of the statement; into the bytes that were read
  std::uint32_t index = 0;
  std::uint32_t size = 0;
  std::vector<Digest> path;
};
/// nullopt: not what Group::signature_of() makes.
std::optional<GroupPlace> read_group_place(std::string_view bytes);
std::string write_group_place(std::string_view signature, std::uint32_t index, std::uint32_t size,
                              std::span<const Digest> path);
/// 64 bytes, or a place in a group.
bool is_signature(std::string_view bytes);

/// What is signed for a group.
std::string group_statement(const Digest& root, std::uint32_t size, std::string_view key_id);
Digest group_leaf(const Digest& link);

/// Signed once, then read by any thread.
class Group {
 public:
  /// `links` are SHA-256(body); two to kGroupMax.
  Group(std::span<const Digest> links, const Ed25519Key& key);
  std::uint32_t size() const { return static_cast<std::uint32_t>(tree_.size()); }
  /// index < size().
  std::string signature_of(std::uint32_t index) const;

 private:
  merkle::Tree tree_;
  Signature signature_;
};

}  // namespace tidegate::receipt
