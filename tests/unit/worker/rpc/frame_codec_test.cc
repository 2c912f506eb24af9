#include "worker/rpc/frame_codec.h"

#include <gmock/gmock.h>

namespace tidegate::worker {
namespace {

v1::StartSequence good_start() {
  v1::StartSequence start;
  start.set_sequence(7);
  start.set_budget_ms(1500);
  auto* message = start.add_messages();
  message->set_role("user");
  message->set_content("hello");
  start.mutable_sampling()->set_temperature(0);
  start.mutable_sampling()->set_max_tokens(12);
  start.mutable_sampling()->add_stop("\n\n");
  return start;
}

TEST(DecodeStart, CarriesEveryFieldAndKeepsUnsetOnesUnset) {
  const auto command = decode_start(good_start());
  ASSERT_TRUE(command);
  EXPECT_EQ(command->sequence, 7u);
  EXPECT_EQ(command->budget, std::chrono::milliseconds(1500));
  ASSERT_EQ(command->messages.size(), 1u);
  EXPECT_EQ(command->messages[0].role, Role::kUser);
  EXPECT_EQ(command->sampling.temperature, 0.0) << "greedy is not the same as unset";
  EXPECT_FALSE(command->sampling.top_p.has_value());
  EXPECT_FALSE(command->sampling.seed.has_value());
  EXPECT_EQ(command->sampling.max_tokens, 12);
  EXPECT_THAT(command->sampling.stop, ::testing::ElementsAre("\n\n"));
}

TEST(DecodeStart, TheCacheSaltIsThirtyTwoBytesOrNone) {
  auto start = good_start();
  EXPECT_FALSE(decode_start(start)->cache_salt.has_value());
  start.set_cache_salt(std::string(31, 'a') + "z");
  const auto command = decode_start(start);
  ASSERT_TRUE(command && command->cache_salt.has_value());
  EXPECT_EQ(command->cache_salt->front(), 'a');
  EXPECT_EQ(command->cache_salt->back(), 'z');
  start.set_cache_salt("short");
  EXPECT_EQ(decode_start(start).error().field, "cache_salt");
}

TEST(DecodeStart, ReadsToolsAndWritesTheirSchemasAsTemplatesDo) {
  auto start = good_start();
  auto* tool = start.add_tools();
  tool->set_name("f");
  tool->set_parameters_json(R"({"type":"object","properties":{}})");
  start.mutable_tool_choice()->set_mode(v1::ToolChoice::MODE_REQUIRED);
  start.set_parallel_tool_calls(false);
  start.mutable_response_format()->set_kind(v1::ResponseFormat::KIND_JSON_OBJECT);
  auto* called = start.add_messages();
  called->set_role("assistant");
  called->add_tool_calls()->set_id("c");
  auto* result = start.add_messages();
  result->set_role("tool");
  result->set_tool_call_id("c");
  const auto command = decode_start(start);
  ASSERT_TRUE(command) << command.error().to_string();
  ASSERT_EQ(command->offer.tools.size(), 1u);
  EXPECT_EQ(command->offer.tools[0].parameters, R"({"type": "object", "properties": {}})");
  EXPECT_EQ(command->offer.choice.mode, ToolChoice::Mode::kRequired);
  EXPECT_FALSE(command->offer.is_parallel);
  EXPECT_EQ(command->offer.format.kind, ResponseFormat::Kind::kJsonObject);
  EXPECT_EQ(command->messages[1].tool_calls.at(0).id, "c");
  EXPECT_EQ(command->messages[2].role, Role::kTool);
  EXPECT_TRUE(decode_start(good_start())->offer.is_parallel) << "unset";
  tool->set_parameters_json("[]");
  EXPECT_EQ(decode_start(start).error().field, "tools[0].parameters");
  for (int i = 0; i < kToolsMax; ++i) start.add_tools();
  EXPECT_EQ(decode_start(start).error().reason, "too_many_tools");
}

TEST(DecodeStart, ReadsPenaltiesBiasAndLogprobs) {
  auto start = good_start();
  const auto plain = decode_start(start);
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->sampling.logprobs.has_value());
  EXPECT_EQ(plain->sampling.repetition_penalty, 1) << "unset is off";
  auto& sampling = *start.mutable_sampling();
  sampling.set_logprobs(0);
  sampling.set_frequency_penalty(0.5);
  sampling.set_presence_penalty(-0.25);
  sampling.set_repetition_penalty(1.1);
  (*sampling.mutable_logit_bias())[17] = -100;
  const auto command = decode_start(start);
  ASSERT_TRUE(command);
  EXPECT_EQ(command->sampling.logprobs, 0) << "wanted, without alternatives";
  EXPECT_EQ(command->sampling.frequency_penalty, 0.5);
  EXPECT_EQ(command->sampling.presence_penalty, -0.25);
  EXPECT_EQ(command->sampling.repetition_penalty, 1.1);
  EXPECT_EQ(command->sampling.logit_bias.at(17), -100);
  for (int id = 0; id <= kBiasesMax; ++id) (*sampling.mutable_logit_bias())[id] = 1;
  EXPECT_EQ(decode_start(start).error().field, "logit_bias");
}

TEST(DecodeStart, OneAnswerUnlessMoreAreWanted) {
  auto start = good_start();
  EXPECT_EQ(decode_start(start)->sampling.n, 1);
  start.mutable_sampling()->set_n(3);
  EXPECT_EQ(decode_start(start)->sampling.n, 3);
}

TEST(EncodeFrame, TheEndOfOneOfSeveralAnswersTravels) {
  SessionFrame frame;
  frame.events.push_back({.sequence = 1, .choice = 2, .choice_finish = FinishReason::kStop, .stop_text = "END"});
  frame.events.push_back({.sequence = 1, .choice = SequenceEvent::kWholeRequest, .finish = FinishReason::kCancelled});
  const v1::WorkerFrame out = encode_frame(std::move(frame));
  EXPECT_EQ(out.events(0).choice(), 2);
  EXPECT_EQ(out.events(0).choice_finish(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(out.events(0).finish(), v1::FINISH_REASON_UNSPECIFIED);
  EXPECT_EQ(out.events(0).stop_text(), "END");
  EXPECT_EQ(out.events(1).choice(), 0);
  EXPECT_EQ(out.events(1).finish(), v1::FINISH_REASON_CANCELLED);
}

TEST(EncodeFrame, LogprobsAndWhatSpeculationDidTravel) {
  SessionFrame frame;
  frame.events.push_back({.sequence = 1,
                          .logprobs = {{.bytes = "\xE6", .logprob = -0.5, .top = {{"a", -0.5}, {"b", -1}}, .in_reasoning = true}},
                          .usage = {.drafted_tokens = 5, .accepted_tokens = 4, .device_us = 7'000'000'000}});
  const v1::WorkerFrame out = encode_frame(std::move(frame));
  ASSERT_EQ(out.events(0).logprobs_size(), 1);
  EXPECT_EQ(out.events(0).logprobs(0).token(), "\xE6") << "bytes, not text";
  EXPECT_EQ(out.events(0).logprobs(0).logprob(), -0.5);
  EXPECT_TRUE(out.events(0).logprobs(0).in_reasoning());
  ASSERT_EQ(out.events(0).logprobs(0).top_size(), 2);
  EXPECT_EQ(out.events(0).logprobs(0).top(1).token(), "b");
  EXPECT_EQ(out.events(0).usage().drafted_tokens(), 5);
  EXPECT_EQ(out.events(0).usage().accepted_tokens(), 4);
  EXPECT_EQ(out.events(0).usage().device_us(), 7'000'000'000);
}

TEST(DecodeStart, TextsToEmbedComeAloneAndNoneIsEmpty) {
  v1::StartSequence start;
  start.mutable_embed()->add_inputs()->set_text("a");
  start.mutable_embed()->add_inputs()->add_tokens(7);
  const auto command = decode_start(start);
  ASSERT_TRUE(command) << command.error().to_string();
  ASSERT_EQ(command->embed.size(), 2U);
  EXPECT_EQ(command->embed[0].text, "a");
  EXPECT_EQ(command->embed[1].tokens, (std::vector<TokenId>{7}));
  auto empty = start;
  empty.mutable_embed()->add_inputs();
  EXPECT_EQ(decode_start(empty).error().field, "input[2]");
  start.add_messages()->set_role("user");
  EXPECT_EQ(decode_start(start).error().field, "input");
}

TEST(EncodeHello, SaysWhatTheEngineCanDoAndNothingElse) {
  EngineFacts engine;
  EXPECT_EQ(encode_hello({}, engine, 1).abilities_size(), 0);
  engine.abilities = {.choices = true, .logit_bias = true};
  const v1::WorkerHello hello = encode_hello({}, engine, 1);
  ASSERT_EQ(hello.abilities_size(), 2);
  EXPECT_EQ(hello.abilities(0), v1::ABILITY_CHOICES);
  EXPECT_EQ(hello.abilities(1), v1::ABILITY_LOGIT_BIAS);
}

TEST(EncodeFrame, CallsAndTheirEndTravel) {
  SessionFrame frame;
  frame.events.push_back(
      {.sequence = 1, .tool_calls = {{0, "c", "f", "{}"}}, .finish = FinishReason::kToolCalls});
  const v1::WorkerFrame out = encode_frame(std::move(frame));
  EXPECT_EQ(out.events(0).tool_calls(0).name(), "f");
  EXPECT_EQ(out.events(0).finish(), v1::FINISH_REASON_TOOL_CALLS);
}

TEST(DecodeStart, RefusalNamesTheUsersField) {
  auto start = good_start();
  start.add_messages()->set_role("robot");
  EXPECT_EQ(decode_start(start).error().field, "messages[1].role");
  start = good_start();
  start.mutable_messages(0)->set_content("\xff");
  EXPECT_EQ(decode_start(start).error().field, "messages[0].content");
  start = good_start();
  start.mutable_sampling()->set_max_tokens(-1);
  EXPECT_EQ(decode_start(start).error().field, "max_tokens");
  start = good_start();
  for (int i = 0; i < kStopMax; ++i) start.mutable_sampling()->add_stop("x");
  EXPECT_EQ(decode_start(start).error().field, "stop");
  start = good_start();
  start.clear_messages();
  EXPECT_EQ(decode_start(start).error().field, "messages");
}

TEST(DecodeStart, ARawPromptComesAlone) {
  auto start = good_start();
  start.clear_messages();
  start.mutable_raw()->set_text("int main(");
  auto command = decode_start(start);
  ASSERT_TRUE(command);
  EXPECT_TRUE(command->messages.empty());
  ASSERT_TRUE(command->raw.has_value());
  EXPECT_EQ(command->raw->text, "int main(");
  EXPECT_FALSE(command->raw->suffix.has_value()) << "unset is not empty";
  start.mutable_raw()->set_suffix("}");
  EXPECT_EQ(decode_start(start)->raw->suffix, "}");

  start.mutable_raw()->set_suffix("\xff");
  EXPECT_EQ(decode_start(start).error().field, "suffix");
  start.mutable_raw()->set_text("\xff");
  EXPECT_EQ(decode_start(start).error().field, "prompt");
  start = good_start();
  start.mutable_raw()->set_text("x");
  EXPECT_EQ(decode_start(start).error().field, "messages");
}

TEST(DecodeStart, OnlyTheLastMessageOfTheAssistantBeginsTheAnswer) {
  auto start = good_start();
  auto* last = start.add_messages();
  last->set_role("assistant");
  last->set_content("Well, ");
  last->set_reasoning("plan");
  EXPECT_EQ(decode_start(start)->messages[1].reasoning, "") << "earlier thinking is no part of a prompt";
  last->set_prefix(true);
  const auto command = decode_start(start);
  ASSERT_TRUE(command);
  EXPECT_TRUE(command->messages[1].begins_answer);
  EXPECT_EQ(command->messages[1].reasoning, "plan");

  last->set_reasoning("\xff");
  EXPECT_EQ(decode_start(start).error().field, "messages[1].reasoning_content");
  last->set_reasoning("");
  last->set_role("user");
  EXPECT_EQ(decode_start(start).error().field, "messages[1].prefix");
  last->set_role("assistant");
  start.mutable_messages(0)->set_prefix(true);
  EXPECT_EQ(decode_start(start).error().field, "messages[0].prefix");
}

TEST(DecodeStart, NoThinkingIsAnAnswerThatHasBegunBehindAnEmptyOne) {
  auto start = good_start();
  start.set_thinking(true);
  EXPECT_EQ(decode_start(start)->messages.size(), 1U) << "as the model is used to";
  start.set_thinking(false);
  const auto command = decode_start(start);
  ASSERT_TRUE(command);
  ASSERT_EQ(command->messages.size(), 2U);
  EXPECT_EQ(command->messages[1].role, Role::kAssistant);
  EXPECT_TRUE(command->messages[1].begins_answer);
  EXPECT_TRUE(command->messages[1].ends_thinking);
  EXPECT_EQ(command->messages[1].content, "");

  auto* last = start.add_messages();
  last->set_role("assistant");
  last->set_reasoning("plan");
  last->set_prefix(true);
  const auto begun = decode_start(start);
  ASSERT_TRUE(begun);
  ASSERT_EQ(begun->messages.size(), 2U) << "the client's own beginning";
  EXPECT_TRUE(begun->messages[1].ends_thinking);
  EXPECT_EQ(begun->messages[1].reasoning, "plan");

  start = good_start();
  start.clear_messages();
  start.mutable_raw()->set_text("x");
  start.set_thinking(false);
  EXPECT_TRUE(decode_start(start)->messages.empty()) << "a raw prompt is never thought about";
}

TEST(DecodeStart, DeveloperIsSystem) {
  auto start = good_start();
  start.mutable_messages(0)->set_role("developer");
  EXPECT_EQ(decode_start(start)->messages[0].role, Role::kSystem);
}

TEST(EncodeFrame, FinishAndErrorTravelWhole) {
  SessionFrame frame{.step = 9, .credits_total = 4, .draining = true, .sequences_running = 2, .tokens_queued = 30};
  frame.tokens_prefilling = 12;
  frame.starts_seen = 3;
  frame.events.push_back({.sequence = 1,
                          .accepted = true,
                          .reasoning = "r",
                          .content = "c",
                          .usage = {.prompt_tokens = 5, .cached_tokens = 1, .completion_tokens = 3, .reasoning_tokens = 2},
                          .finish = FinishReason::kLength});
  frame.events.push_back({.sequence = 2,
                          .finish = FinishReason::kError,
                          .error = Error(Code::kInvalidArgument, "context_length_exceeded", "too long", "messages")});
  frame.events.push_back({.sequence = 3, .finish = FinishReason::kStop, .stop_text = "END"});
  const v1::WorkerFrame out = encode_frame(std::move(frame));
  EXPECT_EQ(out.step(), 9u);
  EXPECT_EQ(out.credits_total(), 4u);
  EXPECT_TRUE(out.draining());
  EXPECT_EQ(out.sequences_running(), 2);
  EXPECT_EQ(out.tokens_queued(), 30);
  EXPECT_EQ(out.tokens_prefilling(), 12);
  EXPECT_EQ(out.starts_seen(), 3u);
  ASSERT_EQ(out.events_size(), 3);
  EXPECT_EQ(out.events(0).finish(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(out.events(0).usage().reasoning_tokens(), 2);
  EXPECT_EQ(out.events(0).usage().cached_tokens(), 1);
  EXPECT_EQ(out.events(1).error_code(), "invalid_argument");
  EXPECT_EQ(out.events(1).error_reason(), "context_length_exceeded");
  EXPECT_EQ(out.events(1).error_field(), "messages");
  EXPECT_EQ(out.events(0).stop_text(), "");
  EXPECT_EQ(out.events(2).finish(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(out.events(2).stop_text(), "END");
}

}  // namespace
}  // namespace tidegate::worker
