#include "gateway/guard/rule_book.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/gateway/guard/guard_world.h"

namespace tidegate::gateway::test::rule_book_test {
namespace {

using enum GuardAction;

TEST(RuleBook, MasksEveryMatchByTheRulesName) {
  const RuleBook book = book_of({pii_rule("email", "email", kMask), rule_of("moon", "moon|月", kMask)});
  EXPECT_EQ(read(book, "a@b.cn and c@d.org by the moon, 月光"), "[email] and [email] by the [moon], [moon]光");
  EXPECT_EQ(read(book, "nothing"), "nothing");
  EXPECT_EQ(read(book, ""), "");
}

TEST(RuleBook, MatchesThatOverlapAreOneRegionNamedByTheFirst) {
  const RuleBook book = book_of({rule_of("late", "bcde", kMask), rule_of("early", "abc", kMask)});
  EXPECT_EQ(read(book, "xabcdex"), "x[early]x");
  EXPECT_EQ(read(book, "bcdeabc"), "[late][early]") << "side by side they are two";
  const RuleBook same = book_of({rule_of("short", "ab", kMask), rule_of("long", "abcd", kMask)});
  EXPECT_EQ(read(same, "abcde"), "[short]e") << "nothing of the longer one is left over";
}

TEST(RuleBook, DenialIsByTheLeftmostRule) {
  const RuleBook book = book_of({rule_of("late", "two", kDeny), rule_of("early", "one", kDeny)});
  EXPECT_EQ(read(book, "zero one two"), "denied by early");
  EXPECT_EQ(read(book, "zero two one"), "denied by late");
  EXPECT_EQ(read(book, "zero"), "zero");
}

TEST(RuleBook, WhatStandsBeforeADenialIsMaskedAndDecided) {
  const RuleBook book = book_of({rule_of("name", "Li Wei", kMask), rule_of("stop", "forbidden", kDeny)});
  const GuardSubject subject = subject_of();
  const std::string text = "Li Wei is forbidden, Li Wei";
  const GuardCheck check{subject, GuardDirection::kOutput, {whole_text(text), whole_text("Li Wei")}, 512};
  const GuardVerdict verdict = book.judge(check);
  ASSERT_TRUE(verdict.denial);
  EXPECT_EQ(decided_text(verdict, 0, text), "[name] is ");
  EXPECT_EQ(verdict.decided.at(1), 0U) << "nothing of later texts";
  EXPECT_EQ(verdict.hits, (std::vector<GuardHit>{{"name", kMask}, {"stop", kDeny}}));
}

TEST(RuleBook, ALogRuleChangesNothing) {
  const RuleBook book = book_of({rule_of("seen", "moon", kLog)});
  EXPECT_EQ(read(book, "moon moon"), "moon moon");
  const GuardSubject subject = subject_of();
  const GuardCheck check{subject, GuardDirection::kInput, {whole_text("moon moon")}, 512};
  EXPECT_EQ(book.judge(check).hits, (std::vector<GuardHit>{{"seen", kLog}}));
}

TEST(RuleBook, RulesAreForTheirDirectionModelsAndTenants) {
  GuardRule rule = rule_of("r", "moon", kMask);
  rule.is_for_input = false;
  EXPECT_EQ(read(book_of({rule}), "moon"), "moon");
  rule.is_for_input = true;
  rule.models = {"other"};
  EXPECT_EQ(read(book_of({rule}), "moon"), "moon");
  rule.models = {"other", "tang-moe"};
  EXPECT_EQ(read(book_of({rule}), "moon"), "[r]");
  rule.tenants = {"acme"};
  EXPECT_EQ(read(book_of({rule}), "moon"), "[r]");
  EXPECT_EQ(read(book_of({rule}), "moon", subject_of("globex")), "moon");
  rule.tenants = {subject_of().tenant.to_string()};
  EXPECT_EQ(read(book_of({rule}), "moon", subject_of("renamed")), "[r]") << "ids last longer than names";
  rule.tenants = {"!acme"};
  EXPECT_EQ(read(book_of({rule}), "moon"), "moon");
  EXPECT_EQ(read(book_of({rule}), "moon", subject_of("globex")), "[r]");
}

TEST(RuleBook, AMatchThatFailsItsCheckDigitHidesNoneBehindIt) {
  const RuleBook book = book_of({pii_rule("card", "card", kMask)});
  EXPECT_EQ(read(book, "22 4111111111111111"), "22 [card]") << "18 digits look like one number, and are none";
}

TEST(RuleBook, KnowsWhereNoRuleOfItsCouldMatch) {
  GuardRule rule = rule_of("r", "moon", kMask);
  rule.is_for_output = false;
  EXPECT_TRUE(book_of({rule}).reads(subject_of(), GuardDirection::kInput));
  EXPECT_FALSE(book_of({rule}).reads(subject_of(), GuardDirection::kOutput));
  rule.is_for_output = true;
  rule.tenants = {"globex"};
  EXPECT_FALSE(book_of({rule}).reads(subject_of(), GuardDirection::kOutput));
  EXPECT_TRUE(book_of({rule}).reads(subject_of("globex"), GuardDirection::kOutput));
}

TEST(RuleBook, TheLongestRuleForOutputIsTheLeastWindow) {
  EXPECT_EQ(book_of({rule_of("a", "a{3,7}", kMask), rule_of("b", "bb", kMask)}).output_bytes_max(), 7U);
  EXPECT_FALSE(RuleBook::compile({rule_of("a", "a{3,90}", kMask)}, 64));
}

}  // namespace
}  // namespace tidegate::gateway::test::rule_book_test
