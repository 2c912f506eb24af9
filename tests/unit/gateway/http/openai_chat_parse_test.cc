#include "gateway/http/openai_chat_parse.h"

#include <gtest/gtest.h>

#include <map>

#include <optional>
#include <string>
#include <utility>

namespace tidegate::gateway::openai_chat_parse_test {
namespace {

/// A valid request with `more` fields behind the required ones.
std::string body(const std::string& more = "") {
  return R"({"model":"tang-moe","messages":[{"role":"user","content":"hi"}])" + (more.empty() ? "" : "," + more) + "}";
}
std::string with_messages(const std::string& messages) { return R"({"model":"m","messages":)" + messages + "}"; }

Error error_of(const std::string& text) {
  const auto plan = parse_openai_chat(text);
  return plan ? Error() : plan.error();
}

TEST(OpenAiChatParse, TakesEverythingItServes) {
  const auto plan = parse_openai_chat(body(
      R"("stream":true,"stream_options":{"include_usage":true},"temperature":0.5,"top_p":0.9,"top_k":40,)"
      R"("seed":-1,"stop":["a","b"],"max_tokens":7,"max_completion_tokens":9)"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->model, "tang-moe");
  EXPECT_TRUE(plan->is_stream);
  EXPECT_TRUE(plan->include_usage);
  EXPECT_EQ(plan->sampling.temperature, 0.5);
  EXPECT_EQ(plan->sampling.top_p, 0.9);
  EXPECT_EQ(plan->sampling.top_k, 40);
  EXPECT_EQ(plan->sampling.seed, ~std::uint64_t{0});
  EXPECT_EQ(plan->sampling.max_tokens, 9) << "max_completion_tokens wins";
  EXPECT_EQ(plan->sampling.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(plan->fields_ignored, 0);
}

TEST(OpenAiChatParse, NullMeansAbsent) {
  const auto plan = parse_openai_chat(body(
      R"("stream":null,"stream_options":null,"temperature":null,"top_p":null,"seed":null,"stop":null,"max_tokens":null,)"
      R"("tools":null,"response_format":null,"logprobs":null,"n":null)"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_FALSE(plan->is_stream);
  EXPECT_FALSE(plan->sampling.temperature.has_value());
  EXPECT_EQ(plan->sampling.max_tokens, 0);
}

TEST(OpenAiChatParse, HarmlessValuesOfUnsupportedFieldsPass) {
  EXPECT_TRUE(parse_openai_chat(body(
      R"("tools":[],"tool_choice":"auto","response_format":{"type":"text"},"n":1,"logprobs":false,"top_logprobs":0,)"
      R"("logit_bias":{},"thinking":{"type":"enabled"},"reasoning_effort":"high","service_tier":"auto",)"
      R"("modalities":["text"],"verbosity":"medium","parallel_tool_calls":true,"presence_penalty":0.5)")));
}

TEST(OpenAiChatParse, TheTierIsReadAndAWrongOneNamed) {
  const auto tier_of = [](const char* name) {
    const auto plan = parse_openai_chat(body(std::string(R"("service_tier":)") + name));
    EXPECT_TRUE(plan) << plan.error().to_string();
    return plan ? std::pair(plan->tier, plan->names_tier) : std::pair(std::optional<ServiceTier>(), false);
  };
  EXPECT_EQ(tier_of(R"("flex")"), std::pair(std::optional(ServiceTier::kFlex), true));
  EXPECT_EQ(tier_of(R"("default")"), std::pair(std::optional(ServiceTier::kDefault), true));
  EXPECT_EQ(tier_of(R"("priority")"), std::pair(std::optional(ServiceTier::kPriority), true));
  EXPECT_EQ(tier_of(R"("auto")"), std::pair(std::optional<ServiceTier>(), true));
  EXPECT_EQ(tier_of("null"), std::pair(std::optional<ServiceTier>(), false));
  const Error error = error_of(body(R"("service_tier":"scale")"));
  EXPECT_EQ(error.reason, "invalid_value");
  EXPECT_EQ(error.field, "service_tier");
}

TEST(OpenAiChatParse, MeaningfulUnsupportedFieldsAreRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {
      {"modalities", R"(["text","audio"])"},
      {"audio", R"({"voice":"x"})"},
      {"prediction", R"({"type":"content"})"},
      {"web_search_options", R"({"a":1})"},
      {"verbosity", R"("low")"},
  };
  for (const auto& [field, value] : cases) {
    const Error error = error_of(body(std::string("\"") + field + "\":" + value));
    EXPECT_EQ(error.reason, "unsupported_parameter") << field;
    EXPECT_EQ(error.field, field);
    EXPECT_NE(error.message.find(field), std::string::npos);
  }
}

TEST(OpenAiChatParse, UnknownFieldsAreIgnoredAndCounted) {
  const auto plan = parse_openai_chat(body(R"("cache_control":{"x":1},"whatever":1,"user":"u1")"));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->fields_ignored, 2);
  EXPECT_EQ(plan->end_user, "u1");
}

TEST(OpenAiChatParse, TheEndUserIsTakenFromWhateverTheClientCallsIt) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("user_id":"deep-1")", "deep-1"},
      {R"("safety_identifier":"safe-1")", "safe-1"},
      {R"("user_id":"deep-1","user":"u1","safety_identifier":"safe-1")", "u1"},
      {R"("safety_identifier":"safe-1","user_id":"deep-1")", "deep-1"},
      {R"("user":"","user_id":"deep-1")", "deep-1"},
      {R"("user":null,"user_id":null)", ""},
      {R"("prompt_cache_key":"k")", ""},
  };
  for (const auto& [fields, wanted] : cases) {
    const auto plan = parse_openai_chat(body(fields));
    ASSERT_TRUE(plan) << fields;
    EXPECT_EQ(plan->end_user, wanted) << fields;
  }
  for (const char* name : {"user", "user_id", "safety_identifier"}) {
    const std::string quoted = std::string("\"") + name + "\":";
    EXPECT_TRUE(parse_openai_chat(body(quoted + "\"" + std::string(512, 'x') + "\""))) << name;
    EXPECT_EQ(error_of(body(quoted + "\"" + std::string(513, 'x') + "\"")).field, name);
    EXPECT_EQ(error_of(body(quoted + "1")).reason, "wrong_type") << name;
  }
}

TEST(OpenAiChatParse, ChoicesAndLogProbabilitiesAreRead) {
  const auto plain = parse_openai_chat(body(R"("n":null,"logprobs":false,"top_logprobs":0)"));
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->sampling.n, 1);
  EXPECT_FALSE(plain->sampling.logprobs.has_value());
  const auto asked = parse_openai_chat(body(R"("n":16,"logprobs":true,"top_logprobs":20)"));
  ASSERT_TRUE(asked) << asked.error().to_string();
  EXPECT_EQ(asked->sampling.n, 16);
  EXPECT_EQ(asked->sampling.logprobs, 20);
  EXPECT_EQ(parse_openai_chat(body(R"("logprobs":true)"))->sampling.logprobs, 0) << "the tokens' own";
  EXPECT_EQ(error_of(body(R"("top_logprobs":3)")).field, "top_logprobs") << "alone it has no meaning";
  EXPECT_EQ(error_of(body(R"("logprobs":true,"top_logprobs":21)")).field, "top_logprobs");
  for (const char* n : {"0", "17", "-1"}) EXPECT_EQ(error_of(body(std::string("\"n\":") + n)).field, "n");
}

TEST(OpenAiChatParse, ABiasIsByTokenId) {
  const auto plan = parse_openai_chat(body(R"("logit_bias":{"5":1,"1734":-100})"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->sampling.logit_bias, (std::map<std::int32_t, double>{{5, 1}, {1734, -100}}));
  EXPECT_TRUE(parse_openai_chat(body(R"("logit_bias":{})"))->sampling.logit_bias.empty());
  for (const char* wrong : {R"({"moon":1})", R"({"-1":1})", R"({"5 ":1})", R"({"99999999999":1})", R"({"5":101})"}) {
    const Error error = error_of(body(std::string("\"logit_bias\":") + wrong));
    EXPECT_EQ(error.field, "logit_bias") << wrong;
    EXPECT_EQ(error.reason, "invalid_value") << wrong;
  }
  EXPECT_EQ(error_of(body(R"("logit_bias":{"5":"x"})")).reason, "wrong_type");
  EXPECT_EQ(error_of(body(R"("logit_bias":[5])")).reason, "wrong_type");
}

TEST(OpenAiChatParse, ThinkingIsSwitchedOffByItsOwnFieldOrByNoEffort) {
  const std::pair<const char*, std::optional<bool>> cases[] = {
      {R"("thinking":{"type":"disabled"})", false},
      {R"("reasoning_effort":"none")", false},
      {R"("thinking":{"type":"disabled"},"reasoning_effort":"high")", false},
      {R"("thinking":{"type":"disabled"},"reasoning_effort":"none")", false},
      {R"("thinking":{"type":"enabled"},"reasoning_effort":"max")", true},
      {R"("thinking":null,"reasoning_effort":null)", std::nullopt},
      {R"("thinking":{},"reasoning_effort":"ultra")", std::nullopt},
  };
  for (const auto& [fields, wanted] : cases) {
    const auto plan = parse_openai_chat(body(fields));
    ASSERT_TRUE(plan) << fields;
    EXPECT_EQ(plan->thinking, wanted) << fields;
  }
  const std::pair<const char*, const char*> wrong[] = {
      {R"("thinking":{"type":"sometimes"})", "thinking.type"},
      {R"("thinking":{"type":1})", "thinking.type"},
      {R"("thinking":{"budget":1})", "thinking.type"},
      {R"("reasoning_effort":"endless")", "reasoning_effort"},
      {R"("thinking":{"type":"enabled"},"reasoning_effort":"none")", "reasoning_effort"},
  };
  for (const auto& [fields, field] : wrong) EXPECT_EQ(error_of(body(fields)).field, field) << fields;
}

TEST(OpenAiChatParse, RangesAreNamedWithFieldAndLimit) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"temperature", "2.01", "0 and 2"}, {"temperature", "-0.1", "0 and 2"},  {"top_p", "0", "greater than 0"},
      {"top_p", "1.5", "at most 1"},      {"max_tokens", "0", "1 and 393216"}, {"max_tokens", "-5", "393216"},
      {"max_completion_tokens", "393217", "393216"}, {"top_k", "-2", "0"},     {"presence_penalty", "3", "-2 and 2"},
      {"temperature", "1e400", ""},
  };
  for (const auto& [field, value, words] : cases) {
    const Error error = error_of(body(std::string("\"") + field + "\":" + value));
    EXPECT_EQ(error.code, Code::kInvalidArgument) << field << value;
    EXPECT_NE(error.message.find(words), std::string::npos) << error.message;
  }
}

