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
