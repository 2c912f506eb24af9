#include "base/text_rules/text_pattern.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate {
namespace {

bool is_found(std::string_view pattern, std::string_view text) {
  const auto compiled = TextPattern::compile(pattern);
  EXPECT_TRUE(compiled) << pattern;
  return compiled && compiled->matches(text);
}

TEST(TextPattern, IsLookedForAnywhereBetweenItsAnchors) {
  EXPECT_TRUE(is_found("oo", "moon"));
  EXPECT_FALSE(is_found("^oo", "moon"));
  EXPECT_FALSE(is_found("^moon$", "moon\n")) << "$ is the end and nothing before it";
  EXPECT_TRUE(is_found("^.$", "月")) << "one character, of three bytes";
}

TEST(TextPattern, MayMatchTheEmptyText) {
  EXPECT_TRUE(is_found("", ""));
  EXPECT_TRUE(is_found("^a*$", ""));
  EXPECT_FALSE(is_found("^a+$", ""));
}

TEST(TextPattern, WhatCannotBeReadOrIsTooLargeIsRefused) {
  const std::string large = "(" + std::string(1'000, 'x') + "){900}";
  for (const std::string& pattern : {std::string("(?=x)"), std::string(R"((a)\1)"), std::string("["), large}) {
    const auto compiled = TextPattern::compile(pattern);
    ASSERT_FALSE(compiled) << pattern;
    EXPECT_EQ(compiled.error().reason, "bad_pattern");
  }
}

TEST(TextPattern, ALongerPatternHasMoreSteps) {
  const auto one = TextPattern::compile("a");
  const auto many = TextPattern::compile("a{100}");
  ASSERT_TRUE(one && many);
  EXPECT_LT(one->steps(), many->steps());
}

}  // namespace
}  // namespace tidegate
