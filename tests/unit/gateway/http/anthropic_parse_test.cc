#include "gateway/http/anthropic_parse.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace tidegate::gateway::anthropic_parse_test {
namespace {

/// A valid request with `more` fields behind the required ones.
std::string body(const std::string& more = "") {
  return R"({"model":"tang-moe","max_tokens":64,"messages":[{"role":"user","content":"hi"}])" +
         (more.empty() ? "" : "," + more) + "}";
}
std::string with_messages(const std::string& messages) {
  return R"({"model":"m","max_tokens":1,"messages":)" + messages + "}";
}

Error error_of(const std::string& text) {
  const auto plan = parse_anthropic_messages(text);
  return plan ? Error() : plan.error();
}

TEST(AnthropicParse, TakesEverythingItServes) {
  const auto plan = parse_anthropic_messages(body(
      R"("system":"be brief","stream":true,"temperature":0.5,"top_p":0.9,"top_k":40,"seed":7,)"
      R"("stop_sequences":["a","b"],"metadata":{"user_id":"u1"},"thinking":{"type":"enabled","budget_tokens":1024},)"
      R"("output_config":{"effort":"high"})"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->model, "tang-moe");
  EXPECT_TRUE(plan->is_stream);
  EXPECT_TRUE(plan->include_usage);
  EXPECT_EQ(plan->sampling.max_tokens, 64);
  EXPECT_EQ(plan->sampling.temperature, 0.5);
  EXPECT_EQ(plan->sampling.top_p, 0.9);
  EXPECT_EQ(plan->sampling.top_k, 40);
  EXPECT_EQ(plan->sampling.seed, 7U);
  EXPECT_EQ(plan->sampling.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(plan->end_user, "u1");
  ASSERT_EQ(plan->messages.size(), 2U);
  EXPECT_EQ(plan->messages[0].role, Role::kSystem);
  EXPECT_EQ(plan->messages[0].content, "be brief");
  EXPECT_EQ(plan->messages[1].role, Role::kUser);
  EXPECT_EQ(plan->fields_ignored, 1) << "budget_tokens: thinking has no budget of its own";
}

TEST(AnthropicParse, NullMeansAbsent) {
  const auto plan = parse_anthropic_messages(
      body(R"("system":null,"stream":null,"temperature":null,"top_p":null,"top_k":null,"stop_sequences":null,)"
           R"("metadata":null,"thinking":null,"output_config":null,"tools":null,"container":null)"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_FALSE(plan->is_stream);
  EXPECT_FALSE(plan->sampling.temperature.has_value());
  EXPECT_EQ(plan->messages.size(), 1U);
  EXPECT_EQ(plan->end_user, "");
}

TEST(AnthropicParse, HarmlessValuesOfUnsupportedFieldsPass) {
  EXPECT_TRUE(parse_anthropic_messages(
      body(R"("tools":[],"tool_choice":{"type":"auto"},"service_tier":"auto","speed":"standard","mcp_servers":[],)"
           R"("thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"max","format":null},)"
           R"("inference_geo":null,"metadata":{"user_id":null})")));
  EXPECT_TRUE(parse_anthropic_messages(body(R"("tool_choice":{"type":"none"},"service_tier":"standard_only")")));
}

TEST(AnthropicParse, AutoIsTheBestTierThereIs) {
  EXPECT_EQ(parse_anthropic_messages(body(R"("service_tier":"auto")"))->tier, ServiceTier::kPriority);
  EXPECT_EQ(parse_anthropic_messages(body(R"("service_tier":"standard_only")"))->tier, ServiceTier::kDefault);
  EXPECT_FALSE(parse_anthropic_messages(body(R"("service_tier":null)"))->names_tier);
  const auto wrong = parse_anthropic_messages(body(R"("service_tier":"priority")"));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().reason, "invalid_value");
  EXPECT_EQ(wrong.error().field, "service_tier");
}

TEST(AnthropicParse, MeaningfulUnsupportedFieldsAreRefusedByName) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"tools", R"([{"type":"web_search_20250305","name":"web_search"}])", "tools[0].type"},
      {"mcp_servers", R"([{"url":"x"}])", "mcp_servers"},
      {"container", R"("c1")", "container"},
      {"inference_geo", R"("us")", "inference_geo"},
      {"speed", R"("fast")", "speed"},
      {"thinking", R"({"type":"adaptive","display":"omitted"})", "thinking.display"},
      {"output_config", R"({"format":{"type":"json_schema","schema":{}}})", "output_config.format"},
      {"output_config", R"({"effort":"endless"})", "output_config.effort"},
  };
  for (const auto& [name, value, field] : cases) {
    const Error error = error_of(body(std::string("\"") + name + "\":" + value));
    EXPECT_EQ(error.code, Code::kInvalidArgument) << name;
    EXPECT_EQ(error.reason, "unsupported_parameter") << name << value;
    EXPECT_EQ(error.field, field);
    EXPECT_NE(error.message.find(field), std::string::npos) << error.message;
  }
}

