// Limits on rates as HTTP clients of every dialect see them: headers, 429, and what a request gives back.
#include <gtest/gtest.h>

#include <string>

#include "gateway/http/rate_headers.h"
#include "tests/support/counted.h"
#include "tests/support/gateway/fake_rate_gate.h"
#include "tests/unit/gateway/http/api_harness.h"

namespace tidegate::gateway::test::limits_api_test {
namespace {

struct LimitedApi {
  LimitedApi() { api.serving.rates = &gate; }
  FakeRateGate gate;
  ApiHarness api;
};

RateGauge gauge(std::int64_t limit, std::int64_t remaining, Duration reset = {}) {
  RateGauge out;
  out.limit = limit;
  out.remaining = remaining;
  out.reset = reset;
  return out;
}

/// One request of a dialect, without its last brace, and how that dialect says that a rate is used up.
struct Ask {
  const char* path;
  const char* body;
  const char* refusal;
};
constexpr Ask kAsks[] = {
    {"/v1/chat/completions", R"({"model":"tang-moe","messages":[{"role":"user","content":"hi"}])",
     R"("type":"rate_limit_error","param":null,"code":"rate_limit_exceeded")"},
    {"/v1/completions", R"({"model":"tang-moe","prompt":"hi")",
     R"("type":"rate_limit_error","param":null,"code":"rate_limit_exceeded")"},
    {"/v1/messages", R"({"model":"tang-moe","max_tokens":9,"messages":[{"role":"user","content":"hi"}])",
     R"({"type":"error","error":{"type":"rate_limit_error",)"},
    {"/v1/responses", R"({"model":"tang-moe","input":"hi")", R"("code":"rate_limit_exceeded")"},
};

TEST(LimitsApi, HeadersTellWhatBindingLimitsHaveLeft) {
  LimitedApi limited;
  ApiHarness& api = limited.api;
  RateStatus status;
  status.requests = gauge(600, 599, std::chrono::milliseconds(59'200));
  status.tokens = gauge(200'000, 191'000, std::chrono::minutes(6));
  status.concurrency = gauge(8, 7);
  limited.gate.set_status(status);
  auto answer = api.post_chat(chat_body(false));
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "ok"));
  const auto response = answer.get();
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.header("x-ratelimit-limit-requests"), "600");
  EXPECT_EQ(response.header("x-ratelimit-remaining-requests"), "599");
  EXPECT_EQ(response.header("x-ratelimit-reset-requests"), "1m0s");
  EXPECT_EQ(response.header("x-ratelimit-remaining-tokens"), "191000");
  EXPECT_EQ(response.header("x-ratelimit-reset-tokens"), "6m0s");
  EXPECT_EQ(response.header("x-ratelimit-remaining-concurrency"), "7");
  EXPECT_EQ(response.header("x-ratelimit-reset-concurrency"), "");
  EXPECT_EQ(response.header("x-ratelimit-limit-tokens-day"), "") << "no limit, no header";
}

TEST(LimitsApi, ARefusalIs429WithRetryAfterBeforeAnyMoneyIsHeld) {
  LimitedApi limited;
  RateStatus status;
  status.requests = gauge(600, 0, std::chrono::milliseconds(11'200));
  limited.gate.set_status(status);
  limited.gate.refuse_next(Refusal(Error(Code::kResourceExhausted, "rate_limit_exceeded", "Rate limit reached."),
                                   std::chrono::milliseconds(11'200)));
  const auto response = limited.api.fetch("POST", "/v1/chat/completions", chat_body(true));
  EXPECT_EQ(response.status, 429);
  EXPECT_NE(response.body.find("rate_limit_exceeded"), std::string::npos);
  EXPECT_EQ(response.header("Retry-After"), "12");
  EXPECT_EQ(response.header("x-should-retry"), "true");
  EXPECT_EQ(response.header("x-ratelimit-remaining-requests"), "0");
  EXPECT_EQ(response.header("x-ratelimit-reset-requests"), "12s");
  EXPECT_TRUE(limited.api.meter.entries().empty());
  EXPECT_EQ(tidegate::test::counted(limited.api.registry, 1, "tidegate_gateway_refusals_total",
                                    {{"reason", "rate_limit_exceeded"}}),
            1);
}

TEST(LimitsApi, EveryDialectTellsWhatIsLeftStreamedOrNot) {
  LimitedApi limited;
  RateStatus status;
  status.requests = gauge(600, 599, std::chrono::seconds(30));
  limited.gate.set_status(status);
  std::size_t n = 0;
  for (const Ask& ask : kAsks) {
    for (const char* ending : {"}", R"(,"stream":true})"}) {
      auto answer = limited.api.post(ask.path, std::string(ask.body) + ending);
      limited.api.submitted(n);
      limited.api.dispatch(n);
      limited.api.tell(n, accepted_delta(10));
      limited.api.tell(n, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "ok"));
      const auto response = answer.get();
      ASSERT_EQ(response.status, 200) << response.body;
      EXPECT_EQ(response.header("x-ratelimit-limit-requests"), "600") << ask.path << ending;
      EXPECT_EQ(response.header("x-ratelimit-remaining-requests"), "599") << ask.path << ending;
      ++n;
    }
  }
}

TEST(LimitsApi, EveryDialectRefusesInItsOwnWordsAndSaysWhenToComeBack) {
  LimitedApi limited;
  RateStatus status;
  status.tokens = gauge(9'000, 0, std::chrono::milliseconds(11'200));
  limited.gate.set_status(status);
  for (const Ask& ask : kAsks) {
    for (const char* ending : {"}", R"(,"stream":true})"}) {
      limited.gate.refuse_next(Refusal(Error(Code::kResourceExhausted, "rate_limit_exceeded", "Rate limit reached."),
                                       std::chrono::milliseconds(11'200)));
      const auto response = limited.api.fetch("POST", ask.path, std::string(ask.body) + ending);
      EXPECT_EQ(response.status, 429) << ask.path << ending;
      EXPECT_NE(response.body.find(ask.refusal), std::string::npos) << response.body;
      EXPECT_EQ(response.header("Retry-After"), "12") << ask.path << ending;
      EXPECT_EQ(response.header("x-ratelimit-limit-tokens"), "9000") << ask.path << ending;
      EXPECT_EQ(response.header("x-ratelimit-remaining-tokens"), "0") << ask.path << ending;
      EXPECT_EQ(response.header("x-ratelimit-reset-tokens"), "12s") << ask.path << ending;
    }
  }
  EXPECT_TRUE(limited.api.meter.entries().empty());
}

TEST(LimitsApi, APermitShrinksToThePromptSettlesToTheUsageAndEndsWithTheAnswer) {
  LimitedApi limited;
  ApiHarness& api = limited.api;
  auto answer = api.post_chat(chat_body(true, R"(,"max_tokens":50)"));
  api.submitted();
  const auto held = limited.gate.entry(0);
  EXPECT_EQ(held.request.model, "tang-moe");
  EXPECT_EQ(held.request.tokens_max, api.meter.entry(0).request.prompt_tokens_max + 50);
  EXPECT_TRUE(held.is_open);
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, text_delta("", "Hello", {.prompt = 10, .completion = 3}));
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "!"));
  ASSERT_EQ(answer.get().status, 200);
  ASSERT_TRUE(eventually([&] { return !limited.gate.entry(0).is_open; }));
  EXPECT_EQ(limited.gate.entry(0).shrunk, (std::vector<std::int64_t>{60}));
  EXPECT_EQ(limited.gate.entry(0).settled, (std::vector<std::int64_t>{15}));
}

TEST(LimitsApi, AnEmptyWalletGivesTheTokensBack) {
  LimitedApi limited;
  limited.api.meter.fail_next_admit(Error(Code::kResourceExhausted, "insufficient_balance", "Empty."));
  EXPECT_EQ(limited.api.fetch("POST", "/v1/chat/completions", chat_body(true)).status, 402);
  ASSERT_TRUE(eventually([&] { return !limited.gate.entry(0).is_open; }));
  EXPECT_EQ(limited.gate.entry(0).settled, (std::vector<std::int64_t>{0}));
}

TEST(RateHeaders, SpansAreWrittenAsOpenAiWritesThem) {
  EXPECT_EQ(rate_reset_text(std::chrono::milliseconds(120)), "120ms");
  EXPECT_EQ(rate_reset_text(std::chrono::microseconds(1)), "1ms");
  EXPECT_EQ(rate_reset_text(std::chrono::seconds(1)), "1s");
  EXPECT_EQ(rate_reset_text(std::chrono::milliseconds(1'001)), "2s");
  EXPECT_EQ(rate_reset_text(std::chrono::minutes(6)), "6m0s");
  EXPECT_EQ(rate_reset_text(std::chrono::hours(24) - std::chrono::seconds(1)), "23h59m59s");
}

}  // namespace
}  // namespace tidegate::gateway::test::limits_api_test
