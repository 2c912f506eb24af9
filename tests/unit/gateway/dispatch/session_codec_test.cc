#include "gateway/dispatch/session_codec.h"

#include <gtest/gtest.h>

#include "tests/support/sequential_ids.h"

namespace tidegate::gateway {
namespace {

TEST(SessionCodec, StartCarriesThePlanAndNothingUnset) {
  Plan plan;
  plan.messages = {{Role::kSystem, "s"}, {Role::kUser, "u"}};
  plan.sampling.temperature = 0;
  plan.sampling.stop = {"x"};
  SequenceRequest request;
  request.request = RequestId{tidegate::test::SequentialIds::make(7)};
  request.plan = &plan;
  request.max_tokens = 99;
  const auto start = encode_start(3, request, "salt", std::chrono::milliseconds(1'500));
  EXPECT_EQ(start.sequence(), 3U);
  EXPECT_EQ(start.request_id(), request.request.raw());
  EXPECT_EQ(start.cache_salt(), "salt");
  EXPECT_EQ(start.messages(0).role(), "system");
  EXPECT_EQ(start.messages(1).content(), "u");
  EXPECT_TRUE(start.sampling().has_temperature());
  EXPECT_FALSE(start.sampling().has_top_p());
  EXPECT_FALSE(start.sampling().has_seed());
  EXPECT_EQ(start.sampling().max_tokens(), 99);
  EXPECT_EQ(start.sampling().stop(0), "x");
  EXPECT_EQ(start.budget_ms(), 1'500);
}

TEST(SessionCodec, WhetherToThinkTravelsOnlyWhenItWasSaid) {
  Plan plan;
  plan.messages = {{Role::kUser, "u"}};
  SequenceRequest request;
  request.plan = &plan;
  EXPECT_FALSE(encode_start(3, request, "salt", {}).has_thinking());
  plan.thinking = false;
  const auto start = encode_start(3, request, "salt", {});
  EXPECT_TRUE(start.has_thinking());
  EXPECT_FALSE(start.thinking());
}

TEST(SessionCodec, TheEventThatEndsAnAnswerKeepsItsTextAndEveryCount) {
  v1::SequenceEvent event;
  event.set_content("last words");
  event.set_finish(v1::FINISH_REASON_STOP);
  event.mutable_usage()->set_prompt_tokens(10);
  event.mutable_usage()->set_cached_tokens(4);
  event.mutable_usage()->set_completion_tokens(7);
  event.mutable_usage()->set_reasoning_tokens(3);
  event.mutable_usage()->set_drafted_tokens(6);
  event.mutable_usage()->set_accepted_tokens(5);
  event.mutable_usage()->set_device_us(7'000'000'000);
  const SequenceDelta delta = decode_event(event);
  EXPECT_EQ(delta.content, "last words");
  EXPECT_EQ(delta.end, SequenceEnd::kStop);
  EXPECT_EQ(delta.usage, (TokenUsage{.prompt = 10, .cached = 4, .completion = 7, .reasoning = 3, .drafted = 6,
                                     .accepted = 5, .device_us = 7'000'000'000}));
}

TEST(SessionCodec, WhatAWorkerSaysItTookIsNeverNegative) {
  v1::SequenceEvent event;
  event.mutable_usage()->set_drafted_tokens(-1);
  event.mutable_usage()->set_accepted_tokens(-1);
  event.mutable_usage()->set_device_us(-1);
  EXPECT_EQ(decode_event(event).usage, TokenUsage{});
}

TEST(SessionCodec, AnEventIsTakenApartOrOnlyRead) {
  v1::SequenceEvent event;
  event.set_reasoning("a thought");
  const SequenceDelta read = decode_event(event);
  EXPECT_EQ(event.reasoning(), "a thought") << "only read";
  const SequenceDelta taken = decode_event(std::move(event));
  for (const SequenceDelta& delta : {read, taken}) {
    EXPECT_EQ(delta.reasoning, "a thought");
    EXPECT_EQ(delta.content, "");
    EXPECT_EQ(delta.stop_text, "");
    EXPECT_FALSE(delta.end);
  }
}

TEST(SessionCodec, ChoicesAndWhatTheirTokensWeighTravelBothWays) {
  Plan plan;
  plan.messages = {{Role::kUser, "u"}};
  SequenceRequest request;
  request.plan = &plan;
  EXPECT_EQ(encode_start(3, request, "salt", {}).sampling().n(), 0) << "one is not worth saying";
  EXPECT_FALSE(encode_start(3, request, "salt", {}).sampling().has_logprobs());
  plan.sampling.n = 4;
  plan.sampling.logprobs = 0;
  plan.sampling.presence_penalty = 0.5;
  plan.sampling.logit_bias[9] = -3;
  const auto start = encode_start(3, request, "salt", {});
  EXPECT_EQ(start.sampling().n(), 4);
  EXPECT_TRUE(start.sampling().has_logprobs());
  EXPECT_EQ(start.sampling().presence_penalty(), 0.5);
  EXPECT_EQ(start.sampling().logit_bias().at(9), -3);
  v1::SequenceEvent event;
  event.set_choice(2);
  event.set_choice_finish(v1::FINISH_REASON_LENGTH);
  auto* token = event.add_logprobs();
  token->set_token("\xe6");
  token->set_logprob(-1);
  token->add_top()->set_token("a");
  const SequenceDelta delta = decode_event(event);
  EXPECT_EQ(delta.choice, 2);
  EXPECT_EQ(delta.choice_end, SequenceEnd::kLength);
  EXPECT_FALSE(delta.end.has_value());
  EXPECT_EQ(delta.logprobs.at(0).bytes, "\xe6");
  EXPECT_EQ(delta.logprobs.at(0).top.at(0).bytes, "a");
}

TEST(SessionCodec, TextsToEmbedAndTheirVectorsTravel) {
  Plan plan;
  plan.embed = {{"a"}, {"", {5, 6}}};
  SequenceRequest request;
  request.plan = &plan;
  const auto start = encode_start(3, request, "salt", {});
  ASSERT_EQ(start.embed().inputs_size(), 2);
  EXPECT_EQ(start.embed().inputs(0).text(), "a");
  EXPECT_EQ(start.embed().inputs(1).tokens(1), 6);
  EXPECT_EQ(start.messages_size(), 0);
  v1::SequenceEvent event;
  event.set_choice(1);
  event.add_embedding(0.5F);
  event.set_choice_finish(v1::FINISH_REASON_STOP);
  const SequenceDelta delta = decode_event(event);
  EXPECT_EQ(delta.embedding, (std::vector<float>{0.5F}));
  EXPECT_EQ(delta.choice, 1);
}

TEST(SessionCodec, AbilitiesOfALaterBuildAreNotOurs) {
  v1::WorkerHello hello;
  EXPECT_EQ(decode_abilities(hello), AbilitySet());
  hello.add_abilities(v1::ABILITY_LOGPROBS);
  hello.add_abilities(static_cast<v1::Ability>(999));
  EXPECT_EQ(decode_abilities(hello), AbilitySet{Ability::kLogprobs});
}

TEST(SessionCodec, ARawPromptTravelsInsteadOfMessages) {
  Plan plan;
  plan.raw = RawPrompt{.text = "a", .suffix = "b"};
  SequenceRequest request;
  request.plan = &plan;
  auto start = encode_start(3, request, "salt", {});
  EXPECT_EQ(start.messages_size(), 0);
  EXPECT_EQ(start.raw().text(), "a");
  EXPECT_EQ(start.raw().suffix(), "b");
  plan.raw->suffix.reset();
  start = encode_start(3, request, "salt", {});
  EXPECT_FALSE(start.raw().has_suffix());
}

TEST(SessionCodec, OnlyAMessageThatBeginsTheAnswerCarriesItsThinking) {
  Plan plan;
  plan.messages = {{Role::kUser, "u"}, {Role::kAssistant, "a"}};
  plan.messages[1].reasoning = "r";
  SequenceRequest request;
  request.plan = &plan;
  EXPECT_EQ(encode_start(3, request, "salt", {}).messages(1).reasoning(), "");
  plan.messages[1].begins_answer = true;
  const auto start = encode_start(3, request, "salt", {});
  EXPECT_FALSE(start.has_raw());
  EXPECT_FALSE(start.messages(0).prefix());
  EXPECT_TRUE(start.messages(1).prefix());
  EXPECT_EQ(start.messages(1).reasoning(), "r");
}

TEST(SessionCodec, AWorkersErrorKeepsItsCodeAndUnknownOnesAreInternal) {
  v1::SequenceEvent event;
  event.set_finish(v1::FINISH_REASON_ERROR);
  event.set_error_code("invalid_argument");
  event.set_error_reason("context_length_exceeded");
  event.set_error_field("messages");
  EXPECT_EQ(decode_event(event).error.code, Code::kInvalidArgument);
  EXPECT_EQ(decode_event(event).error.field, "messages");
  // A worker may not make a client believe that its key or its money is the problem.
  event.set_error_code("unauthenticated");
  EXPECT_EQ(decode_event(event).error.code, Code::kUnknown);
}

TEST(SessionCodec, TheStopStringThatEndedAnAnswerIsKept) {
  v1::SequenceEvent event;
  event.set_finish(v1::FINISH_REASON_STOP);
  EXPECT_EQ(decode_event(event).stop_text, "");
  event.set_stop_text("END");
  EXPECT_EQ(decode_event(event).end, SequenceEnd::kStop);
  EXPECT_EQ(decode_event(event).stop_text, "END");
}

TEST(SessionCodec, ToolsCallsAndFormatsTravelAndNothingUnset) {
  Plan plan;
  plan.messages = {{Role::kUser, "u"}, {Role::kAssistant, ""}, {Role::kTool, "42"}};
  plan.messages[1].tool_calls = {{"c", "f", "{}"}};
  plan.messages[2].tool_call_id = "c";
  SequenceRequest request;
  request.plan = &plan;
  auto start = encode_start(3, request, "salt", {});
  EXPECT_EQ(start.messages(1).tool_calls(0).name(), "f");
  EXPECT_EQ(start.messages(2).role(), "tool");
  EXPECT_EQ(start.messages(2).tool_call_id(), "c");
  EXPECT_FALSE(start.has_tool_choice() || start.has_response_format() || start.has_parallel_tool_calls());
  plan.tools = {{"f", "d", "{}", true}};
  plan.tool_choice = {ToolMode::kFunction, "f"};
  plan.parallel_tool_calls = false;
  plan.response_format = {FormatKind::kJsonSchema, "n", "{}", true};
  start = encode_start(3, request, "salt", {});
  EXPECT_EQ(start.tools(0).parameters_json(), "{}");
  EXPECT_TRUE(start.tools(0).strict());
  EXPECT_EQ(start.tool_choice().mode(), v1::ToolChoice::MODE_FUNCTION);
  EXPECT_TRUE(start.has_parallel_tool_calls());
  EXPECT_EQ(start.response_format().schema_json(), "{}");
}

TEST(SessionCodec, PiecesOfCallsAndTheirEndAreRead) {
  v1::SequenceEvent event;
  auto* piece = event.add_tool_calls();
  piece->set_index(1);
  piece->set_id("c");
  piece->set_name("f");
  piece->set_arguments("{");
  event.set_finish(v1::FINISH_REASON_TOOL_CALLS);
  const SequenceDelta delta = decode_event(event);
  EXPECT_EQ(delta.tool_calls, (ToolCallDeltas{{1, "c", "f", "{"}}));
  EXPECT_EQ(delta.end, SequenceEnd::kToolCalls);
}

TEST(SessionCodec, RoutesCarryPoolsThatAreOfferedWithoutAWorker) {
  v1::Routes routes;
  routes.set_term(3);
  routes.set_version(4);
  routes.add_models("m");
  auto* from = routes.add_offers();
  from->set_model("m");
  from->set_region("eu");
  from->set_pool("gpu");
  from->set_context_max(8'192);
  const RouteSnapshot snapshot = decode_routes(routes);
  EXPECT_TRUE(snapshot.routes.empty());
  ASSERT_EQ(snapshot.offers.size(), 1U);
  EXPECT_EQ(snapshot.offers[0], (ServingPool{"m", "eu", "gpu", 8'192}));
}

TEST(SessionCodec, FramesMergeUntilTheyAreTooLarge) {
  v1::GatewayFrame last, next;
  last.add_start()->set_sequence(1);
  next.add_start()->set_sequence(2);
  next.add_cancel(1);
  ASSERT_TRUE(merge_frames(last, next));
  EXPECT_EQ(last.start_size(), 2);
  EXPECT_EQ(last.cancel_size(), 1);

  v1::GatewayFrame large;
  large.add_start()->add_messages()->set_content(std::string(kFrameBytesMax, 'x'));
  EXPECT_FALSE(merge_frames(last, large));
  EXPECT_EQ(large.start_size(), 1) << "untouched when refused";
}

}  // namespace
}  // namespace tidegate::gateway
