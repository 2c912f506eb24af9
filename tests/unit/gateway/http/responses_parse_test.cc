#include "gateway/http/responses_parse.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace tidegate::gateway::responses_parse_test {
namespace {

/// A valid request with `more` fields behind the required ones.
std::string body(const std::string& more = "") {
  return R"({"model":"tang-moe","input":"hi")" + (more.empty() ? "" : "," + more) + "}";
}
std::string with_input(const std::string& input) { return R"({"model":"m","input":)" + input + "}"; }

Error error_of(const std::string& text) {
  const auto plan = parse_responses(text);
  return plan ? Error() : plan.error();
}

TEST(ResponsesParse, TakesEverythingItServes) {
  const auto plan = parse_responses(
      body(R"("instructions":"be brief","stream":true,"temperature":0.5,"top_p":0.9,"top_k":40,"seed":7,"user":"u1",)"
           R"("max_output_tokens":64,"store":false)"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->model, "tang-moe");
  EXPECT_TRUE(plan->is_stream);
  EXPECT_TRUE(plan->include_usage);
  EXPECT_EQ(plan->sampling.max_tokens, 64);
  EXPECT_EQ(plan->sampling.temperature, 0.5);
  EXPECT_EQ(plan->sampling.top_p, 0.9);
  EXPECT_EQ(plan->sampling.top_k, 40);
  EXPECT_EQ(plan->sampling.seed, 7U);
  EXPECT_EQ(plan->end_user, "u1");
  ASSERT_EQ(plan->messages.size(), 2U);
  EXPECT_EQ(plan->messages[0].role, Role::kSystem);
  EXPECT_EQ(plan->messages[0].content, "be brief");
  EXPECT_EQ(plan->messages[1].role, Role::kUser);
  EXPECT_EQ(plan->messages[1].content, "hi");
  EXPECT_EQ(plan->fields_ignored, 0);
}

/// As Codex sends it, less its tools.
TEST(ResponsesParse, TakesWhatCodexAlwaysSends) {
  const auto plan = parse_responses(
      R"({"model":"m","instructions":"you code","input":[)"
      R"({"type":"message","role":"developer","content":[{"type":"input_text","text":"a"}]},)"
      R"({"type":"message","role":"user","content":[{"type":"input_text","text":"b"},{"type":"input_text","text":"c"}]},)"
      R"({"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"t"}],"encrypted_content":null},)"
      R"({"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"d"}]},)"
      R"({"role":"user","content":"e"}],)"
      R"("tools":[],"tool_choice":"auto","parallel_tool_calls":false,"reasoning":{"effort":"high","summary":"auto"},)"
      R"("store":false,"stream":true,"include":["reasoning.encrypted_content"],"prompt_cache_key":"k","text":{"verbosity":"medium"}})");
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->messages.size(), 5U);
  EXPECT_EQ(plan->messages[1].role, Role::kSystem);
  EXPECT_EQ(plan->messages[2].content, "b\nc");
  EXPECT_EQ(plan->messages[3].role, Role::kAssistant);
  EXPECT_EQ(plan->messages[3].content, "d") << "earlier thinking is dropped";
  EXPECT_EQ(plan->messages[4].content, "e");
  EXPECT_EQ(plan->fields_ignored, 2) << "summary, prompt_cache_key";
  EXPECT_EQ(plan->parallel_tool_calls, false);
}

