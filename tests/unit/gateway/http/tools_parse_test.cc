// Tools, calls, results and formats of a request, dialect by dialect.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "gateway/http/anthropic_parse.h"
#include "gateway/http/openai_chat_parse.h"
#include "gateway/http/responses_parse.h"

namespace tidegate::gateway::tools_parse_test {
namespace {

const std::string kSchema = R"({"type":"object","properties":{"city":{"type":"string"}}})";

std::string chat(const std::string& more, const std::string& content = "hi") {
  return R"({"model":"m","messages":[{"role":"user","content":")" + content + R"("}],)" + more + "}";
}
std::string messages(const std::string& more) {
  return R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}],)" + more + "}";
}
std::string responses(const std::string& more) { return R"({"model":"m","input":"hi",)" + more + "}"; }

template <typename T>
Error error_of(const Result<T>& read) {
  return read ? Error() : read.error();
}

TEST(ToolsParse, EveryDialectReadsTheSameTool) {
  const std::string inner = R"("name":"get_weather","description":"Weather of a city.",)";
  const auto a = parse_openai_chat(
      chat(R"("tools":[{"type":"function","function":{)" + inner + R"("parameters":)" + kSchema + R"(}}])"));
  const auto b = parse_anthropic_messages(messages(R"("tools":[{)" + inner + R"("input_schema":)" + kSchema + "}]"));
  const auto c = parse_responses(
      responses(R"("tools":[{"type":"function",)" + inner + R"("parameters":)" + kSchema + R"(,"strict":false}])"));
  for (const auto* plan : {&a, &b, &c}) {
    ASSERT_TRUE(*plan) << plan->error().to_string();
    ASSERT_EQ((*plan)->tools.size(), 1U);
    const PlanTool& tool = (*plan)->tools[0];
    EXPECT_EQ(tool.name, "get_weather");
    EXPECT_EQ(tool.description, "Weather of a city.");
    EXPECT_EQ(tool.parameters, kSchema);
    EXPECT_FALSE(tool.strict);
    EXPECT_EQ((*plan)->fields_ignored, 0);
  }
}

TEST(ToolsParse, EveryDialectHasEveryChoice) {
  const std::string tool = R"("tools":[{"type":"function","function":{"name":"f"}}],)";
  const std::string own = R"("tools":[{"name":"f"}],)";
  const std::string flat = R"("tools":[{"type":"function","name":"f"}],)";
  struct Case {
    Result<Plan> plan;
    ToolMode mode;
  };
  const Case cases[] = {
      {parse_openai_chat(chat(tool + R"("tool_choice":"auto")")), ToolMode::kAuto},
      {parse_openai_chat(chat(tool + R"("tool_choice":null)")), ToolMode::kAuto},
      {parse_openai_chat(chat(tool + R"("tool_choice":"none")")), ToolMode::kNone},
      {parse_openai_chat(chat(tool + R"("tool_choice":"required")")), ToolMode::kRequired},
      {parse_openai_chat(chat(tool + R"("tool_choice":{"type":"function","function":{"name":"f"}})")), ToolMode::kFunction},
      {parse_anthropic_messages(messages(own + R"("tool_choice":{"type":"auto"})")), ToolMode::kAuto},
      {parse_anthropic_messages(messages(own + R"("tool_choice":{"type":"none"})")), ToolMode::kNone},
      {parse_anthropic_messages(messages(own + R"("tool_choice":{"type":"any"})")), ToolMode::kRequired},
      {parse_anthropic_messages(messages(own + R"("tool_choice":{"type":"tool","name":"f"})")), ToolMode::kFunction},
      {parse_responses(responses(flat + R"("tool_choice":"none")")), ToolMode::kNone},
      {parse_responses(responses(flat + R"("tool_choice":"required")")), ToolMode::kRequired},
      {parse_responses(responses(flat + R"("tool_choice":{"type":"function","name":"f"})")), ToolMode::kFunction},
  };
  int number = 0;
  for (const Case& one : cases) {
    ASSERT_TRUE(one.plan) << number << ' ' << one.plan.error().to_string();
    EXPECT_EQ(one.plan->tool_choice.mode, one.mode) << number;
    EXPECT_EQ(one.plan->tool_choice.name, one.mode == ToolMode::kFunction ? "f" : "") << number;
    ++number;
  }
}

TEST(ToolsParse, OneCallAtATimeCanBeAskedFor) {
  const std::string tool = R"("tools":[{"type":"function","function":{"name":"f"}}],)";
  EXPECT_EQ(parse_openai_chat(chat(tool + R"("parallel_tool_calls":false)"))->parallel_tool_calls, false);
  EXPECT_EQ(parse_openai_chat(chat(tool + R"("temperature":1)"))->parallel_tool_calls, std::nullopt);
  const auto own = parse_anthropic_messages(
      messages(R"("tools":[{"name":"f"}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true})"));
  EXPECT_EQ(own->parallel_tool_calls, false);
}