TEST(AnthropicParse, FieldsThatOnlySteerWhatIsNotHereAreIgnoredAndCounted) {
  const auto plan = parse_anthropic_messages(
      body(R"("cache_control":{"type":"ephemeral"},"context_management":{"edits":[]},"whatever":1,)"
           R"("metadata":{"user_id":"u1","more":1})"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->fields_ignored, 4);
}

TEST(AnthropicParse, ThinkingCanBeSwitchedOff) {
  const auto off = parse_anthropic_messages(body(R"("thinking":{"type":"disabled"})"));
  ASSERT_TRUE(off) << off.error().to_string();
  EXPECT_EQ(off->thinking, std::optional<bool>(false));
  EXPECT_EQ(parse_anthropic_messages(body(R"("thinking":{"type":"adaptive"})"))->thinking, std::optional<bool>(true));
  EXPECT_FALSE(parse_anthropic_messages(body(""))->thinking.has_value());
}

TEST(AnthropicParse, MaxTokensIsRequiredAndBounded) {
  const Error missing = error_of(R"({"model":"m","messages":[{"role":"user","content":"x"}]})");
  EXPECT_EQ(missing.reason, "missing_field");
  EXPECT_EQ(missing.field, "max_tokens");
  for (const char* value : {"0", "-5", "393217"}) {
    const Error error =
        error_of(std::string(R"({"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":)") + value + "}");
    EXPECT_EQ(error.reason, "invalid_value") << value;
    EXPECT_EQ(error.field, "max_tokens");
    EXPECT_NE(error.message.find("1 and 393216"), std::string::npos) << error.message;
  }
}

TEST(AnthropicParse, RangesAreNamedWithFieldAndLimit) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {R"("temperature":2.01)", "temperature", "0 and 2"},
      {R"("temperature":-0.1)", "temperature", "0 and 2"},
      {R"("top_p":0)", "top_p", "greater than 0"},
      {R"("top_p":1.5)", "top_p", "at most 1"},
      {R"("top_k":-2)", "top_k", "0 (off)"},
      {R"("top_k":1000001)", "top_k", "1000000"},
      {R"("stop_sequences":[""])", "stop_sequences", "1 to 256"},
      {R"("thinking":{"type":"enabled","budget_tokens":0})", "thinking.budget_tokens", "at least 1"},
      {R"("thinking":{"type":"sometimes"})", "thinking.type", "'enabled', 'adaptive' or 'disabled'"},
  };
  for (const auto& [more, field, words] : cases) {
    const Error error = error_of(body(more));
    EXPECT_EQ(error.reason, "invalid_value") << more;
    EXPECT_EQ(error.field, field) << more;
    EXPECT_NE(error.message.find(words), std::string::npos) << error.message;
  }
  std::string many = R"("stop_sequences":["x")";
  for (int i = 0; i < 16; ++i) many += R"(,"x")";
  EXPECT_EQ(error_of(body(many + "]")).field, "stop_sequences");
  EXPECT_EQ(error_of(body("\"stop_sequences\":[\"" + std::string(257, 'x') + "\"]")).field, "stop_sequences");
  EXPECT_EQ(error_of(body(R"("metadata":{"user_id":")" + std::string(513, 'x') + "\"}")).field, "metadata.user_id");
  EXPECT_TRUE(parse_anthropic_messages(body(R"("metadata":{"user_id":")" + std::string(512, 'x') + "\"}")));
  EXPECT_EQ(parse_anthropic_messages(body(R"("top_k":-1)"))->sampling.top_k, 0);
}

