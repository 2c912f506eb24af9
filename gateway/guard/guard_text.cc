#include "gateway/guard/guard_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <system_error>

#include "base/core/encoding.h"

namespace tidegate::gateway {
namespace {

constexpr std::size_t kEscapeBytes = 6;  ///< of a backslash, u and four digits

/// The code unit that the escape in front of `text` stands for.
std::optional<std::uint32_t> find_unit(std::string_view text) {
  constexpr std::string_view kBegin = "\\u";
  if (text.size() < kEscapeBytes || !text.starts_with(kBegin)) return std::nullopt;
  std::uint32_t unit = 0;
  const char* const digits = text.data() + kBegin.size();
  const char* const digits_end = text.data() + kEscapeBytes;
  const auto [end, error] = std::from_chars(digits, digits_end, unit, 16);
  if (error != std::errc() || end != digits_end) return std::nullopt;
  return unit;
}

bool is_between(std::uint32_t code, std::uint32_t first, std::uint32_t last) { return code >= first && code <= last; }

void append_character(std::string& out, std::uint32_t code) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80U | ((code >> shift) & 0x3fU)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0U | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0U | (code >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0U | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

/// Writes out the escape in front of `text`; 0: it stays. Else its bytes.
std::size_t write_out(std::string_view text, std::string& out) {
  if (text.starts_with("\\/")) {
    out += '/';
    return 2;
  }
  const auto unit = find_unit(text);
  if (!unit || *unit < 0x20 || *unit == '"' || *unit == '\\' || is_between(*unit, 0xdc00, 0xdfff)) return 0;
  if (!is_between(*unit, 0xd800, 0xdbff)) {
    append_character(out, *unit);
    return kEscapeBytes;
  }
  const auto low = find_unit(text.substr(kEscapeBytes));
  if (!low || !is_between(*low, 0xdc00, 0xdfff)) return 0;
  append_character(out, 0x10000 + ((*unit - 0xd800) << 10) + (*low - 0xdc00));
  return 2 * kEscapeBytes;
}

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/// `text` is the beginning of a backslash, u and four digits, and not all of it.
bool is_unit_begun(std::string_view text) {
  constexpr std::string_view kBegin = "\\u";
  if (text.size() >= kEscapeBytes) return false;
  const std::size_t known = std::min(text.size(), kBegin.size());
  return text.substr(0, known) == kBegin.substr(0, known) && std::ranges::all_of(text.substr(known), is_hex);
}

/// What the escape in front of `text` stands for depends on what follows the text.
bool is_escape_begun(std::string_view text) {
  if (is_unit_begun(text)) return true;
  const auto unit = find_unit(text);
  return unit && is_between(*unit, 0xd800, 0xdbff) && is_unit_begun(text.substr(kEscapeBytes));
}

/// Where an escape stands that has only begun; the text's size when there is none.
std::size_t find_begun_escape(std::string_view text) {
  std::string ignored;
  std::size_t at = text.find('\\');
  while (at != std::string_view::npos) {
    const std::string_view rest = text.substr(at);
    if (is_escape_begun(rest)) return at;
    const std::size_t taken = write_out(rest, ignored);
    at = text.find('\\', at + (taken > 0 ? taken : 2));
  }
  return text.size();
}

bool is_between_characters(std::string_view text, std::size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80;
}

std::unexpected<Error> bad_verdict(std::string_view what, std::size_t place) {
  return fail(Code::kInternal, "bad_verdict", fmt::format("The guard's verdict on text {} is broken: {}.", place, what));
}

Status check_decided(const GuardVerdict& verdict, const GuardCheck& check) {
  if (verdict.decided.size() != check.texts.size()) return bad_verdict("one number for each text is due", 0);
  if (verdict.denial && verdict.denial->text >= check.texts.size()) return bad_verdict("there is no such text", 0);
  for (std::size_t i = 0; i < check.texts.size(); ++i) {
    const std::string_view piece = check.texts[i].piece();
    const std::size_t decided = verdict.decided[i];
    if (decided > piece.size()) return bad_verdict("more is decided than was shown", i);
    if (!is_between_characters(piece, decided)) return bad_verdict("the decided part ends inside a character", i);
    if (verdict.denial) continue;
    const std::size_t left = piece.size() - decided;
    if (check.texts[i].is_last && left > 0) return bad_verdict("a last piece is not decided whole", i);
    if (left > GuardLimits::kUndecidedWindowsMax * check.window_bytes) {
      return bad_verdict("more than three windows are left undecided", i);
    }
  }
  return {};
}

}  // namespace

std::string spelled_out(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  while (!json.empty()) {
    const std::size_t at = std::min(json.find('\\'), json.size());
    out += json.substr(0, at);
    json.remove_prefix(at);
    if (json.empty()) break;
    std::size_t taken = write_out(json, out);
    if (taken == 0) {
      // With the character behind it: a backslash that is itself escaped begins nothing.
      taken = std::min<std::size_t>(2, json.size());
      out += json.substr(0, taken);
    }
    json.remove_prefix(taken);
  }
  return out;
}

std::string SpellingStream::take(std::string_view piece) {
  held_ += piece;
  const std::size_t sure = find_begun_escape(held_);
  std::string out = spelled_out(std::string_view(held_).substr(0, sure));
  held_.erase(0, sure);
  return out;
}

std::string SpellingStream::finish() {
  std::string out = spelled_out(held_);
  held_.clear();
  return out;
}

std::string decided_text(const GuardVerdict& verdict, std::size_t place, std::string_view piece) {
  const std::size_t end = std::min(verdict.decided[place], piece.size());
  std::string out;
  out.reserve(end);
  std::size_t at = 0;
  // Spans are in the order of their texts: a request may have thousands of both.
  const auto [first, last] = std::ranges::equal_range(verdict.spans, place, {}, &GuardSpan::text);
  for (auto span = first; span != last; ++span) {
    out += piece.substr(at, span->begin - at);
    out += span->replacement;
    at = span->end;
  }
  out += piece.substr(at, end - at);
  return out;
}

Status check_verdict(const GuardVerdict& verdict, const GuardCheck& check) {
  if (Status decided = check_decided(verdict, check); !decided) return decided;
  std::size_t place = 0;
  std::size_t free_from = 0;
  for (const GuardSpan& span : verdict.spans) {
    if (span.text >= check.texts.size()) return bad_verdict("there is no such text", span.text);
    if (span.text < place) return bad_verdict("spans are not in order", span.text);
    if (span.text > place) free_from = 0;
    place = span.text;
    const std::string_view piece = check.texts[place].piece();
    if (span.begin < free_from || span.end <= span.begin) return bad_verdict("spans are not in order", place);
    if (span.end > verdict.decided[place]) return bad_verdict("a span is not decided", place);
    if (!is_between_characters(piece, span.begin) || !is_between_characters(piece, span.end)) {
      return bad_verdict("a span ends inside a character", place);
    }
    if (span.replacement.size() > GuardLimits::kReplacementBytesMax || !is_valid_utf8(span.replacement)) {
      return bad_verdict("a replacement has more than 128 bytes, or is no UTF-8", place);
    }
    free_from = span.end;
  }
  return {};
}

}  // namespace tidegate::gateway
