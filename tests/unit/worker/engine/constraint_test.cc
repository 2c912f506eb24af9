#include "worker/engine/constraint.h"

#include <gmock/gmock.h>

#include "base/json/json.h"
#include "tests/unit/worker/engine/engine_harness.h"
#include "worker/engine/grammar/grammar.h"
#include "worker/engine/sim_engine.h"

namespace tidegate::worker {
namespace {

grammar::Grammar::Pointer schema(std::string_view text) {
  auto compiled = grammar::Grammar::from_json_schema(text);
  EXPECT_TRUE(compiled) << compiled.error().to_string();
  return compiled ? *std::move(compiled) : nullptr;
}

constexpr std::string_view kRecord = R"({"type":"object","properties":{"word":{"type":"string","maxLength":8},
  "count":{"type":"integer","minimum":0,"maximum":99},"flags":{"type":"array","items":{"type":"boolean"},"maxItems":3}},
  "required":["word","count","flags"]})";

// What kRecord asks for, looked at without the grammar.
void expect_record(const std::string& text) {
  const auto value = json::parse(text);
  ASSERT_TRUE(value) << text;
  ASSERT_TRUE(value->is_object()) << text;
  const json::object& record = value->get_object();
  ASSERT_EQ(record.size(), 3U) << text;
  EXPECT_TRUE(record.at("word").is_string()) << text;
  ASSERT_TRUE(record.at("count").is_int64()) << text;
  EXPECT_GE(record.at("count").get_int64(), 0);
  EXPECT_LE(record.at("count").get_int64(), 99);
  ASSERT_TRUE(record.at("flags").is_array()) << text;
  EXPECT_LE(record.at("flags").get_array().size(), 3U);
  for (const json::value& flag : record.at("flags").get_array()) EXPECT_TRUE(flag.is_bool()) << text;
}

GenerateRequest constrained(GenerateRequest request, grammar::Grammar::Pointer grammar) {
  request.constraint = std::move(grammar);
  return request;
}

TEST(Constraint, TheContentIsWhatTheSchemaSaysAndTheThinkingIsFree) {
  EngineHarness h(roomy());
  const auto record = schema(kRecord);
  for (SequenceHandle handle = 1; handle <= 40; ++handle) {
    auto request = constrained(user_request(handle, "写诗"), record);
    request.sampling.seed = handle;
    ASSERT_TRUE(h.engine->submit(std::move(request)));
  }
  h.drain();
  std::size_t thought = 0;
  for (const auto& [handle, outcome] : h.outcomes) {
    EXPECT_EQ(outcome.finish, FinishReason::kStop) << outcome.content;
    expect_record(outcome.content);
    thought += outcome.reasoning.size();
    // A token a byte, and the end token: every one is billed as it would be without a constraint.
    EXPECT_EQ(outcome.usage.completion_tokens,
              outcome.usage.reasoning_tokens + static_cast<std::int32_t>(outcome.content.size()) + 1);
  }
  EXPECT_GT(thought, 0U);
}

// Invariant E1: neighbours of a constrained sequence keep their bits, and so does it, preempted or not.
TEST(Constraint, NobodySaysAnythingElseInCompany) {
  const auto record = schema(kRecord);
  const auto request_of = [&](SequenceHandle handle) {
    auto request = user_request(handle, "春" + std::to_string(handle), 300);
    request.sampling.seed = handle * 7;
    if (handle % 4 == 0) request.sampling.temperature = 0;
    if (handle % 2 == 0) request.constraint = record;
    return request;
  };
  std::int64_t preemptions = 0;
  for (const std::int32_t blocks : {8, 9, 40}) {
    const auto endless = [](FakeBackend& backend) { backend.end_chance = 0; };
    EngineHarness crowded({.schedule = {6, 40}, .waiting_max = 32, .kv_blocks = blocks}, endless);
    EngineHarness alone({.schedule = {1, 512}, .waiting_max = 1, .kv_blocks = 8}, endless);
    for (SequenceHandle handle = 1; handle <= 12; ++handle) ASSERT_TRUE(crowded.engine->submit(request_of(handle)));
    crowded.drain();
    preemptions += crowded.engine->load().preemptions_total;
    for (SequenceHandle handle = 1; handle <= 12; ++handle) {
      ASSERT_TRUE(alone.engine->submit(request_of(handle)));
      alone.drain();
      EXPECT_EQ(crowded.outcomes[handle].reasoning, alone.outcomes[handle].reasoning);
      EXPECT_EQ(crowded.outcomes[handle].content, alone.outcomes[handle].content);
      EXPECT_EQ(crowded.outcomes[handle].finish, alone.outcomes[handle].finish);
      EXPECT_EQ(crowded.outcomes[handle].usage.completion_tokens, alone.outcomes[handle].usage.completion_tokens);
    }
  }
  EXPECT_GT(preemptions, 0) << "two free answers of five blocks each do not fit into eight";
}

