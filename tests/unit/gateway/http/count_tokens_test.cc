// POST /v1/messages/count_tokens: no money, no queue, one request for the limits.
#include <gtest/gtest.h>

#include <string>

#include "base/json/json.h"
#include "tests/support/counted.h"
#include "tests/support/gateway/fake_rate_gate.h"
#include "tests/unit/gateway/http/api_harness.h"

namespace tidegate::gateway::test {
namespace count_tokens_test {
namespace {

const std::string kPath = "/v1/messages/count_tokens";
const std::string kBody =
    R"({"model":"tang-moe","system":"be brief","messages":[{"role":"user","content":"hi"}],"thinking":{"type":"disabled"},)"
    R"("tools":[{"name":"f","input_schema":{"type":"object"}}]})";
const HttpHeaders kKey{{"x-api-key", "good-key"}};

TEST(CountTokens, SaysWhatAWorkerCountedAndChargesNothing) {
  ApiHarness api;
  api.dispatcher.count_next(31);
  for (const char* mount : {"/v1", "", "/anthropic/v1", "/anthropic"}) {
    const auto response = api.fetch("POST", std::string(mount) + "/messages/count_tokens", kBody, kKey);
    EXPECT_EQ(response.status, 200) << mount << response.body;
    EXPECT_EQ(response.body, R"({"input_tokens":31})");
    EXPECT_FALSE(response.header("request-id").empty());
  }
  EXPECT_TRUE(api.meter.entries().empty());
  EXPECT_EQ(api.dispatcher.submitted_count(), 0U);
  const Plan plan = api.dispatcher.counted().at(0);
  EXPECT_EQ(plan.messages.size(), 2U) << "the system text is part of the prompt";
  EXPECT_EQ(plan.tools.size(), 1U);
  EXPECT_EQ(plan.thinking, false);
  EXPECT_EQ(tidegate::test::counted(api.registry, 4, "tidegate_gateway_requests_total",
                                    {{"model", "tang-moe"}, {"surface", "http.count_tokens"}, {"status", "200"}}),
            4);
}

TEST(CountTokens, IsOneRequestForTheLimitsAndNoTokens) {
  ApiHarness api;
  FakeRateGate rates;
  api.serving.rates = &rates;
  EXPECT_EQ(api.fetch("POST", kPath, kBody, kKey).status, 200);
  EXPECT_EQ(rates.entry(0).request.tokens_max, 0);
  EXPECT_EQ(rates.entry(0).request.model, "tang-moe");
  ASSERT_EQ(rates.entry(0).settled.size(), 1U);
  EXPECT_EQ(rates.entry(0).settled[0], 0);
  rates.refuse_next(
      Refusal(Error(Code::kResourceExhausted, "rate_limit_exceeded", "Slow down."), std::chrono::seconds(3)));
  const auto refused = api.fetch("POST", kPath, kBody, kKey);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.header("Retry-After"), "3");
  EXPECT_EQ(api.dispatcher.counted().size(), 1U) << "the refused one reached no worker";
}

TEST(CountTokens, RefusalsAreAnthropics) {
  ApiHarness api({}, {"tang-moe", "secret-model"});
  api.principals.add("narrow-key", {"tang-moe"});
  const auto status_of = [&](const std::string& body, const HttpHeaders& headers) {
    const auto response = api.fetch("POST", kPath, body, headers);
    const auto parsed = json::parse(response.body);
    EXPECT_TRUE(parsed && parsed->get_object().at("type") == "error") << response.body;
    return response.status;
  };
  const auto body_of = [](const std::string& model) {
    return R"({"model":")" + model + R"(","messages":[{"role":"user","content":"hi"}]})";
  };
  EXPECT_EQ(status_of(kBody, {{"x-api-key", "no-key"}}), 401);
  EXPECT_EQ(status_of(body_of("secret-model"), {{"x-api-key", "narrow-key"}}), 403);
  EXPECT_EQ(status_of(body_of("nothing"), kKey), 404);
  EXPECT_EQ(status_of(R"({"model":"tang-moe"})", kKey), 400);
  api.dispatcher.count_next(
      std::unexpected(Refusal(Error(Code::kInvalidArgument, "context_length_exceeded", "too long", "messages"))));
  EXPECT_EQ(status_of(kBody, kKey), 400);
  api.dispatcher.count_next(std::unexpected(Refusal(Error(Code::kUnavailable, "model_not_ready", "not yet"))));
  EXPECT_EQ(status_of(kBody, kKey), 503);
}

TEST(CountTokens, AWorkerThatHasTooManyToCountIsOverloadedAndSaysWhenToComeBack) {
  ApiHarness api;
  api.dispatcher.count_next(std::unexpected(
      Refusal(Error(Code::kResourceExhausted, "counts_full", "this worker has as many prompts to count as it takes"))));
  const auto response = api.fetch("POST", kPath, kBody, kKey);
  EXPECT_EQ(response.status, 529);
  EXPECT_EQ(response.header("Retry-After"), "1");
}

}  // namespace
}  // namespace count_tokens_test
}  // namespace tidegate::gateway::test