TEST(OpenAiChatParse, WrongTypesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"temperature", R"("hot")"}, {"stream", "1"},       {"max_tokens", "1.5"}, {"seed", R"("1")"},
      {"stop", "5"},               {"top_p", "[]"},       {"top_k", "true"},
  };
  for (const auto& [field, value] : cases) {
    const Error error = error_of(body(std::string("\"") + field + "\":" + value));
    EXPECT_EQ(error.reason, "wrong_type") << field;
    EXPECT_EQ(error.field, field);
  }
}

TEST(OpenAiChatParse, AWrongStopIsNamedByItsPlace) {
  EXPECT_EQ(error_of(body(R"("stop":["a",1])")).field, "stop[1]");
}

TEST(OpenAiChatParse, RequiredFieldsAreRequired) {
  EXPECT_EQ(error_of(R"({"messages":[{"role":"user","content":"x"}]})").field, "model");
  EXPECT_EQ(error_of(R"({"model":"m"})").field, "messages");
  EXPECT_EQ(error_of(R"({"model":"","messages":[{"role":"user","content":"x"}]})").field, "model");
  EXPECT_EQ(error_of(R"({"model":5,"messages":[]})").field, "model");
  EXPECT_EQ(error_of(with_messages("[]")).field, "messages");
  EXPECT_EQ(error_of(with_messages("{}")).field, "messages");
}

