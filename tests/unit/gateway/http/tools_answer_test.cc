// Calls in answers, dialect by dialect: exact bytes.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/json/json.h"
#include "gateway/http/anthropic_answer.h"
#include "gateway/http/chat_answer.h"
#include "gateway/http/responses_answer.h"
#include "tests/support/sequential_ids.h"
#include "tests/unit/gateway/http/stream_client.h"

namespace tidegate::gateway::tools_answer_test {
namespace {

using test::named_events_of;
using test::NamedEvent;
using test::names_of;

const std::string kRequest = "01956a3e-7c00-7000-8000-000000000001";

AnswerHead head() {
  AnswerHead h;
  h.request = RequestId{tidegate::test::SequentialIds::make(1)};
  h.model = "m";
  h.variant = "fp8";
  h.created = wall_from_unix_micros(1'795'300'000'000'000);
  h.accepted = {.prompt = 5};
  return h;
}

AnswerEnd end_with(std::string finish_reason, ToolCallDeltas calls = {}) {
  AnswerEnd end;
  end.finish_reason = std::move(finish_reason);
  end.tool_calls = std::move(calls);
  end.usage = {.prompt = 5, .completion = 2};
  end.settlement.amount = Money::parse("0.1").value();
  return end;
}

const ToolCallDeltas kFirst = {{0, "call_00_a", "get_date", ""}};
const ToolCallDeltas kRest = {{0, "", "", "{\"x\":"}, {0, "", "", "1}"}};
const ToolCallDeltas kSecond = {{1, "call_01_a", "stop", "{}"}};
const ToolCallDeltas kWhole = {{0, "call_00_a", "get_date", "{\"x\":1}"}, {1, "call_01_a", "stop", "{}"}};

/// Everything that a dialect says of an answer with two calls, without its opening.
template <typename Dialect>
std::string stream_of(Dialect& dialect) {
  std::string out;
  dialect.append_text(out, head(), "", "");
  out.clear();
  dialect.append_calls(out, head(), kFirst);
  dialect.append_calls(out, head(), kRest);
  dialect.append_calls(out, head(), kSecond);
  return out;
}

std::string chunk(const std::string& delta) {
  return R"(data: {"id":"chatcmpl-)" + kRequest +
         R"(","object":"chat.completion.chunk","created":1795300000,"model":"m","system_fingerprint":null,)"
         R"("choices":[{"index":0,"delta":{)" +
         delta + R"(},"logprobs":null,"finish_reason":null}]})" + "\n\n";
}

TEST(ToolsAnswer, AChatsFirstDeltaOfACallHasItsIdTypeAndNameAndLaterOnesTheirIndex) {
  ChatDialect dialect(false);
  EXPECT_EQ(
      stream_of(dialect),
      chunk(R"("tool_calls":[{"index":0,"id":"call_00_a","type":"function","function":{"name":"get_date","arguments":""}}])") +
          chunk(R"("tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}])") +
          chunk(R"("tool_calls":[{"index":0,"function":{"arguments":"1}"}}])") +
          chunk(R"("tool_calls":[{"index":1,"id":"call_01_a","type":"function","function":{"name":"stop","arguments":""}}])") +
          chunk(R"("tool_calls":[{"index":1,"function":{"arguments":"{}"}}])"));
  std::string out;
  dialect.append_end(out, head(), end_with("tool_calls"));
  EXPECT_NE(out.find(R"("delta":{},"logprobs":null,"finish_reason":"tool_calls")"), std::string::npos) << out;
}

