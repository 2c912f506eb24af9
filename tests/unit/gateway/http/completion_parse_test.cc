#include "gateway/http/completion_parse.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <utility>

namespace tidegate::gateway::completion_parse_test {
namespace {

std::string body(const std::string& more = "") {
  return R"({"model":"tang-moe","prompt":"Once")" + (more.empty() ? "" : "," + more) + "}";
}
std::string with_prompt(const std::string& prompt) { return R"({"model":"m","prompt":)" + prompt + "}"; }

Error error_of(const std::string& text) {
  const auto request = parse_completion(text);
  return request ? Error() : request.error();
}

TEST(CompletionParse, TakesEverythingItServes) {
  const auto request = parse_completion(
      body(R"("suffix":" end","echo":true,"stream":true,"stream_options":{"include_usage":true},"temperature":0.5,)"
           R"("top_p":0.9,"top_k":-1,"seed":7,"stop":["a","b"],"max_tokens":7,"user":"u1","presence_penalty":0)"));
  ASSERT_TRUE(request) << request.error().to_string();
  const Plan& plan = request->plan;
  EXPECT_EQ(plan.model, "tang-moe");
  EXPECT_TRUE(plan.messages.empty());
  ASSERT_TRUE(plan.raw.has_value());
  EXPECT_EQ(plan.raw->text, "Once");
  EXPECT_EQ(plan.raw->suffix, " end");
  EXPECT_TRUE(request->echo);
  EXPECT_TRUE(plan.is_stream);
  EXPECT_TRUE(plan.include_usage);
  EXPECT_EQ(plan.sampling.temperature, 0.5);
  EXPECT_EQ(plan.sampling.top_p, 0.9);
  EXPECT_EQ(plan.sampling.top_k, 0);
  EXPECT_EQ(plan.sampling.seed, 7U);
  EXPECT_EQ(plan.sampling.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(plan.sampling.max_tokens, 7);
  EXPECT_EQ(plan.end_user, "u1");
  EXPECT_EQ(plan.fields_ignored, 0);
}

TEST(CompletionParse, TheDialectsDefaultsHold) {
  const auto request = parse_completion(body());
  ASSERT_TRUE(request);
  EXPECT_EQ(request->plan.sampling.max_tokens, 16);
  EXPECT_FALSE(request->echo);
  EXPECT_FALSE(request->plan.is_stream);
  EXPECT_FALSE(request->plan.raw->suffix.has_value());
}

TEST(CompletionParse, OnePromptMayComeInAnArrayAndMayBeEmpty) {
  EXPECT_EQ(parse_completion(with_prompt(R"(["a"])"))->plan.raw->text, "a");
  EXPECT_EQ(parse_completion(with_prompt(R"("")"))->plan.raw->text, "");
}

TEST(CompletionParse, AnEmptySuffixIsNone) {
  for (const char* value : {R"("")", "null"}) {
    const auto request = parse_completion(body(std::string(R"("suffix":)") + value));
    ASSERT_TRUE(request) << value;
    EXPECT_FALSE(request->plan.raw->suffix.has_value());
  }
}

TEST(CompletionParse, PromptsItCannotServeAreRefusedByName) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {R"(["a","b"])", "prompt", "invalid_value"},
      {"[]", "prompt", "invalid_value"},
      {"[1,2,3]", "prompt", "unsupported_parameter"},
      {"[[1,2],[3]]", "prompt", "unsupported_parameter"},
      {"[true]", "prompt[0]", "wrong_type"},
      {"5", "prompt", "wrong_type"},
      {"{}", "prompt", "wrong_type"},
      {"null", "prompt", "missing_field"},
  };
  for (const auto& [prompt, field, reason] : cases) {
    const Error error = error_of(with_prompt(prompt));
    EXPECT_EQ(error.code, Code::kInvalidArgument) << prompt;
    EXPECT_EQ(error.field, field) << prompt;
    EXPECT_EQ(error.reason, reason) << prompt;
  }
  EXPECT_EQ(error_of(R"({"model":"m"})").field, "prompt");
  EXPECT_EQ(error_of(R"({"prompt":"x"})").field, "model");
}

TEST(CompletionParse, MeaningfulUnsupportedFieldsAreRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {
      {"best_of", "3"},
      {"response_format", R"({"type":"json_object"})"},
      {"tools", R"([{"type":"function"}])"},
      {"tool_choice", R"("required")"},
      {"messages", R"([{"role":"user","content":"x"}])"},
  };
  for (const auto& [field, value] : cases) {
    const Error error = error_of(body(std::string("\"") + field + "\":" + value));
    EXPECT_EQ(error.reason, "unsupported_parameter") << field << value;
    EXPECT_EQ(error.field, field);
  }
}

TEST(CompletionParse, HarmlessValuesOfUnsupportedFieldsPass) {
  EXPECT_TRUE(parse_completion(body(
      R"("n":1,"best_of":1,"logprobs":null,"logit_bias":{},"response_format":{"type":"text"},"tools":[],"messages":[])")));
}

TEST(CompletionParse, RangesAndTypesAreNamed) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"temperature", "2.01", "invalid_value"},
      {"temperature", R"("hot")", "wrong_type"},
      {"top_p", "0", "invalid_value"},
      {"top_k", "-2", "invalid_value"},
      {"max_tokens", "0", "invalid_value"},
      {"max_tokens", "393217", "invalid_value"},
      {"max_tokens", "1.5", "wrong_type"},
      {"presence_penalty", "3", "invalid_value"},
      {"frequency_penalty", "-2.5", "invalid_value"},
      {"seed", R"("1")", "wrong_type"},
      {"stream", "1", "wrong_type"},
      {"echo", R"("yes")", "wrong_type"},
      {"suffix", "5", "wrong_type"},
      {"stop", "5", "wrong_type"},
      {"stop", R"("")", "invalid_value"},
      {"user", "5", "wrong_type"},
  };
  for (const auto& [field, value, reason] : cases) {
    const Error error = error_of(body(std::string("\"") + field + "\":" + value));
    EXPECT_EQ(error.field, field) << value;
    EXPECT_EQ(error.reason, reason) << field << value;
  }
  EXPECT_EQ(error_of(body(R"("stream_options":{"include_usage":true})")).field, "stream_options");
  EXPECT_EQ(error_of(body("\"user\":\"" + std::string(513, 'x') + "\"")).field, "user");
}

