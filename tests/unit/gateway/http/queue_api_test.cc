// The queue as HTTP clients see it: what is refused before it costs anything, where a request stands, and which tier it
// got.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/counted.h"
#include "tests/support/gateway/fake_rate_gate.h"
#include "tests/unit/gateway/http/stream_client.h"

namespace tidegate::gateway::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const HttpHeaders kKey = {{"Authorization", "Bearer good-key"}};

HttpHeaders with(const std::string& name, const std::string& value) {
  HttpHeaders headers = kKey;
  headers.emplace_back(name, value);
  return headers;
}

Refusal full_queue() {
  Refusal refusal(Error(Code::kResourceExhausted, "queue_full", "Too many requests are waiting."), milliseconds(4'321));
  refusal.queue_wait = milliseconds(7'650);
  return refusal;
}

/// Lets the worker answer the n-th request.
void answer(ApiHarness& api, std::size_t n = 0) {
  api.submitted(n);
  api.dispatch(n);
  api.tell(n, accepted_delta(10));
  api.tell(n, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "ok"));
}

TEST(QueueApi, AFullQueueRefusesBeforeLimitsAndMoneyAreTouched) {
  FakeRateGate gate;
  ApiHarness api;
  api.serving.rates = &gate;
  api.dispatcher.refuse_all(full_queue());
  gate.refuse_next(Refusal(Error(Code::kResourceExhausted, "rate_limit_exceeded", "never asked"), seconds(1)));
  for (const bool is_stream : {false, true}) {
    const auto response = api.fetch("POST", "/v1/chat/completions", chat_body(is_stream));
    EXPECT_EQ(response.status, 503) << response.body;
    EXPECT_EQ(response.header("Retry-After"), "5");
    EXPECT_EQ(response.header("retry-after-ms"), "4321");
    EXPECT_EQ(response.header("x-tidegate-queue-wait-ms"), "7650");
    EXPECT_EQ(response.header("x-should-retry"), "true");
  }
  EXPECT_TRUE(api.meter.entries().empty()) << "no hold";
  EXPECT_EQ(api.dispatcher.submitted_count(), 0U);
  EXPECT_EQ(tidegate::test::counted(api.registry, 2, "tidegate_gateway_refusals_total", {{"reason", "queue_full"}}), 2);
}

TEST(QueueApi, AWaitingStreamIsToldWhereItStands) {
  ServingLimits limits;
  limits.keep_alive = milliseconds(10);
  ApiHarness api(limits);
  QueuePlace place;
  place.position = 3;
  place.eta = milliseconds(1'200);
  api.dispatcher.set_place(place);
  StreamClient client(api, chat_body(true));
  api.submitted();
  EXPECT_TRUE(eventually([&] { return client.saw(": keep-alive queued position=3 eta_ms=1200\n\n"); }));
  place.eta.reset();
  api.dispatcher.set_place(place);
  EXPECT_TRUE(eventually([&] { return client.saw(": keep-alive queued position=3\n\n"); }));
  api.dispatcher.set_place(std::nullopt);
  EXPECT_TRUE(eventually([&] { return client.saw(": keep-alive\n\n"); }));
  answer(api);
  ASSERT_TRUE(client.wait());
}

TEST(QueueApi, TheClientsDeadlineReachesTheQueue) {
  ApiHarness api;
  api.dispatcher.refuse_all(full_queue());
  const Mono before = api.clock.mono();
  api.fetch("POST", "/v1/chat/completions", chat_body(false), with("x-tidegate-deadline-ms", "5000"));
  const Deadline deadline = api.dispatcher.asked(0).deadline;
  EXPECT_GT(deadline.instant(), before);
  EXPECT_LE(deadline.instant(), api.clock.mono() + seconds(5));
  api.fetch("POST", "/v1/chat/completions", chat_body(false));
  EXPECT_GT(api.dispatcher.asked(1).deadline.instant(), api.clock.mono() + seconds(60)) << "the server's own";
}

TEST(QueueApi, ADeadlineThatIsNoNumberIsNamed) {
  ApiHarness api;
  for (const char* wrong : {"0", "-1", "soon", "1.5", "3600001", "99999999999999999999", " 7 x"}) {
    const auto response =
        api.fetch("POST", "/v1/chat/completions", chat_body(false), with("x-tidegate-deadline-ms", wrong));
    EXPECT_EQ(response.status, 400) << wrong;
    EXPECT_NE(response.body.find("x-tidegate-deadline-ms"), std::string::npos) << response.body;
  }
  EXPECT_EQ(api.dispatcher.submitted_count(), 0U);
}

TEST(QueueApi, TheAnswerSaysWhichTierReallyServed) {
  ApiHarness api;
  const auto serve = [&](std::size_t n, const std::string& path, const std::string& body) {
    auto reply = api.post(path, body);
    answer(api, n);
    return reply.get().body;
  };
  const std::string chat = "/v1/chat/completions";
  EXPECT_NE(serve(0, chat, chat_body(false, R"(,"service_tier":"priority")")).find(R"("service_tier":"default")"),
            std::string::npos)
      << "no right to it";
  EXPECT_EQ(api.dispatcher.submitted(0).tier, ServiceTier::kDefault);
  EXPECT_NE(serve(1, chat, chat_body(false, R"(,"service_tier":"flex")")).find(R"("service_tier":"flex")"),
            std::string::npos);
  EXPECT_EQ(serve(2, chat, chat_body(false)).find("service_tier"), std::string::npos) << "nobody asked";
  api.principals.share("good-key", 4, ServiceTier::kPriority);
  EXPECT_NE(serve(3, chat, chat_body(true, R"(,"service_tier":"priority")")).find(R"("service_tier":"priority")"),
            std::string::npos);
  EXPECT_EQ(api.dispatcher.submitted(3).tier, ServiceTier::kPriority);
  EXPECT_EQ(api.dispatcher.submitted(3).weight, 4);
  const std::string responses = R"({"model":"tang-moe","input":"hi","service_tier":"flex"})";
  EXPECT_NE(serve(4, "/v1/responses", responses).find(R"("service_tier":"flex")"), std::string::npos);
  const std::string completion = R"({"model":"tang-moe","prompt":"hi","service_tier":"default"})";
  EXPECT_NE(serve(5, "/v1/completions", completion).find(R"("service_tier":"default")"), std::string::npos);
  const std::string messages =
      R"({"model":"tang-moe","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"service_tier":)";
  EXPECT_NE(serve(6, "/v1/messages", messages + R"("auto"})").find(R"("service_tier":"priority")"), std::string::npos);
  EXPECT_NE(serve(7, "/v1/messages", messages + R"("standard_only"})").find(R"("service_tier":"standard")"),
            std::string::npos);
}

}  // namespace
}  // namespace tidegate::gateway::test
