#include "gateway/rpc/chat_codec.h"

#include <gtest/gtest.h>

namespace tidegate::gateway::chat_codec_test {
namespace {

v1::ChatRequest request() {
  v1::ChatRequest r;
  r.set_model("m");
  auto* message = r.add_messages();
  message->set_role("developer");
  message->set_content("be brief");
  return r;
}

TEST(ChatCodec, KeepsUnsetSamplingUnset) {
  const auto plan = decode_chat(request());
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->messages[0].role, Role::kSystem);
  EXPECT_FALSE(plan->sampling.temperature || plan->sampling.top_p || plan->sampling.seed || plan->sampling.top_k);
  EXPECT_TRUE(plan->is_stream);
  auto greedy = request();
  greedy.mutable_sampling()->set_temperature(0);
  EXPECT_EQ(decode_chat(greedy)->sampling.temperature, 0.0);
}

TEST(ChatCodec, ThinkingIsUnsetUntilItIsSaid) {
  EXPECT_FALSE(decode_chat(request())->thinking.has_value());
  auto quick = request();
  quick.set_thinking(false);
  EXPECT_EQ(decode_chat(quick)->thinking, std::optional<bool>(false));
}

TEST(ChatCodec, TheLastMessageMayBeginTheAnswer) {
  auto with_prefix = request();
  auto* last = with_prefix.add_messages();
  last->set_role("assistant");
  last->set_content("Well, ");
  last->set_reasoning("plan");
  EXPECT_EQ(decode_chat(with_prefix)->messages[1].reasoning, "") << "earlier thinking is no part of a plan";
  last->set_prefix(true);
  const auto plan = decode_chat(with_prefix);
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->messages[1].begins_answer);
  EXPECT_EQ(plan->messages[1].reasoning, "plan");
  with_prefix.mutable_messages(0)->set_prefix(true);
  EXPECT_EQ(decode_chat(with_prefix).error().field, "messages[0].prefix");
}

TEST(ChatCodec, RefusalsNameTheField) {
  auto bad = request();
  bad.mutable_messages(0)->set_role("robot");
  EXPECT_EQ(decode_chat(bad).error().field, "messages[0].role");
  bad = request();
  bad.mutable_sampling()->set_top_p(2);
  EXPECT_EQ(decode_chat(bad).error().field, "sampling.top_p");
  bad = request();
  bad.mutable_sampling()->set_max_tokens(-1);
  EXPECT_EQ(decode_chat(bad).error().field, "sampling.max_tokens");
  bad = request();
  bad.clear_messages();
  EXPECT_EQ(decode_chat(bad).error().field, "messages");
  bad = request();
  bad.clear_model();
  EXPECT_EQ(decode_chat(bad).error().field, "model");
}

TEST(ChatCodec, ChoicesLogprobsPenaltiesAndBiasAreRead) {
  auto asked = request();
  EXPECT_EQ(decode_chat(asked)->sampling.n, 1) << "zero is none";
  auto& sampling = *asked.mutable_sampling();
  sampling.set_n(3);
  sampling.set_logprobs(0);
  sampling.set_frequency_penalty(1);
  sampling.set_presence_penalty(-1);
  sampling.set_repetition_penalty(1.1);
  (*sampling.mutable_logit_bias())[7] = -100;
  const auto plan = decode_chat(asked);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->sampling.n, 3);
  EXPECT_EQ(plan->sampling.logprobs, 0);
  EXPECT_EQ(plan->sampling.frequency_penalty, 1);
  EXPECT_EQ(plan->sampling.presence_penalty, -1);
  EXPECT_EQ(plan->sampling.repetition_penalty, 1.1);
  EXPECT_EQ(plan->sampling.logit_bias.at(7), -100);
}

TEST(ChatCodec, WhatIsOutOfItsLimitsIsRefusedByName) {
  const auto refused = [](auto change) {
    auto asked = request();
    change(*asked.mutable_sampling());
    const auto plan = decode_chat(asked);
    return plan ? std::string("taken") : plan.error().field;
  };
  EXPECT_EQ(refused([](v1::SamplingParams& s) { s.set_logprobs(21); }), "sampling.logprobs");
  EXPECT_EQ(refused([](v1::SamplingParams& s) { s.set_n(17); }), "sampling.n");
  EXPECT_EQ(refused([](v1::SamplingParams& s) { s.set_n(-1); }), "sampling.n");
  EXPECT_EQ(refused([](v1::SamplingParams& s) { s.set_repetition_penalty(0); }), "sampling.repetition_penalty");
  EXPECT_EQ(refused([](v1::SamplingParams& s) { s.set_frequency_penalty(2.1); }), "sampling.frequency_penalty");
  EXPECT_EQ(refused([](v1::SamplingParams& s) { s.set_presence_penalty(-2.1); }), "sampling.presence_penalty");
  EXPECT_EQ(refused([](v1::SamplingParams& s) { (*s.mutable_logit_bias())[1] = 101; }), "sampling.logit_bias");
  EXPECT_EQ(refused([](v1::SamplingParams& s) { (*s.mutable_logit_bias())[-1] = 1; }), "sampling.logit_bias");
}

v1::ChatEvent part_of(std::int32_t choice, std::string content, std::string finish_reason = {}) {
  AnswerPart part;
  part.choice = choice;
  part.content = std::move(content);
  part.finish_reason = std::move(finish_reason);
  part.logprobs = {{.bytes = "\xe6", .logprob = -1, .top = {{"a", -2}}}};
  return encode_part(std::move(part));
}