TEST(ToolsParse, RefusalsNameTheFieldInEachDialect) {
  const std::tuple<Error, const char*, const char*> cases[] = {
      {error_of(parse_openai_chat(chat(R"("tools":[{"type":"custom","custom":{}}])"))), "tools[0].type", "unsupported_parameter"},
      {error_of(parse_openai_chat(chat(R"("tools":[{"type":"function"}])"))), "tools[0].function", "missing_field"},
      {error_of(parse_openai_chat(chat(R"("tools":[{"type":"function","function":{"name":"a b"}}])"))),
       "tools[0].function.name", "invalid_value"},
      {error_of(parse_openai_chat(chat(R"("tools":[{"type":"function","function":{"name":"f","parameters":[]}}])"))),
       "tools[0].function.parameters", "wrong_type"},
      {error_of(parse_openai_chat(chat(
           R"("tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object"}}}])"))),
       "tools[0].function.parameters.additionalProperties", "invalid_value"},
      {error_of(parse_openai_chat(chat(R"("tools":{})"))), "tools", "wrong_type"},
      {error_of(parse_openai_chat(chat(R"("tool_choice":"required")"))), "tool_choice", "invalid_value"},
      {error_of(parse_openai_chat(chat(R"("tool_choice":"sometimes")"))), "tool_choice", "invalid_value"},
      {error_of(parse_openai_chat(chat(R"("tool_choice":{"type":"allowed_tools"})"))), "tool_choice.type", "unsupported_parameter"},
      {error_of(parse_openai_chat(chat(R"("response_format":{"type":"grammar"})"))), "response_format.type", "unsupported_parameter"},
      {error_of(parse_openai_chat(chat(R"("response_format":{"type":"json_schema"})"))), "response_format.json_schema", "missing_field"},
      {error_of(parse_openai_chat(chat(R"("response_format":{"type":"json_schema","json_schema":{"name":"x"}})"))),
       "response_format.json_schema.schema", "missing_field"},
      {error_of(parse_anthropic_messages(messages(R"("tools":[{"name":"f","input_schema":{"type":"string"}}])"))),
       "tools[0].input_schema.type", "invalid_value"},
      {error_of(parse_anthropic_messages(messages(R"("tool_choice":{"type":"maybe"})"))), "tool_choice.type", "invalid_value"},
      {error_of(parse_responses(responses(R"("tools":[{"type":"function","name":"f","parameters":5}])"))),
       "tools[0].parameters", "wrong_type"},
      {error_of(parse_responses(responses(R"("text":{"format":{"type":"json_object"}})"))), "text.format", "invalid_value"},
  };
  for (const auto& [error, field, reason] : cases) {
    EXPECT_EQ(error.field, field) << error.to_string();
    EXPECT_EQ(error.reason, reason) << error.to_string();
    EXPECT_NE(error.message.find(field), std::string::npos) << error.message;
  }
}

TEST(ToolsParse, FormatsAreReadAndJsonObjectsNeedTheWord) {
  const auto schema = parse_openai_chat(
      chat(R"("response_format":{"type":"json_schema","json_schema":{"name":"city","schema":)" + kSchema + "}}"));
  ASSERT_TRUE(schema) << schema.error().to_string();
  EXPECT_EQ(schema->response_format.kind, FormatKind::kJsonSchema);
  EXPECT_EQ(schema->response_format.name, "city");
  EXPECT_EQ(schema->response_format.schema, kSchema);
  const auto flat = parse_responses(
      responses(R"("text":{"format":{"type":"json_schema","name":"city","schema":)" + kSchema + "}}"));
  ASSERT_TRUE(flat) << flat.error().to_string();
  EXPECT_EQ(flat->response_format.schema, kSchema);

  const std::string any = R"("response_format":{"type":"json_object"})";
  EXPECT_EQ(error_of(parse_openai_chat(chat(any))).field, "response_format");
  const auto asked = parse_openai_chat(chat(any, "Answer in Json."));
  ASSERT_TRUE(asked) << asked.error().to_string();
  EXPECT_EQ(asked->response_format.kind, FormatKind::kJsonObject);
}

