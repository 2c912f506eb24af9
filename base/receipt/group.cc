#include "base/receipt/group.h"

#include <algorithm>
#include <cstring>

#include "base/core/check.h"
#include "base/receipt/fields.h"

namespace tidegate::receipt {
namespace {

constexpr std::string_view kGroupMagic = "TGG1";
constexpr std::size_t kNumberBytes = 4;
constexpr std::size_t kGroupHeadBytes = kSignatureBytes + 2 * kNumberBytes;

void write_number(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 255);
}

std::uint32_t read_number(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char c : bytes.substr(0, kNumberBytes)) value = value << 8 | static_cast<std::uint8_t>(c);
  return value;
}

std::vector<Digest> leaves_of(std::span<const Digest> links) {
  TG_CHECK(links.size() >= 2 && links.size() <= kGroupMax);
  std::vector<Digest> leaves;
  leaves.reserve(links.size());
  for (const Digest& link : links) leaves.push_back(group_leaf(link));
  return leaves;
}

}  // namespace

std::optional<GroupPlace> read_group_place(std::string_view bytes) {
  if (bytes.size() < kGroupHeadBytes || bytes.size() > kGroupSignatureBytesMax) return std::nullopt;
  GroupPlace place;
  place.signature = bytes.substr(0, kSignatureBytes);
  place.index = read_number(bytes.substr(kSignatureBytes));
  place.size = read_number(bytes.substr(kSignatureBytes + kNumberBytes));
  if (place.size < 2 || place.size > kGroupMax || place.index >= place.size) return std::nullopt;
  const std::string_view path = bytes.substr(kGroupHeadBytes);
  if (path.size() != merkle::proof_length(place.index, place.size) * sizeof(Digest)) return std::nullopt;
  place.path.resize(path.size() / sizeof(Digest));
  for (std::size_t i = 0; i < place.path.size(); ++i) {
    std::memcpy(place.path[i].data(), path.data() + i * sizeof(Digest), sizeof(Digest));
  }
  return place;
}

std::string write_group_place(std::string_view signature, std::uint32_t index, std::uint32_t size,
                              std::span<const Digest> path) {
  std::string out;
  out.reserve(kGroupHeadBytes + path.size() * sizeof(Digest));
  out += signature;
  write_number(out, index);
  write_number(out, size);
  for (const Digest& node : path) out += as_view(node);
  return out;
}

bool is_signature(std::string_view bytes) {
  return bytes.size() == kSignatureBytes || read_group_place(bytes).has_value();
}

std::string group_statement(const Digest& root, std::uint32_t size, std::string_view key_id) {
  FieldWriter writer(kGroupMagic);
  writer.bytes(as_view(root));
  writer.u64(size);
  writer.bytes(key_id);
  return writer.take();
}

Digest group_leaf(const Digest& link) { return merkle::leaf_hash(as_view(link)); }

Group::Group(std::span<const Digest> links, const Ed25519Key& key)
    : tree_(leaves_of(links)), signature_(key.sign(group_statement(tree_.root(), size(), key.public_key().id()))) {}

std::string Group::signature_of(std::uint32_t index) const {
  return write_group_place(as_view(signature_), index, size(), tree_.proof(index));
}

}  // namespace tidegate::receipt