TEST(ChatCodec, AnswersOfASlowReaderAreJoinedEachByItself) {
  auto last = part_of(0, "a");
  auto other = part_of(1, "x");
  auto more = part_of(1, "y", "stop");
  auto again = part_of(0, "b");
  for (auto* next : {&other, &more, &again}) ASSERT_TRUE(merge_events(last, *next));
  EXPECT_EQ(last.delta().content(), "ab");
  EXPECT_EQ(last.delta().logprobs_size(), 2);
  EXPECT_EQ(last.delta().finish_reason(), "");
  ASSERT_EQ(last.delta().more_size(), 1);
  EXPECT_EQ(last.delta().more(0).choice(), 1);
  EXPECT_EQ(last.delta().more(0).content(), "xy");
  EXPECT_EQ(last.delta().more(0).finish_reason(), "stop");
  EXPECT_EQ(last.delta().more(0).logprobs(1).top(0).token(), "a");
}

TEST(ChatCodec, ToolsResultsAndFormatsAreRead) {
  auto with_tools = request();
  auto* tool = with_tools.add_tools();
  tool->set_name("f");
  tool->set_parameters_json(R"({"type": "object"})");
  with_tools.mutable_tool_choice()->set_mode(v1::ToolChoice::MODE_FUNCTION);
  with_tools.mutable_tool_choice()->set_name("f");
  with_tools.set_parallel_tool_calls(false);
  auto* called = with_tools.add_messages();
  called->set_role("assistant");
  auto* call = called->add_tool_calls();
  call->set_id("c");
  call->set_name("f");
  auto* result = with_tools.add_messages();
  result->set_role("tool");
  result->set_tool_call_id("c");
  result->set_content("42");
  const auto plan = decode_chat(with_tools);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->tools.at(0).parameters, R"({"type":"object"})");
  EXPECT_EQ(plan->tool_choice.mode, ToolMode::kFunction);
  EXPECT_EQ(plan->parallel_tool_calls, false);
  EXPECT_EQ(plan->messages[2].tool_call_id, "c");
  tool->set_parameters_json("{");
  EXPECT_EQ(decode_chat(with_tools).error().field, "tools[0].parameters_json");
  auto formatted = request();
  formatted.mutable_response_format()->set_kind(v1::ResponseFormat::KIND_JSON_SCHEMA);
  EXPECT_EQ(decode_chat(formatted).error().field, "response_format.schema_json");
  formatted.mutable_response_format()->set_schema_json(R"({"type":"string"})");
  EXPECT_EQ(decode_chat(formatted)->response_format.kind, FormatKind::kJsonSchema);
}

TEST(ChatCodec, PiecesOfOneCallMerge) {
  auto last = encode_delta("", "", {{0, "c", "f", "{"}});
  auto next = encode_delta("", "", {{0, "", "", "}"}, {1, "d", "g", ""}});
  ASSERT_TRUE(merge_events(last, next));
  ASSERT_EQ(last.delta().tool_calls_size(), 2);
  EXPECT_EQ(last.delta().tool_calls(0).arguments(), "{}");
  EXPECT_EQ(last.delta().tool_calls(1).name(), "g");
}

TEST(ChatCodec, OnlyDeltasMerge) {
  auto last = encode_delta("a", "");
  auto next = encode_delta("b", "c");
  ASSERT_TRUE(merge_events(last, next));
  EXPECT_EQ(last.delta().reasoning(), "ab");
  EXPECT_EQ(last.delta().content(), "c");
  auto finished = encode_finished({}, ServiceTier::kFlex);
  EXPECT_FALSE(merge_events(last, finished));
  EXPECT_FALSE(merge_events(finished, last));
}

TEST(ChatCodec, KeptEventsComeBackAsTheyWereAndDamagedOnesDoNot) {
  std::string kept;
  append_event(kept, encode_delta("why", "a\xe6\x98\xa5"));
  append_event(kept, encode_finished({}, ServiceTier::kDefault));
  const auto read = read_kept(kept);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->events.size(), 2U);
  EXPECT_EQ(read->events[0].delta().content(), "a\xe6\x98\xa5");
  EXPECT_TRUE(read->events[1].has_finished());
  EXPECT_TRUE(read->end);
  EXPECT_EQ(read_kept("")->events.size(), 0U);
  for (std::size_t cut = 1; cut < 4; ++cut) EXPECT_FALSE(read_kept(kept.substr(0, cut))) << cut;
  EXPECT_FALSE(read_kept(kept.substr(0, kept.size() - 1)));
  EXPECT_FALSE(read_kept("\xff\xff\xff\xff rest"));
}

TEST(ChatCodec, AKeptFailureComesBackWholeAndLast) {
  const Error failure(Code::kUnavailable, "worker_lost", "The worker went away.\nTwice.", "model");
  std::string kept;
  append_event(kept, encode_delta("", "half"));
  append_failure(kept, failure);
  const auto read = read_kept(kept);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->events.size(), 1U);
  ASSERT_FALSE(read->end);
  EXPECT_EQ(read->end.error(), failure);
  append_event(kept, encode_delta("", "more"));
  EXPECT_FALSE(read_kept(kept)) << "nothing comes after an end";
}

TEST(ChatCodec, InternalWordsDoNotLeak) {
  const Error error = public_error(Error(Code::kInternal, "lease_null", "pointer 0x12"));
  EXPECT_EQ(error.code, Code::kInternal);
  EXPECT_EQ(error.message.find("0x12"), std::string::npos);
  EXPECT_EQ(public_error(Error(Code::kUnavailable, "worker_lost", "m")).reason, "worker_lost");
}

}  // namespace
}  // namespace tidegate::gateway::chat_codec_test
