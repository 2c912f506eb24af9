#include "base/core/encoding.h"

#include <array>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/core/byte_scan.h"

namespace tidegate {

namespace {

constexpr std::string_view kBase62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<std::int8_t, 256> make_base64_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kBase64.size(); ++i)
    values[static_cast<std::uint8_t>(kBase64[i])] = static_cast<std::int8_t>(i);
  return values;
}
constexpr auto kBase64Values = make_base64_values();

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

std::uint32_t crc32c_table(const unsigned char* p, std::size_t n, std::uint32_t crc) {
  for (; n > 0; --n, ++p) crc = (crc >> 8) ^ kCrcTable[(crc ^ *p) & 0xff];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(const unsigned char* p, std::size_t n,
                                                             std::uint32_t crc32) {
  std::uint64_t crc = crc32;
  for (; n >= 8; n -= 8, p += 8) {
    std::uint64_t word;
    std::memcpy(&word, p, 8);
    crc = __builtin_ia32_crc32di(crc, word);
  }
  auto tail = static_cast<std::uint32_t>(crc);
  for (; n > 0; --n, ++p) tail = __builtin_ia32_crc32qi(tail, *p);
  return tail;
}

/// How much of it was encoded, a multiple of 12 bytes: every answer carries its receipt, some kilobyte of text. The
/// steps are Wojciech Mula's (http://0x80.pl/notesen/2016-01-12-sse-base64-encoding.html).
__attribute__((target("ssse3"))) std::size_t base64_ssse3(const unsigned char* from, std::size_t size, char* to) {
  constexpr std::size_t kStepBytes = 12;
  constexpr std::size_t kReadBytes = 16;
  // By the range that an index is in: how far its letter lies behind it.
  const __m128i shifts = _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                       '0' - 52, '0' - 52, '0' - 52, '-' - 62, '_' - 63, 'A', 0, 0);
  const __m128i spread = _mm_set_epi8(10, 11, 9, 10, 7, 8, 6, 7, 4, 5, 3, 4, 1, 2, 0, 1);
  std::size_t done = 0;
  for (; size - done >= kReadBytes; done += kStepBytes, to += 16) {
    const __m128i read = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + done));
    const __m128i threes = _mm_shuffle_epi8(read, spread);  // each three bytes in four: 1 0 2 1
    const __m128i first = _mm_and_si128(threes, _mm_set1_epi32(0x0fc0fc00));
    const __m128i second = _mm_and_si128(threes, _mm_set1_epi32(0x003f03f0));
    const __m128i indices = _mm_or_si128(_mm_mulhi_epu16(first, _mm_set1_epi32(0x04000040)),
                                         _mm_mullo_epi16(second, _mm_set1_epi32(0x01000010)));
    const __m128i is_capital = _mm_cmpgt_epi8(_mm_set1_epi8(26), indices);
    const __m128i ranges = _mm_or_si128(_mm_subs_epu8(indices, _mm_set1_epi8(51)),
                                        _mm_and_si128(is_capital, _mm_set1_epi8(13)));
    const __m128i letters = _mm_add_epi8(_mm_shuffle_epi8(shifts, ranges), indices);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), letters);
  }
  return done;
}
#endif

}  // namespace

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string hex_encode(std::string_view raw) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(raw.size() * 2, '\0');
  char* to = text.data();
  for (const char c : raw) {
    const auto byte = static_cast<unsigned char>(c);
    *to++ = kDigits[byte >> 4];
    *to++ = kDigits[byte & 15];
  }
  return text;
}

std::optional<std::string> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string raw;
  raw.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    raw += static_cast<char>(high << 4 | low);
  }
  return raw;
}

std::string base64url_encode(std::string_view raw) {
  std::string out((raw.size() * 4 + 2) / 3, '\0');
  char* to = out.data();
  const auto* from = reinterpret_cast<const unsigned char*>(raw.data());
  std::size_t left = raw.size();
#if defined(__x86_64__)
  static const bool has_ssse3 = __builtin_cpu_supports("ssse3");
  if (has_ssse3) {
    const std::size_t done = base64_ssse3(from, left, to);
    from += done;
    to += done / 3 * 4;
    left -= done;
  }
#endif
  for (; left >= 3; left -= 3, from += 3, to += 4) {
    const std::uint32_t bits = std::uint32_t{from[0]} << 16 | std::uint32_t{from[1]} << 8 | from[2];
    to[0] = kBase64[bits >> 18];
    to[1] = kBase64[bits >> 12 & 63];
    to[2] = kBase64[bits >> 6 & 63];
    to[3] = kBase64[bits & 63];
  }
  if (left > 0) {
    const std::uint32_t bits = std::uint32_t{from[0]} << 16 | (left == 2 ? std::uint32_t{from[1]} << 8 : 0U);
    to[0] = kBase64[bits >> 18];
    to[1] = kBase64[bits >> 12 & 63];
    if (left == 2) to[2] = kBase64[bits >> 6 & 63];
  }
  return out;
}

std::optional<std::string> base64url_decode(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = kBase64Values[static_cast<std::uint8_t>(c)];
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 255);
  }
  if ((bits & ((1U << count) - 1)) != 0) return std::nullopt;
  return out;
}

std::string base62_encode(std::uint64_t value, std::size_t width) {
  std::string text(width, '0');
  for (std::size_t i = width; i-- > 0; value /= 62) text[i] = kBase62[value % 62];
  return text;
}

std::optional<std::uint64_t> base62_decode(std::string_view text) {
  if (text.size() > 10) return std::nullopt;  // 62^10 < 2^64
  std::uint64_t value = 0;
  for (const char c : text) {
    const auto digit = kBase62.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    value = value * 62 + digit;
  }
  return value;
}

std::uint32_t crc32c(std::string_view data, std::uint32_t seed) {
  const auto* p = reinterpret_cast<const unsigned char*>(data.data());
#if defined(__x86_64__)
  static const bool has_sse42 = __builtin_cpu_supports("sse4.2");
  if (has_sse42) return ~crc32c_sse42(p, data.size(), ~seed);
#endif
  return ~crc32c_table(p, data.size(), ~seed);
}

bool is_valid_utf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    if (*p < 0x80) {
      const bool is_word_plain = end - p >= static_cast<std::ptrdiff_t>(kWordBytes) &&
                                 !has_high_byte(load_word(reinterpret_cast<const char*>(p)));
      p += is_word_plain ? kWordBytes : 1;
      continue;
    }
    int more;
    std::uint32_t point, least;
    if ((*p & 0xe0) == 0xc0) {
      more = 1, point = *p & 0x1f, least = 0x80;
    } else if ((*p & 0xf0) == 0xe0) {
      more = 2, point = *p & 0x0f, least = 0x800;
    } else if ((*p & 0xf8) == 0xf0) {
      more = 3, point = *p & 0x07, least = 0x10000;
    } else {
      return false;
    }
    if (end - p <= more) return false;
    for (int i = 1; i <= more; ++i) {
      if ((p[i] & 0xc0) != 0x80) return false;
      point = point << 6 | (p[i] & 0x3f);
    }
    if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
    p += more + 1;
  }
  return true;
}

std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xc0) == 0x80) --bytes_max;
  return text.substr(0, bytes_max);
}

}  // namespace tidegate