TEST(AnthropicParse, WrongTypesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("temperature":"hot")", "temperature"},
      {R"("stream":1)", "stream"},
      {R"("top_k":true)", "top_k"},
      {R"("seed":"1")", "seed"},
      {R"("stop_sequences":"x")", "stop_sequences"},
      {R"("stop_sequences":["a",1])", "stop_sequences[1]"},
      {R"("metadata":"u1")", "metadata"},
      {R"("metadata":{"user_id":1})", "metadata.user_id"},
      {R"("thinking":true)", "thinking"},
      {R"("thinking":{"type":1})", "thinking.type"},
      {R"("thinking":{"type":"enabled","budget_tokens":"many"})", "thinking.budget_tokens"},
      {R"("output_config":[1])", "output_config"},
      {R"("system":5)", "system"},
      {R"("system":["x"])", "system[0]"},
  };
  for (const auto& [more, field] : cases) {
    const Error error = error_of(body(more));
    EXPECT_EQ(error.reason, "wrong_type") << more;
    EXPECT_EQ(error.field, field) << more;
  }
}

TEST(AnthropicParse, RequiredFieldsAreRequired) {
  EXPECT_EQ(error_of(R"({"max_tokens":1,"messages":[{"role":"user","content":"x"}]})").field, "model");
  EXPECT_EQ(error_of(R"({"model":"m","max_tokens":1})").field, "messages");
  EXPECT_EQ(error_of(R"({"model":"","max_tokens":1,"messages":[{"role":"user","content":"x"}]})").field, "model");
  EXPECT_EQ(error_of(with_messages("[]")).field, "messages");
  EXPECT_EQ(error_of(with_messages("{}")).field, "messages");
  EXPECT_EQ(error_of(R"({"model":"m","max_tokens":1,"system":"s","messages":[]})").field, "messages")
      << "instructions alone ask for nothing";
}

TEST(AnthropicParse, SystemAndContentAreStringsOrTextBlocks) {
  const auto plan = parse_anthropic_messages(
      R"({"model":"m","max_tokens":1,"system":[{"type":"text","text":"a"},{"type":"text","text":"b","cache_control":{}}],)"
      R"("messages":[{"role":"user","content":[{"type":"text","text":"c"},{"type":"text","text":"d"}]},)"
      R"({"role":"assistant","content":"e"},{"role":"user","content":"f"},{"role":"system","content":"g"},)"
      R"({"role":"user","content":""}]})");
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->messages.size(), 6U);
  EXPECT_EQ(plan->messages[0].role, Role::kSystem);
  EXPECT_EQ(plan->messages[0].content, "a\nb");
  EXPECT_EQ(plan->messages[1].content, "c\nd");
  EXPECT_EQ(plan->messages[2].role, Role::kAssistant);
  EXPECT_EQ(plan->messages[4].role, Role::kSystem);
  EXPECT_EQ(plan->fields_ignored, 1);
  EXPECT_EQ(parse_anthropic_messages(body(R"("system":[])"))->messages.size(), 1U);
  EXPECT_EQ(parse_anthropic_messages(body(R"("system":"")"))->messages.size(), 1U);
}

