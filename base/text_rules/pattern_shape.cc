#include "base/text_rules/pattern_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

namespace tidegate {
namespace {

constexpr int kGroupDepthMax = 64;
constexpr std::size_t kRuneBytesMax = 4;
/// (?i) lets "k" match the Kelvin sign, which has three bytes: no ASCII character folds to a longer one.
constexpr std::size_t kFoldedAsciiBytesMax = 3;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_octal(char c) { return c >= '0' && c <= '7'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

std::size_t add(std::size_t a, std::size_t b) {
  return a > PatternShape::kUnbounded - b ? PatternShape::kUnbounded : a + b;
}
std::size_t times(std::size_t a, std::size_t n) {
  if (a == 0 || n == 0) return 0;
  return a > PatternShape::kUnbounded / n ? PatternShape::kUnbounded : a * n;
}

/// A part of the pattern. `all` is its expression, `begins` that of every beginning of it. Only join() leaves them so
/// that no operator may follow; either() puts them in a group.
struct Piece {
  std::string all;
  std::string begins;
  std::size_t bytes_max = 0;
  bool may_be_empty = true;
};

std::string group(std::string_view inside) { return fmt::format("(?:{})", inside); }

/// One after the other. Halves, not a chain: RE2 bounds how deep an expression may be nested.
Piece join(const std::vector<Piece>& pieces, std::size_t first, std::size_t last) {
  if (first == last) return {};
  if (last - first == 1) return pieces[first];
  const std::size_t middle = first + (last - first) / 2;
  const Piece left = join(pieces, first, middle);
  const Piece right = join(pieces, middle, last);
  Piece out;
  out.all = left.all + right.all;
  // A beginning of the two is one of the left, or all of the left and a beginning of the right.
  out.begins = fmt::format("(?:{}|{}{})", left.begins, left.all, right.begins);
  out.bytes_max = add(left.bytes_max, right.bytes_max);
  out.may_be_empty = left.may_be_empty && right.may_be_empty;
  return out;
}

Piece either(const std::vector<Piece>& choices) {
  Piece out;
  out.may_be_empty = false;
  for (const Piece& choice : choices) {
    if (&choice != &choices.front()) {
      out.all += '|';
      out.begins += '|';
    }
    out.all += choice.all;
    out.begins += choice.begins;
    out.bytes_max = std::max(out.bytes_max, choice.bytes_max);
    out.may_be_empty |= choice.may_be_empty;
  }
  out.all = group(out.all);
  out.begins = group(out.begins);
  return out;
}

struct Count {
  std::size_t least = 0;
  std::optional<std::size_t> most;  ///< nullopt: no end
};

Piece repeat(const Piece& once, const Count& count) {
  Piece out;
  out.may_be_empty = once.may_be_empty || count.least == 0;
  if (count.most == 0U) return out;
  if (!count.most) {
    out.all = fmt::format("(?:{}{{{},}})", once.all, count.least);
    out.begins = fmt::format("(?:{}*{})", once.all, once.begins);
    out.bytes_max = once.bytes_max == 0 ? 0 : PatternShape::kUnbounded;
    return out;
  }
  out.all = fmt::format("(?:{}{{{},{}}})", once.all, count.least, *count.most);
  out.begins = *count.most == 1 ? once.begins
                                : fmt::format("(?:{}{{0,{}}}{})", once.all, *count.most - 1, once.begins);
  out.bytes_max = times(once.bytes_max, *count.most);
  return out;
}

/// Recursive descent over the pattern. RE2 has accepted it, so a malformed one is not met.
class Reader {
 public:
  explicit Reader(std::string_view pattern) : text_(pattern) {}

  Result<PatternShape> read() {
    TG_ASSIGN(const Piece whole, choices());
    if (at_ < text_.size()) return unread("an unexpected ')'");
    PatternShape shape;
    shape.beginnings = whole.begins;
    shape.bytes_max = whole.bytes_max;
    shape.may_be_empty = whole.may_be_empty;
    shape.has_anchors = has_anchors_;
    return shape;
  }

 private:
  struct Flags {
    bool fold = false, dot_all = false, lines = false;
  };

  bool more() const { return at_ < text_.size(); }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  std::unexpected<Error> unread(std::string_view what) const {
    return fail(Code::kInvalidArgument, "bad_pattern", fmt::format("{} at byte {} is not understood", what, at_));
  }

  /// Up to ')' or the end.
  Result<Piece> choices() {
    const Flags outside = flags_;
    if (++depth_ > kGroupDepthMax) return unread("a group inside 64 others");
    std::vector<Piece> found;
    while (true) {
      TG_ASSIGN(Piece choice, sequence());
      found.push_back(std::move(choice));
      if (!more() || peek() != '|') break;
      ++at_;
    }
    --depth_;
    flags_ = outside;
    return either(found);
  }

  Result<Piece> sequence() {
    std::vector<Piece> pieces;
    while (more() && peek() != '|' && peek() != ')') {
      TG_ASSIGN(std::optional<Piece> item, next_item());
      if (!item) continue;  // flags for what follows
      while (const auto count = repetition()) item = repeat(*item, *count);
      pieces.push_back(*std::move(item));
    }
    return join(pieces, 0, pieces.size());
  }

  /// nullopt: nothing was read, or it is no repetition but a literal brace.
  std::optional<Count> repetition() {
    std::optional<Count> count;
    switch (peek()) {
      case '*': count = Count{0, std::nullopt}; break;
      case '+': count = Count{1, std::nullopt}; break;
      case '?': count = Count{0, 1}; break;
      case '{': return braces();
      default: return std::nullopt;
    }
    ++at_;
    if (peek() == '?') ++at_;  // not greedy
    return count;
  }

  std::optional<Count> braces() {
    const auto close = text_.find('}', at_);
    if (close == std::string_view::npos) return std::nullopt;
    const std::string_view inside = text_.substr(at_ + 1, close - at_ - 1);
    const auto comma = inside.find(',');
    const auto least = number(inside.substr(0, comma));
    if (!least) return std::nullopt;
    Count count{*least, *least};
    if (comma != std::string_view::npos) {
      const std::string_view most = inside.substr(comma + 1);
      count.most = number(most);
      if (!most.empty() && !count.most) return std::nullopt;
    }
    at_ = close + 1;
    if (peek() == '?') ++at_;
    return count;
  }

  static std::optional<std::size_t> number(std::string_view digits) {
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  }

  /// One thing that an operator may follow.
  Result<std::optional<Piece>> next_item() {
    const std::size_t start = at_;
    switch (peek()) {
      case '(': return parenthesis();
      case '[': return bracket();
      case '\\': return escape();
      case '.': ++at_; return character(start, kRuneBytesMax);
      case '^':
      case '$': ++at_; has_anchors_ = true; return assertion(start);
      default: break;
    }
    const std::size_t length = rune_length(text_[at_]);
    at_ = std::min(at_ + length, text_.size());
    // An operator's character that stands for itself, as in "{x", must not become one where it is put together anew.
    if (length == 1 && std::string_view("{}]").find(text_[start]) != std::string_view::npos) {
      return escaped_literal(text_[start]);
    }
    return character(start, folded(length, text_[start]));
  }

  static std::size_t rune_length(char lead) {
    const auto byte = static_cast<unsigned char>(lead);
    if (byte < 0x80) return 1;
    if (byte < 0xe0) return 2;
    return byte < 0xf0 ? 3 : 4;
  }

  std::size_t folded(std::size_t length, char lead) const {
    if (!flags_.fold || (length == 1 && !is_alpha(lead))) return length;
    return length == 1 ? kFoldedAsciiBytesMax : kRuneBytesMax;
  }

  std::optional<Piece> piece(std::string source, std::size_t bytes, bool is_empty) const {
    Piece out;
    std::string on;
    if (flags_.fold) on += 'i';
    if (flags_.dot_all) on += 's';
    if (flags_.lines) on += 'm';
    out.all = on.empty() ? std::move(source) : fmt::format("(?{}:{})", on, source);
    out.begins = is_empty ? std::string() : out.all + "?";
    out.bytes_max = bytes;
    out.may_be_empty = is_empty;
    return out;
  }
  std::optional<Piece> character(std::size_t start, std::size_t bytes) const {
    return piece(std::string(text_.substr(start, at_ - start)), bytes, false);
  }
  std::optional<Piece> escaped_literal(char c) const { return piece(std::string("\\") + c, 1, false); }
  std::optional<Piece> assertion(std::size_t start) const {
    return piece(std::string(text_.substr(start, at_ - start)), 0, true);
  }

  Result<std::optional<Piece>> escape() {
    const std::size_t start = at_;
    const char c = peek(1);
    at_ += 2;
    switch (c) {
      case 'a': case 'f': case 'n': case 'r': case 't': case 'v': return character(start, 1);
      case 'd': case 's': return character(start, 1);
      case 'w': return character(start, flags_.fold ? kFoldedAsciiBytesMax : 1);
      case 'D': case 'S': case 'W': return character(start, kRuneBytesMax);
      case 'b': case 'B': return assertion(start);
      case 'A': case 'z': has_anchors_ = true; return assertion(start);
      case 'p': case 'P':
        skip_braced_or(1);
        return character(start, kRuneBytesMax);
      case 'x':
        skip_braced_or(2);
        return character(start, kRuneBytesMax);
      default: break;
    }
    if (is_octal(c)) {
      for (int digits = 1; digits < 3 && is_octal(peek()); ++digits) ++at_;
      return character(start, kRuneBytesMax);
    }
    if (at_ > text_.size() || !is_ascii(c) || is_alpha(c) || is_digit(c)) {
      at_ = start;
      return unread("this escape");
    }
    return character(start, 1);
  }

  /// What follows \p, \P or \x: {...}, or `plain` characters.
  void skip_braced_or(std::size_t plain) {
    if (peek() != '{') {
      at_ = std::min(at_ + plain, text_.size());
      return;
    }
    const auto close = text_.find('}', at_);
    at_ = close == std::string_view::npos ? text_.size() : close + 1;
  }

  Result<std::optional<Piece>> bracket() {
    const std::size_t start = at_++;
    bool is_wide = false;
    if (peek() == '^') {
      is_wide = true;
      ++at_;
    }
    bool is_first = true;
    while (more() && (peek() != ']' || is_first)) {
      is_first = false;
      if (peek() == '[' && peek(1) == ':') {
        const auto close = text_.find(":]", at_ + 2);
        if (close == std::string_view::npos) return unread("this class");
        is_wide |= peek(2) == '^';
        at_ = close + 2;
        continue;
      }
      if (peek() == '\\') {
        is_wide |= std::string_view("DSWpPx").find(peek(1)) != std::string_view::npos || is_octal(peek(1));
        // Braces of \p{...} and \x{...} hold no bracket: their characters pass as any others.
        at_ += 2;
        continue;
      }
      is_wide |= !is_ascii(peek());
      ++at_;
    }
    if (!more()) return unread("this class");
    ++at_;
    const std::size_t narrow = flags_.fold ? kFoldedAsciiBytesMax : 1;
    return character(start, is_wide ? kRuneBytesMax : narrow);
  }

  Result<std::optional<Piece>> parenthesis() {
    ++at_;
    const Flags outside = flags_;
    if (peek() == '?') {
      ++at_;
      if (peek() == 'P' || peek() == '<') {  // (?P<name>
        const auto close = text_.find('>', at_);
        if (close == std::string_view::npos) return unread("this group");
        at_ = close + 1;
      } else {
        TG_ASSIGN(const bool is_group, read_flags());
        if (!is_group) return std::optional<Piece>();
      }
    }
    TG_ASSIGN(Piece inside, choices());
    flags_ = outside;
    if (!more() || peek() != ')') return unread("this group");
    ++at_;
    return std::optional<Piece>(std::move(inside));
  }

  /// "i:" or "i)", after "(?". False: they are for what follows in the group around.
  Result<bool> read_flags() {
    bool is_on = true;
    while (more()) {
      const char c = text_[at_++];
      switch (c) {
        case 'i': flags_.fold = is_on; break;
        case 's': flags_.dot_all = is_on; break;
        case 'm': flags_.lines = is_on; break;
        case 'U': break;
        case '-': is_on = false; break;
        case ':': return true;
        case ')': return false;
        default: return unread("this flag");
      }
    }
    return unread("this group");
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
  Flags flags_;
  bool has_anchors_ = false;
};

}  // namespace

Result<PatternShape> shape_of(std::string_view pattern) { return Reader(pattern).read(); }

}  // namespace tidegate