TEST(ToolsAnswer, AWholeChatWithCallsOnlyHasNullContent) {
  ChatDialect dialect(false);
  const auto parsed = json::parse(dialect.body(head(), "", "", end_with("tool_calls", kWhole)));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  const json::value& choice = parsed->at("choices").at(0);
  EXPECT_TRUE(choice.at("message").at("content").is_null());
  EXPECT_EQ(choice.at("message").at("tool_calls"),
            json::parse(R"([{"id":"call_00_a","type":"function","function":{"name":"get_date","arguments":"{\"x\":1}"}},)"
                        R"({"id":"call_01_a","type":"function","function":{"name":"stop","arguments":"{}"}}])")
                .value());
  EXPECT_EQ(choice.at("finish_reason"), "tool_calls");
  const auto mixed = json::parse(dialect.body(head(), "", "Wait.", end_with("tool_calls", kWhole)));
  EXPECT_EQ(mixed->at("choices").at(0).at("message").at("content"), "Wait.");
}

TEST(ToolsAnswer, WhoAskedForFunctionsGetsAFunctionCall) {
  ChatDialect dialect(false, CallForm::kFunctionCall);
  EXPECT_EQ(stream_of(dialect), chunk(R"("function_call":{"name":"get_date","arguments":""})") +
                                    chunk(R"("function_call":{"arguments":"{\"x\":"})") +
                                    chunk(R"("function_call":{"arguments":"1}"})"));
  std::string out;
  dialect.append_end(out, head(), end_with("tool_calls"));
  EXPECT_NE(out.find(R"("finish_reason":"function_call")"), std::string::npos);
  ChatDialect whole(false, CallForm::kFunctionCall);
  const auto parsed = json::parse(whole.body(head(), "", "", end_with("tool_calls", {kWhole[0]})));
  const json::value& message = parsed->at("choices").at(0).at("message");
  EXPECT_EQ(message.at("function_call").at("arguments"), R"({"x":1})");
  EXPECT_FALSE(message.as_object().contains("tool_calls"));
}

TEST(ToolsAnswer, AnthropicsCallsAreBlocksWithPiecesOfJson) {
  AnthropicDialect dialect;
  const auto event = [](const std::string& name, const std::string& rest) {
    return "event: " + name + "\ndata: {\"type\":\"" + name + "\"" + rest + "}\n\n";
  };
  EXPECT_EQ(
      stream_of(dialect),
      event("content_block_start",
            R"(,"index":0,"content_block":{"type":"tool_use","id":"call_00_a","name":"get_date","input":{}})") +
          event("content_block_delta", R"(,"index":0,"delta":{"type":"input_json_delta","partial_json":"{\"x\":"})") +
          event("content_block_delta", R"(,"index":0,"delta":{"type":"input_json_delta","partial_json":"1}"})") +
          event("content_block_stop", R"(,"index":0)") +
          event("content_block_start",
                R"(,"index":1,"content_block":{"type":"tool_use","id":"call_01_a","name":"stop","input":{}})") +
          event("content_block_delta", R"(,"index":1,"delta":{"type":"input_json_delta","partial_json":"{}"})"));
  std::string out;
  dialect.append_end(out, head(), end_with("tool_calls"));
  EXPECT_TRUE(out.starts_with(event("content_block_stop", R"(,"index":1)"))) << out;
  EXPECT_NE(out.find(R"("stop_reason":"tool_use","stop_sequence":null)"), std::string::npos);
}

TEST(ToolsAnswer, TextBehindACallStandsBehindAllCallsOfAnthropicsAndResponses) {
  AnthropicDialect anthropic;
  ResponsesDialect responses((PlanSampling()));
  for (AnswerDialect* dialect : {static_cast<AnswerDialect*>(&anthropic), static_cast<AnswerDialect*>(&responses)}) {
    std::string out;
    dialect->append_text(out, head(), "", "Wait.");
    dialect->append_calls(out, head(), kFirst);
    dialect->append_text(out, head(), "", "late");
    dialect->append_calls(out, head(), kRest);
    dialect->append_calls(out, head(), kSecond);
    dialect->append_end(out, head(), end_with("tool_calls"));
    EXPECT_GT(out.find("late"), out.find("call_01_a")) << out;
    EXPECT_NE(out.find("late"), std::string::npos);
  }
}

