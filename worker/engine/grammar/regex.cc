#include "worker/engine/grammar/regex.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "worker/engine/grammar/automaton.h"

namespace tidegate::worker::grammar {
namespace {

constexpr std::uint32_t kCodePointMax = 0x10FFFF;
constexpr int kGroupDepthMax = 32;
constexpr std::uint32_t kRepeatMax = 10000;

CharRanges tidy(CharRanges ranges) {
  std::sort(ranges.begin(), ranges.end());
  CharRanges out;
  for (const auto& range : ranges) {
    if (!out.empty() && range.first <= out.back().second + 1) {
      out.back().second = std::max(out.back().second, range.second);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

CharRanges others(const CharRanges& ranges) {
  CharRanges out;
  std::uint32_t next = 0;
  for (const auto& [low, high] : tidy(ranges)) {
    if (low > next) out.emplace_back(next, low - 1);
    next = high + 1;
  }
  if (next <= kCodePointMax) out.emplace_back(next, kCodePointMax);
  return out;
}

std::optional<CharRanges> class_of(std::uint32_t letter) {
  static const CharRanges kDigit{{'0', '9'}};
  static const CharRanges kWord{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  static const CharRanges kSpace{{'\t', '\r'}, {' ', ' '}};
  switch (letter) {
    case 'd':
      return kDigit;
    case 'D':
      return others(kDigit);
    case 'w':
      return kWord;
    case 'W':
      return others(kWord);
    case 's':
      return kSpace;
    case 'S':
      return others(kSpace);
    default:
      return std::nullopt;
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Regex> parse() {
    TG_ASSIGN(const std::uint32_t root, choice(0));
    if (at_ < text_.size()) return invalid("an unmatched ')'");
    out_.root = root;
    return std::move(out_);
  }

 private:
  using Kind = Regex::Kind;

  std::unexpected<Error> invalid(std::string_view what) const {
    return fail(Code::kInvalidArgument, "pattern_invalid", fmt::format("the pattern has {} at byte {}", what, at_));
  }
  std::unexpected<Error> unsupported(std::string_view what) const {
    return fail(Code::kInvalidArgument, "pattern_unsupported",
                fmt::format("the pattern has {} at byte {}, which is not supported; write it with classes, groups, "
                            "'|' and repetitions",
                            what, at_));
  }

  std::uint32_t add(Regex::Node node) {
    out_.nodes.push_back(std::move(node));
    return static_cast<std::uint32_t>(out_.nodes.size() - 1);
  }
  std::uint32_t anything() {
    const std::uint32_t any = add({.kind = Kind::kChars, .chars = {{0, kCodePointMax}}});
    return add({.kind = Kind::kRepeat, .parts = {any}, .least = 0, .most = kUnbounded});
  }

  bool done() const { return at_ >= text_.size(); }
  bool next_is(char c) const { return !done() && text_[at_] == c; }
  bool take(char c) {
    if (!next_is(c)) return false;
    ++at_;
    return true;
  }

  Result<std::uint32_t> choice(int depth) {
    if (depth > kGroupDepthMax) return unsupported("groups nested more than 32 deep");
    Regex::Node node{.kind = Kind::kChoice};
    do {
      TG_ASSIGN(const std::uint32_t part, sequence(depth));
      node.parts.push_back(part);
    } while (take('|'));
    return node.parts.size() == 1 ? node.parts[0] : add(std::move(node));
  }

  Result<std::uint32_t> sequence(int depth) {
    Regex::Node node{.kind = Kind::kSequence};
    const bool top = depth == 0;
    if (top && !take('^')) node.parts.push_back(anything());
    bool ended = false;
    while (!done() && !next_is('|') && !next_is(')')) {
      if (ended) return unsupported("'$' before the end of an alternative");
      if (next_is('^')) return unsupported("'^' inside an alternative or a group");
      if (next_is('$')) {
        if (!top) return unsupported("'$' inside a group");
        ++at_;
        ended = true;
        continue;
      }
      TG_ASSIGN(const std::uint32_t part, repeated(depth));
      node.parts.push_back(part);
    }
    if (top && !ended) node.parts.push_back(anything());
    return add(std::move(node));
  }

  Result<std::uint32_t> repeated(int depth) {
    TG_ASSIGN(std::uint32_t part, atom(depth));
    while (!done()) {
      std::uint32_t least = 0;
      std::uint32_t most = kUnbounded;
      if (take('*')) {
      } else if (take('+')) {
        least = 1;
      } else if (take('?')) {
        most = 1;
      } else if (next_is('{')) {
        TG_TRY(counts(least, most));
      } else {
        break;
      }
      take('?');  // lazy: the same texts
      part = add({.kind = Kind::kRepeat, .parts = {part}, .least = least, .most = most});
      if (next_is('*') || next_is('+') || next_is('?') || next_is('{')) return invalid("a repetition of a repetition");
    }
    return part;
  }

  Status counts(std::uint32_t& least, std::uint32_t& most) {
    ++at_;
    const auto number = [this]() -> std::optional<std::uint32_t> {
      std::optional<std::uint32_t> value;
      for (; !done() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
        value = std::min(value.value_or(0) * 10 + static_cast<std::uint32_t>(text_[at_] - '0'), kRepeatMax + 1);
      }
      return value;
    };
    const auto first = number();
    if (!first) return invalid("'{' without a count (write '\\{' for the character)");
    least = most = *first;
    if (take(',')) most = number().value_or(kUnbounded);
    if (!take('}')) return invalid("a count without '}'");
    if (least > most) return invalid("a count whose least is above its most");
    if (least > kRepeatMax || (most != kUnbounded && most > kRepeatMax)) return unsupported("a count above 10000");
    return {};
  }

  Result<std::uint32_t> atom(int depth) {
    if (take('(')) {
      if (take('?') && !take(':')) return unsupported("a group that begins with '(?'");
      TG_ASSIGN(const std::uint32_t inner, choice(depth + 1));
      if (!take(')')) return invalid("a group without ')'");
      return inner;
    }
    if (next_is('*') || next_is('+') || next_is('?') || next_is('{')) return invalid("a repetition of nothing");
    if (take('[')) return bracket();
    if (take('.')) return add({.kind = Kind::kChars, .chars = others({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}})});
    TG_ASSIGN(CharRanges chars, character(false));
    return add({.kind = Kind::kChars, .chars = std::move(chars)});
  }

  Result<std::uint32_t> bracket() {
    const bool negated = take('^');
    CharRanges ranges;
    while (true) {
      if (done()) return invalid("a class without ']'");
      if (take(']')) break;
      TG_ASSIGN(const CharRanges low, character(true));
      const bool single = low.size() == 1 && low[0].first == low[0].second;
      if (single && next_is('-') && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        TG_ASSIGN(const CharRanges high, character(true));
        if (high.size() != 1 || high[0].first != high[0].second || high[0].first < low[0].first)
          return invalid("a range in a class that runs backwards");
        ranges.emplace_back(low[0].first, high[0].first);
        continue;
      }
      ranges.insert(ranges.end(), low.begin(), low.end());
    }
    return add({.kind = Kind::kChars, .chars = negated ? others(ranges) : tidy(std::move(ranges))});
  }

  // One character, or the class that an escape stands for. The pattern is UTF-8: it came as JSON text.
  Result<CharRanges> character(bool in_class) {
    if (take('\\')) return escape(in_class);
    const auto lead = static_cast<std::uint8_t>(text_[at_]);
    const int extra = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    std::uint32_t value = extra == 0 ? lead : lead & (0x3FU >> extra);
    ++at_;
    for (int n = 0; n < extra && !done(); ++n) value = value << 6 | (static_cast<std::uint8_t>(text_[at_++]) & 0x3FU);
    return CharRanges{{value, value}};
  }

  Result<CharRanges> escape(bool in_class) {
    if (done()) return invalid("'\\' with nothing after it");
    const char c = text_[at_++];
    if (auto ranges = class_of(static_cast<std::uint8_t>(c))) return *std::move(ranges);
    const auto one = [](std::uint32_t value) { return CharRanges{{value, value}}; };
    switch (c) {
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'x':
        return hex(2);
      case 'u':
        return take('{') ? hex_in_braces() : hex(4);
      case 'b':
        if (in_class) return one('\b');
        break;
      case '0':
        if (done() || text_[at_] < '0' || text_[at_] > '9') return one(0);
        break;
      default:
        break;
    }
    const bool letter_or_digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter_or_digit || static_cast<std::uint8_t>(c) >= 0x80) {
      --at_;
      return unsupported(fmt::format("the escape '\\{}'", letter_or_digit ? c : '?'));
    }
    return one(static_cast<std::uint8_t>(c));
  }

  std::optional<std::uint32_t> hex_digit() {
    if (done()) return std::nullopt;
    const char c = text_[at_];
    const int value = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (value < 0) return std::nullopt;
    ++at_;
    return static_cast<std::uint32_t>(value);
  }
  Result<CharRanges> hex(int digits) {
    std::uint32_t value = 0;
    for (int n = 0; n < digits; ++n) {
      const auto digit = hex_digit();
      if (!digit) return invalid("too few hexadecimal digits");
      value = value * 16 + *digit;
    }
    if (value >= 0xD800 && value <= 0xDFFF) return unsupported("a surrogate (write \\u{...} for the character)");
    return CharRanges{{value, value}};
  }
  Result<CharRanges> hex_in_braces() {
    std::uint32_t value = 0;
    int digits = 0;
    while (const auto digit = hex_digit()) {
      if (++digits > 6) break;
      value = value * 16 + *digit;
    }
    if (digits == 0 || !take('}') || value > kCodePointMax) return invalid("a code point that is none");
    return CharRanges{{value, value}};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Regex out_;
};

}  // namespace

Result<Regex> parse_regex(std::string_view pattern) { return Parser(pattern).parse(); }

}  // namespace tidegate::worker::grammar