TEST(CompletionParse, ChoicesAndLogProbabilitiesAreRead) {
  const auto request = parse_completion(body(R"("n":3,"best_of":3,"logprobs":5,"logit_bias":{"5":-1},"frequency_penalty":1)"));
  ASSERT_TRUE(request) << request.error().to_string();
  EXPECT_EQ(request->plan.sampling.n, 3);
  EXPECT_EQ(request->plan.sampling.logprobs, 5);
  EXPECT_EQ(request->plan.sampling.logit_bias.at(5), -1);
  EXPECT_EQ(request->plan.sampling.frequency_penalty, 1);
  EXPECT_EQ(parse_completion(body(R"("logprobs":0)"))->plan.sampling.logprobs, 0) << "the chosen tokens' own";
  EXPECT_EQ(error_of(body(R"("logprobs":21)")).field, "logprobs");
  EXPECT_EQ(error_of(body(R"("n":17)")).field, "n");
  const Error echoed = error_of(body(R"("logprobs":1,"echo":true)"));
  EXPECT_EQ(echoed.reason, "unsupported_parameter") << "those of the prompt are not known";
  EXPECT_EQ(echoed.field, "logprobs");
}

TEST(CompletionParse, UnknownFieldsAreCountedAsIgnored) {
  const auto request = parse_completion(body(R"("whatever":1,"frequency_penalty":0.5)"));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->plan.fields_ignored, 1);
}

TEST(CompletionParse, NotJsonIsSaidSo) {
  for (const std::string& text : {std::string(), std::string("{"), std::string("[]"), body() + "x",
                                  std::string("{\"model\":\"m\",\"prompt\":\"\xff\"}")}) {
    EXPECT_EQ(error_of(text).reason, "invalid_json") << text;
  }
}

}  // namespace
}  // namespace tidegate::gateway::completion_parse_test