TEST(ToolsAnswer, AnthropicsWholeInputIsAlwaysAnObject) {
  AnthropicDialect dialect;
  ToolCallDeltas calls = kWhole;
  calls[1].arguments = "{\"cut";
  const auto parsed = json::parse(dialect.body(head(), "hm", "Wait.", end_with("length", calls)));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  const json::value& content = parsed->at("content");
  EXPECT_EQ(content.as_array().size(), 4U);
  EXPECT_EQ(content.at(2).at("type"), "tool_use");
  EXPECT_EQ(content.at(2).at("input").at("x"), 1);
  EXPECT_EQ(content.at(3).at("input").at("INVALID_JSON"), "{\"cut");
  EXPECT_EQ(parsed->at("stop_reason"), "max_tokens") << "length wins";
}

TEST(ToolsAnswer, APieceOfNoCallIsNoItemOfResponses) {
  ResponsesDialect dialect((PlanSampling()));
  std::string out;
  dialect.append_text(out, head(), "", "");
  out.clear();
  dialect.append_calls(out, head(), kRest);
  EXPECT_EQ(out, "") << "its first piece, with id and name, is missing";
}

TEST(ToolsAnswer, ResponsesCallsAreItemsWhoseIdsAndArgumentsTheEndRepeats) {
  ResponsesDialect dialect((PlanSampling()));
  std::string out;
  dialect.append_calls(out, head(), kFirst);
  dialect.append_calls(out, head(), kRest);
  dialect.append_calls(out, head(), kSecond);
  dialect.append_end(out, head(), end_with("tool_calls"));
  const auto events = named_events_of(out);
  EXPECT_EQ(names_of(events),
            "response.created response.in_progress "
            "response.output_item.added response.function_call_arguments.delta response.function_call_arguments.delta "
            "response.function_call_arguments.done response.output_item.done "
            "response.output_item.added response.function_call_arguments.delta "
            "response.function_call_arguments.done response.output_item.done response.completed");
  const json::value& added = events[2].data.at("item");
  EXPECT_EQ(added.at("type"), "function_call");
  EXPECT_EQ(added.at("arguments"), "");
  EXPECT_EQ(added.at("call_id"), "call_00_a");
  EXPECT_EQ(events[3].data.at("item_id"), added.at("id"));
  EXPECT_FALSE(events[3].data.as_object().contains("content_index"));
  EXPECT_EQ(events[5].data.at("arguments"), "{\"x\":1}");
  const json::value& output = events.back().data.at("response").at("output");
  EXPECT_EQ(output.at(0).at("id"), added.at("id"));
  EXPECT_EQ(output.at(0).at("arguments"), "{\"x\":1}");
  EXPECT_EQ(output.at(1).at("name"), "stop");
  EXPECT_EQ(output.at(1).at("status"), "completed");

  ResponsesDialect whole((PlanSampling()));
  const auto body = json::parse(whole.body(head(), "", "", end_with("tool_calls", kWhole)));
  ASSERT_TRUE(body) << body.error().to_string();
  EXPECT_EQ(body->at("output"), output);
}

TEST(ToolsAnswer, AResponseSaysWhatItWasAskedOfToolsAndFormats) {
  Plan plan;
  plan.tools = {{"f", "long words", R"({"type":"object"})", true}};
  plan.tool_choice = {ToolMode::kFunction, "f"};
  plan.parallel_tool_calls = false;
  plan.response_format = {FormatKind::kJsonSchema, "x", R"({"type":"object"})", true};
  ResponsesDialect dialect(plan.sampling, echo_of(plan));
  const auto body = json::parse(dialect.body(head(), "", "x", end_with("stop")));
  ASSERT_TRUE(body) << body.error().to_string();
  EXPECT_FALSE(body->at("parallel_tool_calls").as_bool());
  EXPECT_EQ(body->at("tool_choice").at("name"), "f");
  EXPECT_EQ(body->at("tools").at(0).at("name"), "f");
  EXPECT_EQ(body->at("text").at("format").at("schema").at("type"), "object");
}

}  // namespace
}  // namespace tidegate::gateway::tools_answer_test
