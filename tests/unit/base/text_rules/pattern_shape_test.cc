#include "base/text_rules/pattern_shape.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate {
namespace {

std::size_t bytes_of(std::string_view pattern) {
  const auto shape = shape_of(pattern);
  EXPECT_TRUE(shape) << pattern;
  return shape ? shape->bytes_max : 0;
}

TEST(PatternShape, TheLongestMatchIsCountedInBytes) {
  EXPECT_EQ(bytes_of("abc"), 3U);
  EXPECT_EQ(bytes_of("a|bcd|ef"), 3U);
  EXPECT_EQ(bytes_of("[0-9]{3}-?[0-9]{2,4}"), 8U);
  EXPECT_EQ(bytes_of("(?:ab){2}c?"), 5U);
  EXPECT_EQ(bytes_of("月亮"), 6U);
  EXPECT_EQ(bytes_of("."), 4U);
  EXPECT_EQ(bytes_of("[^a]"), 4U);
  EXPECT_EQ(bytes_of("[月]"), 4U);
  EXPECT_EQ(bytes_of(R"(\d\W)"), 5U);
  EXPECT_EQ(bytes_of(R"(\p{Han}{2})"), 8U);
  EXPECT_EQ(bytes_of(R"(\bx\b)"), 1U);
  EXPECT_EQ(bytes_of("[]a]"), 1U);
  EXPECT_EQ(bytes_of("[[:alpha:]]"), 1U);
  EXPECT_EQ(bytes_of("x{"), 2U);
}

/// The Kelvin sign has three bytes, and (?i)k matches it.
TEST(PatternShape, FoldedLettersMayBeLonger) {
  EXPECT_EQ(bytes_of("(?i)k"), 3U);
  EXPECT_EQ(bytes_of("(?i:k)k"), 4U);
  EXPECT_EQ(bytes_of("(?:(?i)k)k"), 4U);
  EXPECT_EQ(bytes_of("(?i)7"), 1U);
}

TEST(PatternShape, WithoutABoundThereIsNone) {
  for (const char* pattern : {"a*", "a+b", "(?:a|b*)c", "a{3,}", "x(?:.+)?"}) {
    EXPECT_EQ(bytes_of(pattern), PatternShape::kUnbounded) << pattern;
  }
  EXPECT_EQ(bytes_of(R"((?:\b)*)"), 0U);
}

TEST(PatternShape, EmptyMatchesAndAnchorsAreSeen) {
  for (const char* pattern : {"a*", "a?", "(?:)", R"(\b)", "a|", "(?:a{0,3}b?)"}) {
    EXPECT_TRUE(shape_of(pattern)->may_be_empty) << pattern;
  }
  EXPECT_FALSE(shape_of("a?b")->may_be_empty);
  for (const char* pattern : {"^a", "a$", R"(\Aa)", R"(a\z)", "(?m:^a)"}) {
    EXPECT_TRUE(shape_of(pattern)->has_anchors) << pattern;
  }
  EXPECT_FALSE(shape_of(R"(\ba[$^]\$)")->has_anchors);
}

TEST(PatternShape, WhatItDoesNotReadIsRefusedNotGuessed) {
  EXPECT_FALSE(shape_of(R"(\Qa.b\E)"));
  EXPECT_FALSE(shape_of(R"(\C)"));
  EXPECT_FALSE(shape_of(std::string(80, '(') + "a" + std::string(80, ')')));
}

}  // namespace
}  // namespace tidegate