TEST(AnthropicParse, EarlierThinkingIsDropped) {
  const auto plan = parse_anthropic_messages(with_messages(
      R"([{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},)"
      R"({"type":"text","text":"b"},{"type":"redacted_thinking","data":"x"},{"type":"text","text":"c"}]},)"
      R"({"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"}]},{"role":"user","content":"d"}])"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->messages.size(), 4U);
  EXPECT_EQ(plan->messages[1].content, "b\nc");
  EXPECT_EQ(plan->messages[1].reasoning, "");
  EXPECT_EQ(plan->messages[2].content, "");
}

TEST(AnthropicParse, ALastTurnOfTheAssistantBeginsTheAnswer) {
  const auto plan = parse_anthropic_messages(with_messages(
      R"([{"role":"assistant","content":"earlier"},{"role":"user","content":"a"},)"
      R"({"role":"assistant","content":"Once upon"}])"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->messages.size(), 3U);
  EXPECT_FALSE(plan->messages[0].begins_answer);
  EXPECT_TRUE(plan->messages[2].begins_answer);
  EXPECT_EQ(plan->messages[2].content, "Once upon");
  EXPECT_EQ(plan->messages[2].reasoning, "");
}

TEST(AnthropicParse, ThinkingThatBeginsTheAnswerIsKept) {
  const auto plan = parse_anthropic_messages(with_messages(
      R"([{"role":"user","content":"a"},{"role":"assistant","content":[)"
      R"({"type":"thinking","thinking":"t","signature":"s"},)"
      R"({"type":"redacted_thinking","data":"x"},{"type":"text","text":"b"}]}])"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_TRUE(plan->messages[1].begins_answer);
  EXPECT_EQ(plan->messages[1].reasoning, "t");
  EXPECT_EQ(plan->messages[1].content, "b");
}

TEST(AnthropicParse, MessageErrorsNameTheirPlace) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {R"([5])", "messages[0]", "wrong_type"},
      {R"([{"content":"x"}])", "messages[0].role", "missing_field"},
      {R"([{"role":"robot","content":"x"}])", "messages[0].role", "invalid_value"},
      {R"([{"role":"tool","content":"x"}])", "messages[0].role", "invalid_value"},
      {R"([{"role":"user","content":"x"},{"role":"user"}])", "messages[1].content", "missing_field"},
      {R"([{"role":"user","content":null}])", "messages[0].content", "missing_field"},
      {R"([{"role":"user","content":5}])", "messages[0].content", "wrong_type"},
      {R"([{"role":"user","content":[]}])", "messages[0].content", "invalid_value"},
      {R"([{"role":"user","content":["x"]}])", "messages[0].content[0]", "wrong_type"},
      {R"([{"role":"user","content":[{"text":"x"}]}])", "messages[0].content[0].type", "missing_field"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text", "missing_field"},
      {R"([{"role":"user","content":[{"type":"text","text":1}]}])", "messages[0].content[0].text", "wrong_type"},
      {R"([{"role":"user","content":[{"type":"image","source":{}}]}])", "messages[0].content[0].type",
       "unsupported_parameter"},
      {R"([{"role":"user","content":[{"type":"text","text":"x"},{"type":"document","source":{}}]}])",
       "messages[0].content[1].type", "unsupported_parameter"},
      {R"([{"role":"user","content":[{"type":"tool_result"}]}])", "messages[0].content[0].tool_use_id", "missing_field"},
      {R"([{"role":"user","content":[{"type":"tool_result","tool_use_id":"1"}]}])", "messages", "invalid_value"},
      {R"([{"role":"user","content":[{"type":"thinking","thinking":"x"}]}])", "messages[0].content[0].type",
       "unsupported_parameter"},
      {R"([{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"1"}]}])",
       "messages[1].content[0].name", "missing_field"},
      {R"([{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"thinking","thinking":1}]}])",
       "messages[1].content[0].thinking", "wrong_type"},
  };
  for (const auto& [messages, field, reason] : cases) {
    const Error error = error_of(with_messages(messages));
    EXPECT_EQ(error.field, field) << messages;
    EXPECT_EQ(error.reason, reason) << messages;
  }
}

TEST(AnthropicParse, TooManyAndTooLongMessagesAreRefused) {
  std::string messages = "[";
  for (int i = 0; i < 2'049; ++i) messages += R"({"role":"user","content":"x"},)";
  messages.back() = ']';
  EXPECT_EQ(error_of(with_messages(messages)).field, "messages");
  const std::string long_text(static_cast<std::size_t>(PlanLimits::kPromptBytesMax) + 1, 'x');
  const Error error = error_of(with_messages(R"([{"role":"user","content":")" + long_text + "\"}]"));
  EXPECT_EQ(error.reason, "request_too_large");
  EXPECT_EQ(error.field, "messages");
}

TEST(AnthropicParse, NotJsonIsSaidSo) {
  for (const std::string& text : {std::string(), std::string("{"), std::string("[]"), std::string("null"), body() + "x",
                                  with_messages("[{\"role\":\"user\",\"content\":\"\xff\"}]")}) {
    EXPECT_EQ(error_of(text).reason, "invalid_json") << text.substr(0, 40);
  }
}

}  // namespace
}  // namespace tidegate::gateway::anthropic_parse_test
