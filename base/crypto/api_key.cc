#include "base/crypto/api_key.h"

#include <algorithm>
#include <array>

#include "base/core/encoding.h"

namespace tidegate {

namespace {

constexpr std::size_t kPrefixLength = 4;
constexpr std::size_t kSecretLength = 32;
constexpr std::size_t kCrcLength = 6;  // 62^6 > 2^32
constexpr std::size_t kSignedLength = kPrefixLength + kPublicIdLength + 1 + kSecretLength;
constexpr std::size_t kKeyLength = kSignedLength + kCrcLength;
constexpr std::string_view kAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c & 1) != 0 ? 0xedb88320U ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}

/// Is in kAlphabet; a search there for each character of each request's key costs more than the key's MAC.
constexpr bool is_base62(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// The zlib CRC, not base/core's CRC-32C: secret scanners check this one.
std::uint32_t crc32_ieee(std::string_view data) {
  static constexpr auto kTable = make_crc_table();
  std::uint32_t c = 0xffffffffU;
  for (const char byte : data) c = kTable[(c ^ static_cast<std::uint8_t>(byte)) & 0xff] ^ (c >> 8);
  return c ^ 0xffffffffU;
}

std::string random_base62(EntropySource& entropy, std::size_t length) {
  std::string out;
  while (out.size() < length) {
    std::array<std::uint8_t, 48> raw;
    entropy.fill(raw.data(), raw.size());
    for (const auto byte : raw) {
      if (byte >= 248 || out.size() == length) continue;  // 248 = 4 * 62: keeps every character equally likely
      out += kAlphabet[byte % 62];
    }
  }
  return out;
}

std::unexpected<Error> invalid() {
  return fail(Code::kUnauthenticated, "invalid_api_key", "the API key is missing, malformed or unknown");
}

}  // namespace

Result<ParsedKey> parse_api_key(std::string_view text) {
  if (text.size() != kKeyLength) return invalid();
  ParsedKey key;
  if (text.starts_with("tgk_")) {
    key.kind = KeyKind::kTenant;
  } else if (text.starts_with("tga_")) {
    key.kind = KeyKind::kAdmin;
  } else {
    return invalid();
  }
  if (text[kPrefixLength + kPublicIdLength] != '_') return invalid();
  const auto id = text.substr(kPrefixLength, kPublicIdLength);
  const auto rest = text.substr(kPrefixLength + kPublicIdLength + 1);
  if (!std::ranges::all_of(id, is_base62) || !std::ranges::all_of(rest, is_base62)) return invalid();
  if (base62_encode(crc32_ieee(text.substr(0, kSignedLength)), kCrcLength) != text.substr(kSignedLength)) return invalid();
  key.public_id = std::string(id);
  return key;
}

MintedKey mint_api_key(EntropySource& entropy, KeyKind kind) {
  MintedKey key;
  key.public_id = random_base62(entropy, kPublicIdLength);
  key.text = kind == KeyKind::kTenant ? "tgk_" : "tga_";
  key.text += key.public_id + "_" + random_base62(entropy, kSecretLength);
  key.text += base62_encode(crc32_ieee(key.text), kCrcLength);
  return key;
}

Digest api_key_mac(std::string_view pepper, std::string_view text) { return hmac_sha256(pepper, text); }

}  // namespace tidegate