TEST(OpenAiChatParse, StopIsAStringOrFewStrings) {
  EXPECT_EQ(parse_openai_chat(body(R"("stop":"x")"))->sampling.stop.size(), 1U);
  std::string many = R"("stop":["x")";
  for (int i = 0; i < 16; ++i) many += R"(,"x")";
  EXPECT_EQ(error_of(body(many + "]")).field, "stop");
  EXPECT_EQ(error_of(body(R"("stop":"")")).field, "stop");
  EXPECT_EQ(error_of(body("\"stop\":\"" + std::string(257, 'x') + "\"")).field, "stop");
}

TEST(OpenAiChatParse, MessagesTakeStringsPartsAndNullForAssistants) {
  const auto plan = parse_openai_chat(with_messages(
      R"([{"role":"developer","content":"d"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},)"
      R"({"role":"assistant","content":null,"reasoning_content":"thought"},{"role":"assistant","content":"x","reasoning_content":""}])"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->messages.size(), 4U);
  EXPECT_EQ(plan->messages[0].role, Role::kSystem);
  EXPECT_EQ(plan->messages[1].content, "a\nb");
  EXPECT_EQ(plan->messages[2].content, "") << "earlier thinking is dropped";
}

TEST(OpenAiChatParse, ALastMessageWithPrefixBeginsTheAnswer) {
  const auto plan = parse_openai_chat(with_messages(
      R"([{"role":"assistant","content":"earlier","reasoning_content":"old"},{"role":"user","content":"hi"},)"
      R"({"role":"assistant","content":"Well, ","reasoning_content":"plan","prefix":true}])"));
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->messages[0].reasoning, "");
  EXPECT_FALSE(plan->messages[0].begins_answer);
  EXPECT_TRUE(plan->messages[2].begins_answer);
  EXPECT_EQ(plan->messages[2].content, "Well, ");
  EXPECT_EQ(plan->messages[2].reasoning, "plan");
  EXPECT_EQ(plan->fields_ignored, 0);
}

