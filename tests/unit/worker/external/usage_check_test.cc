#include "worker/external/usage_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace tidegate::worker::external::usage_check_test {
namespace {

constexpr std::int32_t kMax = 1000;
const UsageTolerance kTolerance{.percent = 5, .tokens = 10};
/// As a tokenizer counts.
const CountedUsage kCounted{.prompt = {100, 100}, .completion = {200, 200}, .reasoning = {40, 40}};

CheckedUsage check(std::int64_t prompt, std::int64_t completion, SequenceUsage told = {}) {
  ReportedUsage word;
  word.prompt = prompt;
  word.completion = completion;
  if (told.prompt_tokens == 0) told.prompt_tokens = accepted_prompt(prompt, kCounted.prompt, kTolerance);
  return check_usage(word, kCounted, kTolerance, told, kMax);
}

TEST(UsageCheck, WithinTheToleranceTheEnginesWordIsBilled) {
  for (const auto& [prompt, completion] : {std::pair(115, 220), std::pair(85, 180), std::pair(100, 200)}) {
    const CheckedUsage checked = check(prompt, completion);
    EXPECT_EQ(checked.worse(), UsageVerdict::kAgrees);
    EXPECT_EQ(checked.usage.prompt_tokens, prompt);
    EXPECT_EQ(checked.usage.completion_tokens, completion);
  }
}

TEST(UsageCheck, MoreThanWeCanCountIsBilledAsWeCount) {
  const CheckedUsage checked = check(116, 221);
  EXPECT_EQ(checked.prompt, UsageVerdict::kOverReported);
  EXPECT_EQ(checked.completion, UsageVerdict::kOverReported);
  EXPECT_EQ(checked.usage.prompt_tokens, 100);
  EXPECT_EQ(checked.usage.completion_tokens, 200);
}

TEST(UsageCheck, LessThanWeCountIsBilledAsTheEngineSays) {
  const CheckedUsage checked = check(84, 179);
  EXPECT_EQ(checked.prompt, UsageVerdict::kUnderReported);
  EXPECT_EQ(checked.completion, UsageVerdict::kUnderReported);
  EXPECT_EQ(checked.usage.prompt_tokens, 84);
  EXPECT_EQ(checked.usage.completion_tokens, 179);
}

TEST(UsageCheck, AMissingWordIsBilledAsTheLeastThatWeCount) {
  const CountedUsage by_bytes{.prompt = {10, 80}, .completion = {20, 160}, .reasoning = {5, 40}};
  SequenceUsage told;
  told.prompt_tokens = accepted_prompt(std::nullopt, by_bytes.prompt, kTolerance);
  const CheckedUsage checked = check_usage(std::nullopt, by_bytes, kTolerance, told, kMax);
  EXPECT_EQ(checked.worse(), UsageVerdict::kMissing);
  EXPECT_EQ(checked.usage.prompt_tokens, 10);
  EXPECT_EQ(checked.usage.completion_tokens, 20);
  EXPECT_EQ(checked.usage.reasoning_tokens, 5);
}

TEST(UsageCheck, NothingFallsBelowWhatWasTold) {
  const SequenceUsage told{.prompt_tokens = 95, .completion_tokens = 190};
  const CheckedUsage checked = check(50, 100, told);
  EXPECT_EQ(checked.usage.prompt_tokens, 95) << "decided when it was accepted";
  EXPECT_EQ(check(200, 200, told).usage.prompt_tokens, 95) << "also upwards";
  EXPECT_EQ(checked.usage.completion_tokens, 190);
}

TEST(UsageCheck, NothingRisesAboveWhatWasAskedFor) {
  ReportedUsage word;
  word.completion = 210;
  EXPECT_EQ(check_usage(word, kCounted, kTolerance, {}, 150).usage.completion_tokens, 150);
}

TEST(UsageCheck, PartsNeverExceedTheirWhole) {
  ReportedUsage word;
  word.prompt = 100;
  word.cached = 5000;
  word.completion = 200;
  word.reasoning = 300;
  const SequenceUsage told{.prompt_tokens = 100};
  const SequenceUsage usage = check_usage(word, kCounted, kTolerance, told, kMax).usage;
  EXPECT_EQ(usage.cached_tokens, 99) << "one prompt token is always computed";
  EXPECT_EQ(usage.reasoning_tokens, 200);
}

TEST(UsageCheck, WhatIsToldEarlyIsNeverAboveWhatIsBilledLater) {
  for (std::int64_t least = 0; least < 300; least += 7) {
    const TokenRange range{least, least};
    const CountedUsage counted{.prompt = range, .completion = range, .reasoning = {}};
    SequenceUsage told;
    told.prompt_tokens = accepted_prompt(std::nullopt, range, kTolerance);
    told.completion_tokens = completion_floor(range, kTolerance);
    EXPECT_LE(told.completion_tokens, least);
    ReportedUsage word;
    word.prompt = word.completion = least;
    const CheckedUsage checked = check_usage(word, counted, kTolerance, told, kMax);
    EXPECT_EQ(checked.usage.completion_tokens, least);
    EXPECT_EQ(checked.usage.prompt_tokens, std::max<std::int64_t>(1, least));
  }
}

}  // namespace
}  // namespace tidegate::worker::external::usage_check_test