TEST(Constraint, TheEndTokenComesWhereASentenceEndsAndNotBefore) {
  EngineHarness h(roomy(), [](FakeBackend& backend) { backend.always = FakeBackend::kEnd; });
  auto request = constrained(raw_request(1, "x"), schema(R"({"const":"ok"})"));
  request.sampling.temperature = 0;
  ASSERT_TRUE(h.engine->submit(std::move(request)));
  h.drain();
  EXPECT_EQ(h.outcomes[1].content, "\"ok\"");
  EXPECT_EQ(h.outcomes[1].finish, FinishReason::kStop);
  EXPECT_EQ(h.outcomes[1].usage.completion_tokens, 5);
}

TEST(Constraint, ThinkingIsNotTheEndOfAConstrainedAnswer) {
  EngineHarness h(roomy(), [](FakeBackend& backend) {
    backend.always = FakeBackend::kEnd;
    backend.think_end_chance = 256;
  });
  auto request = constrained(user_request(1, "x"), schema(R"({"const":null})"));
  request.sampling.temperature = 0;
  ASSERT_TRUE(h.engine->submit(std::move(request)));
  h.drain();
  EXPECT_EQ(h.outcomes[1].content, "null");
  EXPECT_EQ(h.outcomes[1].usage.reasoning_tokens, 1);
}

TEST(Constraint, ControlTokensHaveNoPlaceInJson) {
  EngineHarness h(roomy(), [](FakeBackend& backend) { backend.always = FakeBackend::kUser; });
  auto request = constrained(raw_request(1, "x"), schema(R"({"enum":[17]})"));
  request.sampling.temperature = 0;
  ASSERT_TRUE(h.engine->submit(std::move(request)));
  h.drain();
  EXPECT_EQ(h.outcomes[1].content, "17");
}

TEST(Constraint, MaxTokensCutsJsonAsItCutsText) {
  EngineHarness h(roomy());
  ASSERT_TRUE(h.engine->submit(constrained(raw_request(1, "x", 3), schema(R"({"const":"abcdef"})"))));
  h.drain();
  EXPECT_EQ(h.outcomes[1].content, "\"ab");
  EXPECT_EQ(h.outcomes[1].finish, FinishReason::kLength);
}

TEST(Constraint, AStopStringEndsJsonToo) {
  EngineHarness h(roomy());
  auto request = constrained(raw_request(1, "x"), schema(R"({"const":"abcdef"})"));
  request.sampling.stop = {"cd"};
  ASSERT_TRUE(h.engine->submit(std::move(request)));
  h.drain();
  EXPECT_EQ(h.outcomes[1].content, "\"ab");
  EXPECT_EQ(h.outcomes[1].finish, FinishReason::kStop);
  EXPECT_EQ(h.outcomes[1].stop_text, "cd");
}

TEST(Constraint, AnAnswerThatTheClientBeganGoesOnWhereItStands) {
  const auto object = schema(R"({"type":"object","properties":{"a":{"enum":[1]}},"required":["a"]})");
  EngineHarness h(roomy());
  auto request = constrained(user_request(1, "x"), object);
  request.messages.push_back({Role::kAssistant, "{\"a\":"});
  request.messages.back().begins_answer = true;
  ASSERT_TRUE(h.engine->submit(request));
  h.drain();
  EXPECT_THAT(h.outcomes[1].content, testing::AnyOf("1}", " 1}", "1 }", " 1 }"));

  request.handle = 2;
  request.messages.back().content = "Here you are: ";
  const Status refused = h.engine->submit(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "constraint_mismatch");
  EXPECT_TRUE(h.engine->idle());
}

TEST(Constraint, ACancelledAnswerFreesEverything) {
  EngineHarness h(roomy(), [](FakeBackend& backend) { backend.end_chance = 0; });
  const auto array = schema(R"({"type":"array","items":{"type":"integer"},"minItems":300})");
  ASSERT_TRUE(h.engine->submit(constrained(raw_request(1, "x", 400), array)));
  for (int step = 0; step < 5; ++step) collect(h.engine->step(), h.outcomes);
  h.engine->cancel(1);
  collect(h.engine->step(), h.outcomes);
  EXPECT_EQ(h.outcomes[1].finish, FinishReason::kCancelled);
  EXPECT_EQ(h.engine->kv_pool().blocks_used(), 0);
  EXPECT_TRUE(h.engine->idle());
  EXPECT_EQ(array.use_count(), 1) << "the sequence's share of the grammar is gone";
}

TEST(Constraint, TheSimulatedEngineDoesNotPretend) {
  test::SimClock clock;
  SimEngine engine(SimOptions{}, clock);
  const Status refused = engine.submit(constrained(user_request(1, "x"), grammar::Grammar::json_object()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "constraint_unsupported");
}

}  // namespace
}  // namespace tidegate::worker
