#include "base/text_rules/text_pattern.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <utility>

namespace tidegate {

TextPattern::TextPattern(std::unique_ptr<const re2::RE2> expression) : expression_(std::move(expression)) {}
TextPattern::~TextPattern() = default;
TextPattern::TextPattern(TextPattern&&) noexcept = default;
TextPattern& TextPattern::operator=(TextPattern&&) noexcept = default;

Result<TextPattern> TextPattern::compile(std::string_view pattern) {
  re2::RE2::Options options;
  options.set_log_errors(false);  // its log is standard error, and patterns come from outside
  options.set_never_capture(true);
  options.set_max_mem(kMemoryMax);
  auto expression = std::make_unique<const re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
  if (!expression->ok()) {
    return fail(Code::kInvalidArgument, "bad_pattern", fmt::format("RE2 says: {}", expression->error()));
  }
  return TextPattern(std::move(expression));
}

bool TextPattern::matches(std::string_view text) const {
  const re2::StringPiece piece(text.data(), text.size());
  return expression_->Match(piece, 0, text.size(), re2::RE2::UNANCHORED, nullptr, 0);
}

std::int64_t TextPattern::steps() const { return expression_->ProgramSize(); }

}  // namespace tidegate
