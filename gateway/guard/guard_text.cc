#include "gateway/guard/guard_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/core/encoding.h"

namespace tidegate::gateway {
namespace {

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

std::string decided_text(const GuardVerdict& verdict, std::size_t place, std::string_view piece) {
  const std::size_t end = std::min(verdict.decided[place], piece.size());
  std::string out;
  out.reserve(end);
  std::size_t at = 0;
  for (const GuardSpan& span : verdict.spans) {
    if (span.text != place) continue;
    out += piece.substr(at, span.begin - at);
    out += span.replacement;
    at = span.end;
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
