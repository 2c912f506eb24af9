// Several answers to one prompt.
#include <gmock/gmock.h>

#include <map>
#include <optional>
#include <set>
#include <string>

#include "tests/unit/worker/engine/engine_harness.h"

namespace tidegate::worker::choices_test {
namespace {

struct Answer {
  std::string text;
  std::optional<FinishReason> finish;
};

/// One request's events, put together by choice.
struct Answers {
  std::map<std::int32_t, Answer> by_choice;
  SequenceUsage usage;
  std::optional<FinishReason> finish;
  int accepted = 0;

  void take(const std::vector<SequenceEvent>& events, SequenceHandle handle) {
    for (const SequenceEvent& event : events) {
      EXPECT_FALSE(Choices::is_own(event.handle)) << "handles of ours stay inside";
      if (event.handle != handle) continue;
      EXPECT_FALSE(finish.has_value()) << "an event behind the last one";
      accepted += event.accepted ? 1 : 0;
      usage = event.usage;
      finish = event.finish;
      if (event.choice == SequenceEvent::kWholeRequest) continue;
      Answer& answer = by_choice[event.choice];
      EXPECT_FALSE(answer.finish.has_value()) << "text behind the end of a choice";
      answer.text += event.reasoning + event.content;
      answer.finish = event.choice_finish;
    }
  }
};

Answers run(EngineHarness& h, SequenceHandle handle) {
  Answers answers;
  for (int step = 0; !h.engine->idle(); ++step) {
    EXPECT_LT(step, 10000);
    if (step >= 10000) break;
    answers.take(h.engine->step(), handle);
  }
  EXPECT_EQ(h.engine->kv_pool().blocks_used(), 0);
  return answers;
}

GenerateRequest several(SequenceHandle handle, std::int32_t n, std::string text, std::int32_t max_tokens) {
  auto request = raw_request(handle, std::move(text), max_tokens);
  request.sampling.n = n;
  request.sampling.seed = 4;
  return request;
}

auto unending() {
  return [](FakeBackend& backend) { backend.end_chance = backend.think_end_chance = 0; };
}

TEST(Choices, SeveralAnswersComeFromOnePromptAndOneBill) {
  EngineHarness h(roomy(), unending());
  ASSERT_TRUE(h.engine->submit(several(1, 4, std::string(150, 'p'), 20)));
  const Answers answers = run(h, 1);
  EXPECT_EQ(answers.accepted, 1);
  EXPECT_EQ(answers.finish, FinishReason::kLength);
  ASSERT_EQ(answers.by_choice.size(), 4U);
  std::set<std::string> texts;
  for (const auto& [choice, answer] : answers.by_choice) {
    EXPECT_EQ(answer.finish, FinishReason::kLength) << choice;
    texts.insert(answer.text);
  }
  EXPECT_EQ(texts.size(), 4U) << "each has a seed of its own";
  EXPECT_EQ(answers.usage.prompt_tokens, 151) << "counted once";
  EXPECT_EQ(answers.usage.completion_tokens, 80);
  // 128 of the prompt's tokens lie in full blocks, which the others share; its rest they compute again.
  EXPECT_EQ(h.backend->tokens_total, 151 + 3 * (151 - 128) + 4 * 19);
  EXPECT_EQ(h.engine->load().prompt_tokens_total, 151);
}

TEST(Choices, TheFirstOfSeveralIsTheOnlyOneOfOne) {
  EngineHarness one(roomy(), unending());
  ASSERT_TRUE(one.engine->submit(several(1, 1, "hello", 30)));
  one.drain();
  EngineHarness many(roomy(), unending());
  ASSERT_TRUE(many.engine->submit(several(1, 3, "hello", 30)));
  EXPECT_EQ(run(many, 1).by_choice[0].text, one.outcomes[1].content);
}

TEST(Choices, ASeededRequestRepeatsWhateverSurroundsIt) {
  EngineHarness quiet(roomy(), unending());
  ASSERT_TRUE(quiet.engine->submit(several(1, 5, std::string(100, 'p'), 60)));
  const Answers expected = run(quiet, 1);
  EngineLimits narrow{.schedule = {3, 20}, .waiting_max = 64, .kv_blocks = 8, .prefix_cache = false};
  for (const bool cache : {false, true}) {
    narrow.prefix_cache = cache;
    EngineHarness h(narrow, unending());
    ASSERT_TRUE(h.engine->submit(raw_request(9, std::string(70, 'q'), 100)));
    ASSERT_TRUE(h.engine->submit(several(1, 5, std::string(100, 'p'), 60)));
    const Answers answers = run(h, 1);
    ASSERT_EQ(answers.by_choice.size(), 5U);
    for (const auto& [choice, answer] : answers.by_choice) {
      EXPECT_EQ(answer.text, expected.by_choice.at(choice).text) << choice;
    }
    EXPECT_EQ(answers.usage.completion_tokens, expected.usage.completion_tokens);
  }
}

TEST(Choices, ACancelEndsAllOfThemAtOnce) {
  for (const int steps : {0, 1, 2, 8}) {
    EngineHarness h(roomy(), unending());
    ASSERT_TRUE(h.engine->submit(several(1, 4, std::string(150, 'p'), 200)));
    Answers answers;
    for (int n = 0; n < steps; ++n) answers.take(h.engine->step(), 1);
    h.engine->cancel(1);
    const auto events = h.engine->step();
    ASSERT_EQ(events.size(), 1U) << steps;
    answers.take(events, 1);
    EXPECT_EQ(answers.finish, FinishReason::kCancelled);
    EXPECT_TRUE(h.engine->idle());
    EXPECT_EQ(h.engine->kv_pool().blocks_used(), 0);
    EXPECT_EQ(answers.usage.completion_tokens > 0, steps > 0);
    EXPECT_EQ(answers.usage.prompt_tokens, steps > 0 ? 151 : 0);
  }
}

TEST(Choices, AFaultOfOneEndsTheRequest) {
  EngineHarness h(roomy(), unending());
  ASSERT_TRUE(h.engine->submit(several(1, 3, "hello", 50)));
  ASSERT_TRUE(h.engine->submit(raw_request(2, "other", 10)));
  Answers answers;
  for (int n = 0; n < 5; ++n) answers.take(h.engine->step(), 1);
  h.backend->fail_next_forward = Error(Code::kInternal, "numeric_fault", "bad", "batch[2]");
  const auto events = h.engine->step();
  answers.take(events, 1);
  EXPECT_EQ(answers.finish, FinishReason::kError);
  for (int step = 0; step < 100 && !h.engine->idle(); ++step) answers.take(h.engine->step(), 1);
  EXPECT_TRUE(h.engine->idle());
  EXPECT_EQ(h.engine->kv_pool().blocks_used(), 0);
}

TEST(Choices, TooManyAreRefusedByNameAndPlacesGoByRequests) {
  EngineHarness h({.schedule = {2, 64}, .waiting_max = 2, .kv_blocks = 8});
  for (const std::int32_t n : {0, -1, 17}) {
    const Status refused = h.engine->submit(several(1, n, "x", 5));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, "n");
  }
  ASSERT_TRUE(h.engine->submit(several(1, 5, "x", 5)));
  for (SequenceHandle handle = 2; handle <= 4; ++handle) {
    ASSERT_TRUE(h.engine->submit(raw_request(handle, "x", 5))) << "who used a credit has a place, whatever others want";
  }
  EXPECT_EQ(h.engine->submit(raw_request(5, "x", 5)).error().reason, "engine_full");
  EXPECT_EQ(run(h, 1).by_choice.size(), 5U);
  for (SequenceHandle handle = 11; handle <= 14; ++handle) {
    ASSERT_TRUE(h.engine->submit(raw_request(handle, "x", 5))) << "ended requests have given their places back";
  }
}

}  // namespace
}  // namespace tidegate::worker::choices_test