TEST(ResponsesParse, ToolsThatNobodyRunsHereAreLeftOutBesideFunctions) {
  const auto plan = parse_responses(body(
      R"("tools":[{"type":"web_search","external_web_access":false},{"type":"function","name":"shell","parameters":{"type":"object"}},)"
      R"({"type":"custom","name":"apply_patch","format":{"type":"grammar","syntax":"lark","definition":"start: x"}},)"
      R"({"type":"web_search_preview_2025_03_11"},{"type":"local_shell"},{"type":"function","name":"plan"}])"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->tools.size(), 2U);
  EXPECT_EQ(plan->tools[0].name, "shell");
  EXPECT_EQ(plan->tools[1].name, "plan");
  EXPECT_EQ(plan->fields_ignored, 4);
  const Error alone = error_of(body(R"("tools":[{"type":"mcp","server_label":"s"},{"type":"custom","name":"c"}])"));
  EXPECT_EQ(alone.reason, "unsupported_parameter");
  EXPECT_EQ(alone.field, "tools[0].type") << "it is what the client came for";
  EXPECT_EQ(error_of(body(R"("tools":[{"type":"function","name":"f"},{"type":"teleport"}])")).field, "tools[1].type");
  EXPECT_EQ(
      error_of(
          body(R"("tools":[{"type":"function","name":"f"},{"type":"web_search"}],"tool_choice":{"type":"web_search"})"))
          .field,
      "tool_choice");
}

TEST(ResponsesParse, NullMeansAbsent) {
  const auto plan = parse_responses(
      body(R"("instructions":null,"stream":null,"store":null,"previous_response_id":null,"conversation":null,)"
           R"("max_output_tokens":null,"temperature":null,"reasoning":null,"text":null,"tools":null,"include":null,)"
           R"("background":null,"prompt":null,"user":null,"truncation":null)"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_FALSE(plan->is_stream);
  EXPECT_EQ(plan->messages.size(), 1U);
  EXPECT_EQ(plan->sampling.max_tokens, 0);
}

TEST(ResponsesParse, HarmlessValuesOfUnsupportedFieldsPass) {
  EXPECT_TRUE(parse_responses(
      body(R"("background":false,"tools":[],"tool_choice":"none","truncation":"disabled","service_tier":"auto",)"
           R"("top_logprobs":0,"include":[],"text":{"format":{"type":"text"}},"reasoning":{"effort":"minimal"},)"
           R"("stream":true,"stream_options":{"include_obfuscation":false},"metadata":{"a":"b"})")));
}

TEST(ResponsesParse, ATierIsRead) {
  const auto plan = parse_responses(body(R"("service_tier":"flex")"));
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->names_tier);
  EXPECT_EQ(plan->tier, ServiceTier::kFlex);
  const auto unknown = parse_responses(body(R"("service_tier":"scale")"));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().field, "service_tier");
}

TEST(ResponsesParse, LogProbabilitiesAreAskedForInTwoWays) {
  EXPECT_FALSE(parse_responses(body(R"("include":["reasoning.encrypted_content"])"))->sampling.logprobs.has_value());
  EXPECT_EQ(parse_responses(body(R"("include":["message.output_text.logprobs"])"))->sampling.logprobs, 0);
  EXPECT_EQ(parse_responses(body(R"("top_logprobs":3)"))->sampling.logprobs, 3);
  EXPECT_EQ(error_of(body(R"("top_logprobs":21)")).field, "top_logprobs");
  EXPECT_EQ(error_of(body(R"("include":[1])")).reason, "wrong_type");
}

TEST(ResponsesParse, MeaningfulUnsupportedFieldsAreRefusedByName) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"store", "true", "store"},
      {"previous_response_id", R"("resp_1")", "previous_response_id"},
      {"conversation", R"({"id":"c"})", "conversation"},
      {"background", "true", "background"},
      {"tools", R"([{"type":"web_search"}])", "tools[0].type"},
      {"truncation", R"("auto")", "truncation"},
      {"prompt", R"({"id":"p"})", "prompt"},
      {"prompt_cache_options", R"({"a":1})", "prompt_cache_options"},
      {"context_management", R"([{"type":"compaction"}])", "context_management"},
      {"moderation", R"({"a":1})", "moderation"},
      {"text", R"({"format":{"type":"grammar"}})", "text.format.type"},
      {"text", R"({"verbosity":"low"})", "text.verbosity"},
  };
  for (const auto& [name, value, field] : cases) {
    const Error error = error_of(body(std::string("\"") + name + "\":" + value));
    EXPECT_EQ(error.reason, "unsupported_parameter") << name << value;
    EXPECT_EQ(error.field, field);
    EXPECT_NE(error.message.find(field), std::string::npos) << error.message;
  }
}

TEST(ResponsesParse, NoEffortIsNoThinkingAndEveryOtherIsAHint) {
  const auto off = parse_responses(body(R"("reasoning":{"effort":"none"})"));
  ASSERT_TRUE(off) << off.error().to_string();
  EXPECT_EQ(off->thinking, std::optional<bool>(false));
  EXPECT_FALSE(parse_responses(body(R"("reasoning":{"effort":"xhigh"})"))->thinking.has_value());
  EXPECT_EQ(error_of(body(R"("reasoning":{"effort":"endless"})")).field, "reasoning.effort");
}

TEST(ResponsesParse, UnknownFieldsAreIgnoredAndCounted) {
  const auto plan = parse_responses(
      R"({"model":"m","input":[{"role":"user","content":"x","phase":"commentary"}],"whatever":1,"reasoning":{"mode":"x"}})");
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->fields_ignored, 3);
}