TEST(OpenAiChatParse, PrefixOfFalseOrNullIsNone) {
  for (const char* value : {"false", "null"}) {
    const auto plan = parse_openai_chat(
        with_messages(std::string(R"([{"role":"assistant","content":"x","prefix":)") + value + "}]"));
    ASSERT_TRUE(plan) << value;
    EXPECT_FALSE(plan->messages[0].begins_answer);
  }
}

TEST(OpenAiChatParse, PenaltiesAreReadAndChecked) {
  const auto plan = parse_openai_chat(body(R"("presence_penalty":0.5,"frequency_penalty":-2,"repetition_penalty":1.1)"));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->sampling.presence_penalty, 0.5);
  EXPECT_EQ(plan->sampling.frequency_penalty, -2);
  EXPECT_EQ(plan->sampling.repetition_penalty, 1.1);
  EXPECT_EQ(plan->fields_ignored, 0);
  EXPECT_EQ(error_of(body(R"("repetition_penalty":0)")).field, "repetition_penalty");
}

TEST(OpenAiChatParse, MessageErrorsNameTheirPlace) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {R"([{"role":"tool","content":"x","tool_call_id":"1"}])", "messages", "invalid_value"},
      {R"([{"role":"tool","content":"x"}])", "messages[0].tool_call_id", "missing_field"},
      {R"([{"role":"robot","content":"x"}])", "messages[0].role", "invalid_value"},
      {R"([{"content":"x"}])", "messages[0].role", "missing_field"},
      {R"([{"role":"user","content":"x"},{"role":"user"}])", "messages[1].content", "missing_field"},
      {R"([{"role":"user","content":5}])", "messages[0].content", "wrong_type"},
      {R"([{"role":"user","content":[]}])", "messages[0].content", "invalid_value"},
      {R"([{"role":"user","content":[{"type":"image_url","image_url":{}}]}])", "messages[0].content[0].type",
       "unsupported_parameter"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text", "missing_field"},
      {R"([{"role":"assistant","tool_calls":[{"id":"1"}]}])", "messages[0].tool_calls[0].function", "missing_field"},
      {R"([{"role":"user","content":"x","tool_calls":[{"id":"1"}]}])", "messages[0].tool_calls", "invalid_value"},
      {R"([{"role":"user","content":"x","prefix":true}])", "messages[0].prefix", "invalid_value"},
      {R"([{"role":"assistant","content":"x","prefix":true},{"role":"user","content":"x"}])", "messages[0].prefix",
       "invalid_value"},
      {R"([{"role":"assistant","content":"x","prefix":"yes"}])", "messages[0].prefix", "wrong_type"},
      {R"([{"role":"assistant","content":"x","reasoning_content":5}])", "messages[0].reasoning_content", "wrong_type"},
      {R"([5])", "messages[0]", "wrong_type"},
  };
  for (const auto& [messages, field, reason] : cases) {
    const Error error = error_of(with_messages(messages));
    EXPECT_EQ(error.field, field) << messages;
    EXPECT_EQ(error.reason, reason) << messages;
  }
}

TEST(OpenAiChatParse, TooManyMessagesAreRefused) {
  std::string messages = "[";
  for (int i = 0; i < 2'049; ++i) messages += R"({"role":"user","content":"x"},)";
  messages.back() = ']';
  EXPECT_EQ(error_of(with_messages(messages)).field, "messages");
}

TEST(OpenAiChatParse, StreamOptionsNeedAStream) {
  EXPECT_EQ(error_of(body(R"("stream_options":{"include_usage":true})")).field, "stream_options");
  EXPECT_EQ(error_of(body(R"("stream":true,"stream_options":{"include_usage":"yes"}})").substr(0)).reason.empty(), false);
}

TEST(OpenAiChatParse, NotJsonIsSaidSo) {
  for (const std::string& text : {std::string(), std::string("{"), std::string("[]"), std::string("null"),
                                  std::string("{\"model\":\"m\",}"), body() + "x", std::string(100'000, '[')}) {
    const Error error = error_of(text);
    EXPECT_EQ(error.reason, "invalid_json") << text.substr(0, 40);
  }
}

TEST(OpenAiChatParse, InvalidUtf8IsRefused) {
  EXPECT_EQ(error_of(with_messages("[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]")).reason, "invalid_json");
  EXPECT_EQ(error_of(with_messages("[{\"role\":\"user\",\"content\":\"\xc0\xaf\"}]")).reason, "invalid_json");
  EXPECT_EQ(error_of(with_messages(R"([{"role":"user","content":"\ud800"}])")).reason, "invalid_json");
}

}  // namespace
}  // namespace tidegate::gateway::openai_chat_parse_test
