// POST /v1/embeddings: parsing, wording, and the whole edge.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/core/random.h"
#include "base/json/json.h"
#include "gateway/http/embedding_answer.h"
#include "gateway/http/embedding_parse.h"
#include "gateway/http/idempotency_desk.h"
#include "tests/unit/gateway/http/api_harness.h"

namespace tidegate::gateway::test {
namespace embeddings_test {
namespace {

const std::string kPath = "/v1/embeddings";

std::string body(const std::string& input, const std::string& more = "") {
  return R"({"model":"tang-moe","input":)" + input + more + "}";
}
Error error_of(const std::string& text) {
  const auto request = parse_embedding(text);
  EXPECT_FALSE(request) << text;
  return request ? Error() : request.error();
}

TEST(EmbeddingParse, ReadsEveryFormOfInput) {
  EXPECT_EQ(parse_embedding(body(R"("a")"))->plan.embed.at(0).text, "a");
  EXPECT_EQ(parse_embedding(body(R"(["a","b"])"))->plan.embed.size(), 2U);
  const auto ids = parse_embedding(body("[5,6]"));
  ASSERT_EQ(ids->plan.embed.size(), 1U) << "a list of ids is one text";
  EXPECT_EQ(ids->plan.embed[0].tokens, (std::vector<std::int32_t>{5, 6}));
  const auto lists = parse_embedding(body("[[5,6],[7]]"));
  ASSERT_EQ(lists->plan.embed.size(), 2U);
  EXPECT_EQ(lists->plan.answers(), 2);
}

TEST(EmbeddingParse, WhatIsWrongIsNamed) {
  const std::pair<std::string, const char*> cases[] = {
      {R"("")", "input"},         {"[]", "input"},      {R"(["a",""])", "input[1]"}, {"[[]]", "input[0]"}, {"7", "input"},
      {R"(["a",7])", "input[1]"}, {"[1.5]", "input"},   {"[-1]", "input"},           {"{}", "input"},
  };
  for (const auto& [input, field] : cases) EXPECT_EQ(error_of(body(input)).field, field) << input;
  EXPECT_EQ(error_of(body(R"("a")", R"(,"dimensions":64)")).reason, "unsupported_parameter");
  EXPECT_TRUE(parse_embedding(body(R"("a")", R"(,"dimensions":null)")));
  EXPECT_EQ(error_of(body(R"("a")", R"(,"encoding_format":"int8")")).field, "encoding_format");
  std::string many = "[\"x\"";
  for (int i = 0; i < 256; ++i) many += ",\"x\"";
  EXPECT_EQ(error_of(body(many + "]")).field, "input");
}

TEST(EmbeddingAnswer, Base64IsOfLittleEndianFloats) {
  AnswerHead head;
  AnswerEnd end;
  end.embedding = {1.0F, -2.5F};
  const std::string text = EmbeddingDialect(VectorForm::kBase64).body(head, "", "", end);
  EXPECT_EQ(parsed(text).at("data").at(0).at("embedding"), "AACAPwAAIMA=");
  const std::string floats = EmbeddingDialect(VectorForm::kFloat).body(head, "", "", end);
  EXPECT_EQ(parsed(floats).at("data").at(0).at("embedding").at(1).to_number<double>(), -2.5);
}

/// docs/api/http.md tells clients with an Idempotency-Key to ask for base64.
TEST(EmbeddingAnswer, TheMostVectorsOfARequestAreKeptForARepeatAsBase64AndNotAsNumbers) {
  constexpr std::size_t kVectors = 85;
  constexpr std::size_t kWidth = 1'536;  // together 510 KiB; a worker makes 512 a request at most
  Rng rng(5);
  AnswerEnd end;
  for (std::size_t i = 0; i < kVectors; ++i) {
    std::vector<float> vector;
    for (std::size_t j = 0; j < kWidth; ++j) vector.push_back((static_cast<float>(rng.below(1U << 24U)) - 8e6F) / 3e8F);
    if (i == 0) {
      end.embedding = std::move(vector);
      continue;
    }
    AnswerPart part;
    part.choice = static_cast<std::int32_t>(i);
    part.embedding = std::move(vector);
    end.others.push_back(std::move(part));
  }
  AnswerHead head;
  const std::size_t kept = IdempotencyOptions().answer_bytes_max;
  constexpr std::size_t kHeadersMost = 16 * 1024;
  EXPECT_LT(EmbeddingDialect(VectorForm::kBase64).body(head, "", "", end).size() + kHeadersMost, kept);
  EXPECT_GT(EmbeddingDialect(VectorForm::kFloat).body(head, "", "", end).size(), kept);
}

TEST(EmbeddingsApi, VectorsStandInTheOrderOfTheirTextsAndOnlyInputIsCharged) {
  ApiHarness api;
  auto answer = api.post(kPath, body(R"(["a","b"])"));
  const auto request = api.submitted();
  EXPECT_EQ(request.plan.embed.size(), 2U);
  EXPECT_EQ(request.max_tokens, 0);
  api.dispatch();
  api.tell(0, accepted_delta(9));
  for (const std::int32_t input : {1, 0}) {
    SequenceDelta delta;
    delta.choice = input;
    delta.choice_end = SequenceEnd::kStop;
    delta.embedding = {static_cast<float>(input), 1};
    delta.usage = {.prompt = 9};
    if (input == 0) delta.end = SequenceEnd::kStop;
    api.tell(0, delta);
  }
  const auto response = answer.get();
  ASSERT_EQ(response.status, 200) << response.body;
  const json::object root = parsed(response.body);
  EXPECT_EQ(root.at("object"), "list");
  ASSERT_EQ(root.at("data").as_array().size(), 2U);
  EXPECT_EQ(root.at("data").at(1).at("index"), 1);
  EXPECT_EQ(root.at("data").at(1).at("embedding").at(0).to_number<double>(), 1);
  EXPECT_EQ(root.at("usage").at("prompt_tokens"), 9);
  EXPECT_EQ(root.at("usage").at("total_tokens"), 9);
  EXPECT_FALSE(root.at("usage").as_object().contains("completion_tokens"));
  const auto entry = api.meter.entry(0);
  EXPECT_EQ(entry.request.completion_tokens_max, 0);
  EXPECT_EQ(entry.request.surface, "http.embeddings");
  EXPECT_EQ(entry.settled.at(0).usage, (TokenUsage{.prompt = 9}));
}

TEST(EmbeddingsApi, AnAnswerWithoutItsVectorIsNotBelieved) {
  ApiHarness api;
  auto answer = api.post(kPath, body(R"("a")"));
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(9));
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 9}));
  EXPECT_EQ(answer.get().status, 500);
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage.total(), 0);
}

TEST(EmbeddingsApi, AModelThatMakesNoneIsSaidSo) {
  ApiHarness api;
  api.dispatcher.refuse_all(Refusal(
      Error(Code::kInvalidArgument, "embeddings_unsupported", "This 'model' makes no embeddings.", "model")));
  const auto refused = api.fetch("POST", kPath, body(R"("a")"));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(parsed(refused.body).at("error").at("code"), "embeddings_unsupported");
  EXPECT_TRUE(api.meter.entries().empty());
}

}  // namespace
}  // namespace embeddings_test
}  // namespace tidegate::gateway::test