TEST(ResponsesParse, RangesAreNamedWithFieldAndLimit) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {R"("temperature":2.01)", "temperature", "0 and 2"},
      {R"("top_p":0)", "top_p", "greater than 0"},
      {R"("top_k":-2)", "top_k", "0 (off)"},
      {R"("max_output_tokens":0)", "max_output_tokens", "1 and 393216"},
      {R"("max_output_tokens":-5)", "max_output_tokens", "1 and 393216"},
      {R"("max_output_tokens":393217)", "max_output_tokens", "1 and 393216"},
  };
  for (const auto& [more, field, words] : cases) {
    const Error error = error_of(body(more));
    EXPECT_EQ(error.reason, "invalid_value") << more;
    EXPECT_EQ(error.field, field) << more;
    EXPECT_NE(error.message.find(words), std::string::npos) << error.message;
  }
  EXPECT_EQ(error_of(body("\"user\":\"" + std::string(513, 'x') + "\"")).field, "user");
}

TEST(ResponsesParse, WrongTypesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("temperature":"hot")", "temperature"},
      {R"("stream":1)", "stream"},
      {R"("store":"no")", "store"},
      {R"("instructions":[])", "instructions"},
      {R"("max_output_tokens":"many")", "max_output_tokens"},
      {R"("reasoning":"high")", "reasoning"},
      {R"("text":5)", "text"},
      {R"("user":5)", "user"},
  };
  for (const auto& [more, field] : cases) {
    const Error error = error_of(body(more));
    EXPECT_EQ(error.reason, "wrong_type") << more;
    EXPECT_EQ(error.field, field) << more;
  }
}

TEST(ResponsesParse, RequiredFieldsAreRequired) {
  EXPECT_EQ(error_of(R"({"input":"x"})").field, "model");
  EXPECT_EQ(error_of(R"({"model":"m"})").field, "input");
  EXPECT_EQ(error_of(R"({"model":"","input":"x"})").field, "model");
  EXPECT_EQ(error_of(with_input("[]")).field, "input");
  EXPECT_EQ(error_of(with_input("{}")).field, "input");
  EXPECT_EQ(error_of(R"({"model":"m","instructions":"s","input":[{"type":"reasoning","summary":[]}]})").field, "input")
      << "instructions and earlier thinking ask for nothing";
}

TEST(ResponsesParse, ItemErrorsNameTheirPlace) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {R"([5])", "input[0]", "wrong_type"},
      {R"([{"type":1}])", "input[0].type", "wrong_type"},
      {R"([{"content":"x"}])", "input[0].role", "missing_field"},
      {R"([{"role":"robot","content":"x"}])", "input[0].role", "invalid_value"},
      {R"([{"role":"user","content":"x"},{"role":"user"}])", "input[1].content", "missing_field"},
      {R"([{"role":"user","content":5}])", "input[0].content", "wrong_type"},
      {R"([{"role":"user","content":[]}])", "input[0].content", "invalid_value"},
      {R"([{"role":"user","content":["x"]}])", "input[0].content[0]", "wrong_type"},
      {R"([{"role":"user","content":[{"type":"input_text"}]}])", "input[0].content[0].text", "missing_field"},
      {R"([{"role":"user","content":[{"type":"input_image","image_url":"x"}]}])", "input[0].content[0].type",
       "unsupported_parameter"},
      {R"([{"role":"user","content":[{"type":"input_file","file_id":"x"}]}])", "input[0].content[0].type",
       "unsupported_parameter"},
      {R"([{"type":"function_call","name":"f"}])", "input[0].call_id", "missing_field"},
      {R"([{"type":"function_call_output","call_id":"1","output":"x"}])", "input", "invalid_value"},
      {R"([{"type":"custom_tool_call"}])", "input[0].type", "unsupported_parameter"},
      {R"([{"type":"item_reference","id":"msg_1"}])", "input[0].type", "unsupported_parameter"},
  };
  for (const auto& [input, field, reason] : cases) {
    const Error error = error_of(with_input(input));
    EXPECT_EQ(error.field, field) << input;
    EXPECT_EQ(error.reason, reason) << input;
  }
}

TEST(ResponsesParse, TooManyAndTooLongMessagesAreRefused) {
  std::string items = "[";
  for (int i = 0; i < 2'049; ++i) items += R"({"role":"user","content":"x"},)";
  items.back() = ']';
  EXPECT_EQ(error_of(with_input(items)).field, "input");
  const std::string long_text(static_cast<std::size_t>(PlanLimits::kPromptBytesMax) + 1, 'x');
  const Error error = error_of(with_input("\"" + long_text + "\""));
  EXPECT_EQ(error.reason, "request_too_large");
  EXPECT_EQ(error.field, "input");
}

TEST(ResponsesParse, NotJsonIsSaidSo) {
  for (const std::string& text : {std::string(), std::string("{"), std::string("[]"), std::string("null"), body() + "x",
                                  with_input("\"\xff\"")}) {
    EXPECT_EQ(error_of(text).reason, "invalid_json") << text.substr(0, 40);
  }
}

}  // namespace
}  // namespace tidegate::gateway::responses_parse_test