TEST(ToolsParse, AChatsCallsAndResultsAreRead) {
  const auto plan = parse_openai_chat(
      R"({"model":"m","messages":[{"role":"user","content":"hi"},)"
      R"({"role":"assistant","content":null,"tool_calls":[)"
      R"({"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},)"
      R"({"id":"c2","type":"function","function":{"name":"g","arguments":""}}]},)"
      R"({"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"one"}]},)"
      R"({"role":"tool","tool_call_id":"c2","content":"two"}]})");
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->messages.size(), 4U);
  EXPECT_EQ(plan->messages[1].tool_calls,
            (std::vector<ToolCall>{{"c1", "f", R"({"a":1})"}, {"c2", "g", ""}}));
  EXPECT_EQ(plan->messages[2].role, Role::kTool);
  EXPECT_EQ(plan->messages[2].tool_call_id, "c1");
  EXPECT_EQ(plan->messages[2].content, "one");
}

TEST(ToolsParse, FunctionsOfTheOldKindAreToolsWithOneCallAnAnswer) {
  const auto asked = read_openai_chat(
      R"({"model":"m","messages":[{"role":"user","content":"hi"},)"
      R"({"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},)"
      R"({"role":"function","name":"f","content":"42"}],)"
      R"("functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"}})");
  ASSERT_TRUE(asked) << asked.error().to_string();
  EXPECT_TRUE(asked->is_legacy);
  const Plan& plan = asked->plan;
  EXPECT_EQ(plan.tools.size(), 1U);
  EXPECT_EQ(plan.tool_choice.mode, ToolMode::kFunction);
  EXPECT_EQ(plan.parallel_tool_calls, false);
  ASSERT_EQ(plan.messages.size(), 3U);
  EXPECT_EQ(plan.messages[2].tool_call_id, plan.messages[1].tool_calls.at(0).id);
  const auto both = read_openai_chat(
      chat(R"("tools":[{"type":"function","function":{"name":"f"}}],"functions":[{"name":"g"}])"));
  EXPECT_EQ(error_of(both).field, "functions");
  EXPECT_EQ(error_of(read_openai_chat(chat(R"("functions":[{"name":"a b"}])"))).field, "functions[0].name");
}

TEST(ToolsParse, AnthropicsBlocksBecomeCallsAndMessagesOfTheirOwn) {
  const auto plan = parse_anthropic_messages(
      R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"},)"
      R"({"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"Wait."},)"
      R"({"type":"tool_use","id":"t1","name":"f","input":{"x":0.5}},{"type":"tool_use","id":"t2","name":"g","input":{}}]},)"
      R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"one"}]},)"
      R"({"type":"tool_result","tool_use_id":"t2","is_error":true},{"type":"text","text":"and now?"}]}]})");
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->messages.size(), 5U);
  EXPECT_EQ(plan->messages[1].content, "Wait.");
  EXPECT_EQ(plan->messages[1].tool_calls, (std::vector<ToolCall>{{"t1", "f", R"({"x":0.5})"}, {"t2", "g", "{}"}}));
  EXPECT_FALSE(plan->messages[1].begins_answer);
  EXPECT_EQ(plan->messages[2].content, "one");
  EXPECT_EQ(plan->messages[3].role, Role::kTool);
  EXPECT_EQ(plan->messages[3].content, "");
  EXPECT_EQ(plan->messages[4].content, "and now?");
  EXPECT_EQ(plan->fields_ignored, 1) << "is_error: the text says it";
}

TEST(ToolsParse, ResponsesItemsBecomeOneMessageOfTheAssistant) {
  const auto plan = parse_responses(
      R"({"model":"m","input":[{"role":"user","content":"hi"},)"
      R"({"type":"reasoning","id":"rs_1","summary":[]},)"
      R"({"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Wait."}]},)"
      R"({"type":"function_call","id":"fc_1","status":"completed","call_id":"c1","name":"f","arguments":"{}"},)"
      R"({"type":"function_call","call_id":"c2","name":"g","arguments":"{}"},)"
      R"({"type":"function_call_output","call_id":"c2","output":"two"},)"
      R"({"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"one"}]},)"
      R"({"type":"function_call","call_id":"c3","name":"f","arguments":"{}"},)"
      R"({"type":"function_call_output","call_id":"c3","output":"three"}]})");
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->messages.size(), 6U);
  EXPECT_EQ(plan->messages[1].content, "Wait.");
  EXPECT_EQ(plan->messages[1].tool_calls.size(), 2U);
  EXPECT_EQ(plan->messages[2].tool_call_id, "c2");
  EXPECT_EQ(plan->messages[3].content, "one");
  EXPECT_EQ(plan->messages[4].role, Role::kAssistant);
  EXPECT_EQ(plan->fields_ignored, 0);
}

}  // namespace
}  // namespace tidegate::gateway::tools_parse_test
