#include "worker/engine/grammar/vocabulary.h"

#include <algorithm>
#include <bitset>
#include <string>

#include "base/core/encoding.h"

namespace tidegate::worker::grammar {
namespace {

bool is_never_text(unsigned char byte) { return byte == 0xC0 || byte == 0xC1 || byte >= 0xF5; }

bool is_plain(std::string_view bytes) {
  return is_valid_utf8(bytes) && std::ranges::none_of(bytes, [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
         });
}

std::uint32_t characters(std::string_view utf8) {
  return static_cast<std::uint32_t>(
      std::ranges::count_if(utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

Vocabulary::Vocabulary(const std::vector<Token>& tokens, std::int32_t limit)
    : limit_(limit), short_(kShort + 1, TokenMask(limit)) {
  std::bitset<256> single;
  std::vector<TokenTrie::Token> plain, other;
  for (const Token& token : tokens) {
    if (token.bytes.empty() || token.id < 0 || token.id >= limit) continue;
    if (token.kind == TokenKind::kControl) {
      other.emplace_back(kControlByte + std::string(token.bytes), token.id);
      continue;
    }
    if (std::ranges::any_of(token.bytes, [](char c) { return is_never_text(static_cast<unsigned char>(c)); })) continue;
    if (token.bytes.size() == 1) single.set(static_cast<unsigned char>(token.bytes[0]));
    bytes_max_ = std::max(bytes_max_, static_cast<std::uint32_t>(token.bytes.size()));
    const auto opens = std::ranges::count_if(token.bytes, [](char c) { return c == '{' || c == '['; });
    opens_max_ = std::max(opens_max_, static_cast<std::uint32_t>(opens));
    if (!is_plain(token.bytes)) {
      other.emplace_back(token.bytes, token.id);
      continue;
    }
    plain.emplace_back(token.bytes, token.id);
    const std::uint32_t length = characters(token.bytes);
    if (length > kShort) long_.emplace_back(length, token.id);
    for (std::uint32_t most = length; most <= kShort; ++most) short_[most].set(token.id);
  }
  std::sort(long_.begin(), long_.end());
  plain_ = TokenTrie(std::move(plain));
  other_ = TokenTrie(std::move(other));
  complete_ = true;
  for (unsigned byte = 0; byte < 256; ++byte) {
    complete_ = complete_ && (single.test(byte) || is_never_text(static_cast<unsigned char>(byte)));
  }
}

void Vocabulary::add_plain(std::uint32_t characters_most, TokenMask& mask) const {
  mask.add(short_[std::min(characters_most, kShort)]);
  for (const auto& [length, id] : long_) {
    if (length > characters_most) return;
    mask.set(id);
  }
}

}  // namespace tidegate::worker::grammar
