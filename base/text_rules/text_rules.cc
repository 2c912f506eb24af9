#include "base/text_rules/text_rules.h"

#include <fmt/format.h>
#include <re2/re2.h>
#include <re2/set.h>

#include <algorithm>
#include <utility>

#include "base/text_rules/pattern_shape.h"

namespace tidegate {
namespace {

/// Of one pattern's automata, built as texts ask for them; RE2 goes on slower, and right, when it is full.
constexpr std::int64_t kPatternMemoryMax = 1 << 20;
/// Of the two automata that hold every pattern.
constexpr std::int64_t kTogetherMemoryMax = 16 << 20;

re2::RE2::Options options(std::int64_t memory_max) {
  re2::RE2::Options out;
  out.set_log_errors(false);  // its log is standard error, and a pattern is the operator's own
  out.set_never_capture(true);
  out.set_max_mem(memory_max);
  return out;
}

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

std::unexpected<Error> bad_pattern(std::size_t place, std::string message) {
  return fail(Code::kInvalidArgument, "bad_pattern", std::move(message), std::to_string(place));
}

std::unexpected<Error> too_large() {
  return fail(Code::kInvalidArgument, "bad_pattern",
              "the patterns together need more memory than 16 MiB; use fewer or shorter ones");
}

}  // namespace

struct TextRules::State {
  struct One {
    std::unique_ptr<re2::RE2> expression;
    std::size_t bytes_max = 0;
    bool has_anchors = false;
  };
  std::vector<One> patterns;
  std::unique_ptr<re2::RE2::Set> all;
  std::unique_ptr<re2::RE2> beginnings;  ///< of any pattern, at the end of a text
};

TextRules::TextRules(std::unique_ptr<const State> state) : state_(std::move(state)) {}
TextRules::~TextRules() = default;
TextRules::TextRules(TextRules&&) noexcept = default;
TextRules& TextRules::operator=(TextRules&&) noexcept = default;

Result<TextRules> TextRules::compile(const std::vector<std::string>& patterns) {
  if (patterns.size() > kPatternsMax) {
    return fail(Code::kInvalidArgument, "bad_pattern",
                fmt::format("there are {} patterns; use at most {}", patterns.size(), kPatternsMax));
  }
  auto state = std::make_unique<State>();
  state->all = std::make_unique<re2::RE2::Set>(options(kTogetherMemoryMax), re2::RE2::UNANCHORED);
  std::string beginnings;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    const std::string& text = patterns[i];
    if (text.empty() || text.size() > kPatternBytesMax) {
      return bad_pattern(i, fmt::format("a pattern has 1 to {} bytes, this one {}", kPatternBytesMax, text.size()));
    }
    State::One one;
    one.expression = std::make_unique<re2::RE2>(piece(text), options(kPatternMemoryMax));
    if (!one.expression->ok()) return bad_pattern(i, fmt::format("RE2 says: {}", one.expression->error()));
    auto shape = shape_of(text);
    if (!shape) return bad_pattern(i, std::move(shape).error().message);
    if (shape->may_be_empty) return bad_pattern(i, "it matches the empty text; let it ask for one character at least");
    one.bytes_max = shape->bytes_max;
    one.has_anchors = shape->has_anchors;
    if (state->all->Add(piece(text), nullptr) != static_cast<int>(i)) return too_large();
    if (i > 0) beginnings += '|';
    beginnings += shape->beginnings;
    state->patterns.push_back(std::move(one));
  }
  if (!state->all->Compile()) return too_large();
  // Anchored at its end, RE2 runs it backwards from there and stops where nothing can have begun.
  const std::string at_end = fmt::format("(?:{})\\z", beginnings);
  state->beginnings = std::make_unique<re2::RE2>(piece(at_end), options(kTogetherMemoryMax));
  if (!state->beginnings->ok()) return too_large();
  return TextRules(std::move(state));
}

std::size_t TextRules::size() const { return state_->patterns.size(); }
std::size_t TextRules::bytes_max(std::size_t pattern) const { return state_->patterns[pattern].bytes_max; }
bool TextRules::has_anchors(std::size_t pattern) const { return state_->patterns[pattern].has_anchors; }

std::vector<bool> TextRules::which(std::string_view text) const {
  std::vector<bool> out(size(), false);
  if (out.empty() || text.empty()) return out;
  std::vector<int> matched;
  re2::RE2::Set::ErrorInfo error{re2::RE2::Set::kNoError};
  if (!state_->all->Match(piece(text), &matched, &error)) {
    // Its automaton did not fit: each pattern is asked by itself then.
    if (error.kind != re2::RE2::Set::kNoError) std::fill(out.begin(), out.end(), true);
    return out;
  }
  for (const int place : matched) out[static_cast<std::size_t>(place)] = true;
  return out;
}

std::optional<TextSpan> TextRules::find(std::size_t pattern, std::string_view text, std::size_t from) const {
  if (from >= text.size()) return std::nullopt;
  re2::StringPiece match;
  const re2::RE2& expression = *state_->patterns[pattern].expression;
  if (!expression.Match(piece(text), from, text.size(), re2::RE2::UNANCHORED, &match, 1)) return std::nullopt;
  if (match.empty()) return std::nullopt;
  const auto begin = static_cast<std::size_t>(match.data() - text.data());
  return TextSpan{begin, begin + match.size()};
}

std::size_t TextRules::first_open(std::string_view text, std::size_t from) const {
  if (size() == 0 || from >= text.size()) return text.size();
  re2::StringPiece match;
  if (!state_->beginnings->Match(piece(text), from, text.size(), re2::RE2::UNANCHORED, &match, 1)) return text.size();
  return match.empty() ? text.size() : static_cast<std::size_t>(match.data() - text.data());
}

std::size_t next_character(std::string_view text, std::size_t at) {
  if (at >= text.size()) return text.size();
  ++at;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
  return at;
}

}  // namespace tidegate
