#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidegate {

/// Of one hexadecimal digit in either case; -1 of any other character.
int hex_value(char c);
/// Lower-case hexadecimal.
std::string hex_encode(std::string_view raw);
/// Either case; nullopt on an odd length or a foreign character.
std::optional<std::string> hex_decode(std::string_view text);

/// RFC 4648 section 5 without padding.
std::string base64url_encode(std::string_view raw);
/// Canonical text only: nullopt on padding, foreign characters, an impossible length, or bits that stand for
/// nothing.
std::optional<std::string> base64url_decode(std::string_view text);

/// 0-9 A-Z a-z, most significant digit first, left-padded with '0' to `width`. The value must fit.
std::string base62_encode(std::uint64_t value, std::size_t width);
std::optional<std::uint64_t> base62_decode(std::string_view text);

/// CRC-32C (Castagnoli), hardware where the CPU has SSE4.2. `seed` chains: crc32c(b, crc32c(a)) ==
/// crc32c(a+b).
std::uint32_t crc32c(std::string_view data, std::uint32_t seed = 0);

/// True for well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF).
bool is_valid_utf8(std::string_view text);

/// The beginning of well-formed UTF-8, at most `bytes_max` long and not cut within a character.
std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max);

}  // namespace tidegate
