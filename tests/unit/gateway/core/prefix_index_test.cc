#include "gateway/core/prefix_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "base/core/random.h"

namespace tidegate::gateway {
namespace {

using Chain = std::vector<std::uint64_t>;

Plan plan_of(std::vector<PlanMessage> messages) {
  Plan plan;
  plan.model = "m";
  plan.messages = std::move(messages);
  return plan;
}

PlanMessage user(std::string content) { return {Role::kUser, std::move(content)}; }

/// Marks `from`..`to` of one imagined prompt.
Chain chain(std::uint64_t from, std::uint64_t to) {
  Chain out;
  for (std::uint64_t mark = from; mark < to; ++mark) out.push_back(mark);
  return out;
}

Chain joined(Chain a, const Chain& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::size_t blocks_of(PrefixIndex& index, PrefixIndex::Holder holder, const Chain& marks) {
  std::vector<PrefixIndex::Match> found;
  index.match(marks, found);
  const auto one = std::ranges::find(found, holder, &PrefixIndex::Match::holder);
  return one == found.end() ? 0 : one->blocks;
}

TEST(PromptPrefix, TheNextTurnBeginsWithTheMarksOfThisOne) {
  const std::string question(5'000, 'q');
  const std::string answer(3'000, 'a');
  const auto first = prompt_prefix(plan_of({user(question)}), "salt");
  const auto second = prompt_prefix(plan_of({user(question), {Role::kAssistant, answer}, user("more")}), "salt");
  ASSERT_EQ(first.chain.size(), 4U) << "whole blocks only";
  ASSERT_GT(second.chain.size(), 4U);
  EXPECT_TRUE(std::equal(first.chain.begin(), first.chain.end(), second.chain.begin()));
  EXPECT_GT(first.bytes, 5'000) << "roles are text too";
}

TEST(PromptPrefix, AnotherSaltModelRoleOrByteIsAnotherPrompt) {
  const std::string text(kPrefixBlockBytes, 'x');
  const Plan plan = plan_of({user(text)});
  const auto mark = [](const Plan& one, std::string_view salt) { return prompt_prefix(one, salt).chain.at(0); };
  const std::uint64_t here = mark(plan, "salt");
  EXPECT_EQ(mark(plan, "salt"), here);
  EXPECT_NE(mark(plan, "tlas"), here);
  Plan other = plan;
  other.model = "n";
  EXPECT_NE(mark(other, "salt"), here);
  other = plan;
  other.messages[0].role = Role::kSystem;
  EXPECT_NE(mark(other, "salt"), here);
  for (const std::size_t at : {std::size_t{0}, std::size_t{511}, std::size_t{900}}) {
    other = plan;
    other.messages[0].content[at] = 'y';
    EXPECT_NE(mark(other, "salt"), here) << at;
  }
  other = plan;
  other.tools.push_back({"f", "words", R"({"type":"object"})", false});
  const std::uint64_t with_tool = mark(other, "salt");
  EXPECT_NE(with_tool, here) << "tools stand before the conversation";
  other.tools[0].description = "other words";
  EXPECT_NE(mark(other, "salt"), with_tool);
  other.tool_choice.mode = ToolMode::kNone;
  EXPECT_EQ(mark(other, "salt"), here) << "what may not be called is not in the prompt";
}

TEST(PromptPrefix, RawPromptsAndPiecesOfAnySizeAreTheSameText) {
  Plan raw;
  raw.model = "m";
  raw.raw = RawPrompt{std::string(2 * kPrefixBlockBytes, 'r')};
  EXPECT_EQ(prompt_prefix(raw, "salt").chain.size(), 2U);
  PrefixHasher pieces(7);
  PrefixHasher whole(7);
  const std::string text(3 * kPrefixBlockBytes + 5, 't');
  whole.add(text);
  for (std::size_t at = 0; at < text.size(); at += 7) pieces.add(std::string_view(text).substr(at, 7));
  const PromptPrefix a = pieces.take();
  const PromptPrefix b = whole.take();
  EXPECT_EQ(a.chain, b.chain);
  EXPECT_EQ(a.bytes, std::ssize(text));
}

Plan embed_plan(std::vector<PlanEmbedInput> inputs) {
  Plan plan;
  plan.model = "m";
  plan.embed = std::move(inputs);
  return plan;
}

TEST(PromptPrefix, TextsToEmbedHaveBytesIdsAndNoMarks) {
  const std::string text(3 * kPrefixBlockBytes, 't');
  const PromptPrefix prefix = embed_prefix(embed_plan({{text}, {"", std::vector<std::int32_t>(500, 7)}, {"ab"}}));
  EXPECT_TRUE(prefix.chain.empty()) << "they have no part in a cache of prompts";
  EXPECT_EQ(prefix.bytes, std::ssize(text) + 2);
  EXPECT_EQ(prefix.ids, 500) << "an id is a token, not a byte";
}

TEST(PrefixIndex, IdsTeachNothingAboutText) {
  PrefixIndex index(10'000);
  const auto one = index.join("one", "m", 0);
  const PromptPrefix ids = embed_prefix(embed_plan({{"", std::vector<std::int32_t>(2'000, 7)}}));
  for (int i = 0; i < 100; ++i) index.learn(one, ids, 0, 2'000, 0);
  EXPECT_NEAR(static_cast<double>(index.tokens_in("m", 40'000)), 10'000, 2) << "as before anything was counted";
  const PromptPrefix both =
      embed_prefix(embed_plan({{std::string(20'000, 't')}, {"", std::vector<std::int32_t>(2'000, 7)}}));
  for (int i = 0; i < 100; ++i) index.learn(one, both, 0, 12'000, 0);
  EXPECT_NEAR(static_cast<double>(index.tokens_in("m", 40'000)), 20'000, 200) << "ten thousand tokens are the text's";
}

TEST(PrefixIndex, FindsTheLongestPrefixOfEachHolder) {
  PrefixIndex index(10'000);
  const auto one = index.join("one", "m", 0);
  const auto two = index.join("two", "m", 0);
  const auto three = index.join("three", "m", 0);
  index.insert(one, chain(0, 200));
  index.insert(two, chain(0, 77));
  index.insert(three, joined(chain(0, 1), chain(900, 950)));
  EXPECT_EQ(blocks_of(index, one, chain(0, 300)), 200U);
  EXPECT_EQ(blocks_of(index, two, chain(0, 300)), 77U);
  EXPECT_EQ(blocks_of(index, three, chain(0, 300)), 1U) << "a shared beginning is no more than that";
  EXPECT_EQ(blocks_of(index, one, chain(0, 33)), 33U);
  EXPECT_EQ(blocks_of(index, one, chain(5, 10)), 5U) << "marks stand for all that came before";
  EXPECT_EQ(blocks_of(index, one, {}), 0U);
  EXPECT_EQ(blocks_of(index, one, chain(5'000, 5'100)), 0U);
}

TEST(PrefixIndex, JumpsFindWhatStepsFind) {
  PrefixIndex index(1'000'000);
  Rng rng(5);
  std::vector<PrefixIndex::Holder> holders;
  std::vector<std::size_t> depth;
  for (int i = 0; i < 20; ++i) {
    holders.push_back(index.join("w" + std::to_string(i), "m", 0));
    depth.push_back(1 + rng.below(500));
    index.insert(holders.back(), chain(0, depth.back()));
  }
  for (const std::size_t asked : std::vector<std::size_t>{1, 32, 33, 64, 500}) {
    for (std::size_t i = 0; i < holders.size(); ++i) {
      EXPECT_EQ(blocks_of(index, holders[i], chain(0, asked)), std::min(asked, depth[i])) << asked;
    }
  }
}

TEST(PrefixIndex, AnEntryAgesAsTheWorkersCacheDoes) {
  PrefixIndex index(1'000'000);
  // 16,384 tokens at four bytes each: 64 blocks.
  const auto one = index.join("one", "m", 16'384);
  index.insert(one, chain(0, 40));
  index.insert(one, chain(1'000, 1'040));
  EXPECT_EQ(index.entries_of(one), 64U);
  EXPECT_EQ(blocks_of(index, one, chain(1'000, 1'040)), 40U);
  EXPECT_EQ(blocks_of(index, one, chain(0, 40)), 24U) << "the end of the older prompt went first";
  index.insert(one, chain(0, 30));
  index.insert(one, chain(2'000, 2'020));
  EXPECT_EQ(blocks_of(index, one, chain(0, 40)), 30U) << "what was used again is kept";
  EXPECT_LT(blocks_of(index, one, chain(1'000, 1'040)), 40U);
}

TEST(PrefixIndex, NeverHoldsMoreThanItsBound) {
  PrefixIndex index(100);
  const auto one = index.join("one", "m", 0);
  const auto two = index.join("two", "m", 0);
  Rng rng(9);
  for (int i = 0; i < 500; ++i) {
    const std::uint64_t from = rng.below(50) * 1'000;
    index.insert(i % 2 == 0 ? one : two, chain(from, from + 1 + rng.below(150)));
    ASSERT_LE(index.entries(), 100U);
    ASSERT_EQ(index.entries(), index.entries_of(one) + index.entries_of(two));
  }
}

TEST(PrefixIndex, AWorkersEndForgetsItsEntriesAndNobodyElses) {
  PrefixIndex index(10'000);
  const auto one = index.join("one", "m", 0);
  const auto two = index.join("two", "m", 0);
  index.insert(one, chain(0, 10));
  index.insert(two, chain(0, 5));
  EXPECT_EQ(index.join("one", "m", 0), one) << "a second session to the same worker";
  index.leave(one);
  EXPECT_EQ(blocks_of(index, one, chain(0, 10)), 0U) << "one broken session is enough to doubt";
  index.insert(one, chain(0, 3));
  EXPECT_EQ(blocks_of(index, one, chain(0, 10)), 3U) << "the other session goes on";
  index.leave(one);
  EXPECT_EQ(index.entries(), 5U);
  index.insert(one, chain(0, 10));
  EXPECT_EQ(index.entries(), 5U) << "late news of a worker that is gone";
  const auto three = index.join("three", "m", 0);
  EXPECT_EQ(blocks_of(index, three, chain(0, 10)), 0U) << "a seat that is taken again starts empty";
  EXPECT_EQ(blocks_of(index, two, chain(0, 10)), 5U);
}

TEST(PrefixIndex, TheRatioOfBytesToTokensIsLearnedPerModel) {
  PrefixIndex index(10'000);
  const auto one = index.join("one", "m", 0);
  index.join("other", "n", 0);
  EXPECT_NEAR(static_cast<double>(index.tokens_in("m", 40'000)), 10'000, 2) << "four bytes a token until it is known";
  PromptPrefix prompt;
  prompt.bytes = 20'000;
  for (int i = 0; i < 100; ++i) index.learn(one, prompt, 0, 10'000, 0);
  EXPECT_NEAR(static_cast<double>(index.tokens_in("m", 40'000)), 20'000, 200);
  EXPECT_NEAR(static_cast<double>(index.tokens_in("n", 40'000)), 10'000, 2);
  prompt.bytes = 1;
  index.learn(one, prompt, 0, 10'000, 0);
  EXPECT_NEAR(static_cast<double>(index.tokens_in("m", 40'000)), 20'000, 200) << "an image or a template is not text";
}

TEST(PrefixIndex, WhatTheWorkerDidNotFindIsForgottenUntilItHasReadThePrompt) {
  PrefixIndex index(10'000);
  const auto one = index.join("one", "m", 0);
  PromptPrefix prompt;
  prompt.chain = chain(0, 40);
  prompt.bytes = 40 * static_cast<std::int64_t>(kPrefixBlockBytes);
  index.insert(one, prompt.chain);
  // 40 blocks are 10,240 tokens; it had the first 2,560: ten blocks.
  const std::size_t dropped = index.learn(one, prompt, 40, 10'240, 2'560);
  EXPECT_EQ(dropped, 30U);
  EXPECT_EQ(blocks_of(index, one, prompt.chain), 10U);
  index.insert(one, prompt.chain);
  EXPECT_EQ(blocks_of(index, one, prompt.chain), 40U);
  EXPECT_EQ(index.learn(one, prompt, 40, 10'240, 10'200), 0U) << "less than a cache's own block is not missing";
  EXPECT_EQ(blocks_of(index, one, prompt.chain), 40U);
}

TEST(PrefixIndex, AWorkerWithoutACacheLosesItsCreditAndEarnsItBack) {
  PrefixIndex index(10'000);
  const auto one = index.join("one", "m", 0);
  PromptPrefix prompt;
  prompt.chain = chain(0, 40);
  prompt.bytes = 40 * static_cast<std::int64_t>(kPrefixBlockBytes);
  const std::int64_t full = index.tokens_of(one, 40);
  EXPECT_NEAR(static_cast<double>(full), 10'240, 20);
  for (int i = 0; i < 40; ++i) index.learn(one, prompt, 40, 10'240, 0);
  EXPECT_LT(index.tokens_of(one, 40), full / 20);
  for (int i = 0; i < 40; ++i) index.learn(one, prompt, 40, 10'240, 10'239);
  EXPECT_GT(index.tokens_of(one, 40), full * 9 / 10);
}

}  // namespace
}  // namespace tidegate::gateway
