#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/random.h"
#include "base/core/result.h"
#include "base/crypto/sha256.h"

/// The text of a key: `tgk_<id 8>_<secret 32><crc 6>`, base62 throughout; `tga_` for administrators.
///
/// The id is public and names the key in lists and logs. The secret carries 190 random bits, so a plain HMAC is enough
/// to store it. The CRC-32 (IEEE, over everything before it) lets a gateway refuse a mistyped key, and a secret
/// scanner recognise a real one, without asking anybody.
namespace tidegate {

enum class KeyKind : std::uint8_t { kTenant, kAdmin };

inline constexpr std::size_t kPublicIdLength = 8;

struct ParsedKey {
  KeyKind kind = KeyKind::kTenant;
  std::string public_id;  ///< the 8 characters after the prefix
};

/// Checks shape and checksum only, not whether such a key exists. Fails: unauthenticated/invalid_api_key.
/// The message never repeats the text.
Result<ParsedKey> parse_api_key(std::string_view text);

struct MintedKey {
  std::string text;  ///< show once, never store
  std::string public_id;
};
MintedKey mint_api_key(EntropySource& entropy, KeyKind kind);

/// HMAC-SHA256(pepper, text): what is stored and compared (with equal_constant_time).
Digest api_key_mac(std::string_view pepper, std::string_view text);

}  // namespace tidegate
