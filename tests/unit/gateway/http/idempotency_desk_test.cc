// Requests with an Idempotency-Key on real servers, one for each of two gateways that share a store; the test plays the
// worker.
#include "gateway/http/idempotency_desk.h"

#include <gtest/gtest.h>

#include "base/json/json.h"
#include "tests/support/counted.h"
#include "tests/support/gateway/fake_idempotency_store.h"
#include "tests/support/net/raw_client.h"
#include "tests/support/sim_clock.h"
#include "tests/unit/gateway/http/api_harness.h"

namespace tidegate::gateway::test {
namespace {

using std::chrono::seconds;

Digest secret_of(std::uint8_t fill) {
  Digest secret;
  secret.fill(fill);
  return secret;
}

/// A gateway's HTTP edge with idempotency, beside the harness's plain one. Everything of it lives on the harness's
/// lane.
class Edge {
 public:
  Edge(ApiHarness& house, SharedNames& names, const Clock& store_clock, IdempotencyOptions options = {})
      : house_(house),
        store(names, store_clock),
        metrics(house.registry),
        desk(store, with_secret(options), house.clock, entropy_, house.log, metrics, house.threads.executor(0)),
        api_(house.principals, house.ids, house.clock, {&house.serving}, with_desk(desk)) {
    HttpServerOptions http;
    http.service = "gateway";
    http.render_error = HttpApi::render_error;
    handler_ = [this](HttpExchange& exchange) { return api_.handle(exchange); };
    server = HttpServer::start(house.threads, http, handler_, house.clock, house.log, house.registry).value();
  }
  ~Edge() {
    server.reset();
    house_.on_lane([] {});  // what a handler still had to do is done
  }

  HttpClientResponse post(const std::string& body, const std::string& key = "key-1",
                          const std::string& secret = "good-key", const std::string& path = "/v1/chat/completions") {
    return send(path, body, {{"Authorization", "Bearer " + secret}, {"Idempotency-Key", key}});
  }
  HttpClientResponse send(const std::string& path, const std::string& body, HttpHeaders headers) {
    HttpClientRequest request("POST", path, body);
    request.headers = std::move(headers);
    auto response = http_fetch("http://" + server->address() + path, std::move(request), seconds(10));
    if (response) return *std::move(response);
    HttpClientResponse failed;
    failed.body = response.error().to_string();
    return failed;
  }
  std::future<HttpClientResponse> post_soon(const std::string& body, const std::string& key = "key-1") {
    return std::async(std::launch::async, [this, body, key] { return post(body, key); });
  }

 private:
  static IdempotencyOptions with_secret(IdempotencyOptions options) {
    options.secret = secret_of(7);
    return options;
  }
  static HttpApiParts with_desk(IdempotencyDesk& desk) {
    HttpApiParts parts;
    parts.desks = {&desk};
    return parts;
  }

  ApiHarness& house_;
  SystemEntropy entropy_;

 public:
  FakeIdempotencyStore store;
  IdempotencyMetrics metrics;
  IdempotencyDesk desk;
  std::unique_ptr<HttpServer> server;

 private:
  HttpApi api_;
  HttpHandler handler_;
};

struct IdempotencyDeskTest : testing::Test {
  /// The worker's part of the n-th request.
  void answer(std::size_t n, const std::string& text = "Hello") {
    house.submitted(n);
    house.dispatch(n);
    house.tell(n, accepted_delta(10));
    house.tell(n, text_delta("", text, {.prompt = 10, .completion = 3}));
    house.tell(n, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "!"));
  }
  HttpClientResponse first(const std::string& body, const std::string& text = "Hello") {
    const std::size_t next = house.dispatcher.submitted_count();
    auto soon = edge.post_soon(body);
    answer(next, text);
    return soon.get();
  }
  static std::string code_of(const HttpClientResponse& response) {
    const auto root = json::parse(response.body);
    if (!root || !root->is_object()) return "no JSON: " + response.body;
    const auto* error = root->get_object().if_contains("error");
    return error == nullptr ? "no error" : std::string(error->at("code").as_string());
  }
  static std::string param_of(const HttpClientResponse& response) {
    return std::string(json::parse(response.body)->at("error").at("param").as_string());
  }
  /// What the store holds under the only name.
  SharedNames::Held& only() {
    TG_CHECK(names.held.size() == 1);
    return names.held.begin()->second;
  }

  ApiHarness house;
  tidegate::test::SimClock store_clock;
  SharedNames names;
  Edge edge{house, names, store_clock};
};

TEST_F(IdempotencyDeskTest, ARepeatGetsTheSameAnswerAndIsNotCharged) {
  const auto one = first(chat_body(false));
  ASSERT_EQ(one.status, 200) << one.body;
  EXPECT_EQ(one.header("idempotent-replayed"), "");
  const auto two = edge.post(chat_body(false));
  EXPECT_EQ(two.status, 200);
  EXPECT_EQ(two.body, one.body);
  EXPECT_EQ(two.header("idempotent-replayed"), "true");
  EXPECT_EQ(two.header("x-request-id"), one.header("x-request-id")) << "the request that was charged";
  EXPECT_EQ(two.header("x-tidegate-cost"), one.header("x-tidegate-cost"));
  EXPECT_EQ(house.meter.settled_count(), 1U);
  EXPECT_EQ(house.dispatcher.submitted_count(), 1U);
  EXPECT_EQ(tidegate::test::counted(house.registry, 1, "tidegate_gateway_idempotent_requests_total",
                                    {{"result", "replayed"}}),
            1);
}

TEST_F(IdempotencyDeskTest, ARepeatedStreamIsTheSameStreamOnAnotherGateway) {
  const auto one = first(chat_body(true), "a\xe6\x98\xa5");
  ASSERT_EQ(one.status, 200);
  Edge elsewhere(house, names, store_clock);
  const auto two = elsewhere.post(chat_body(true));
  EXPECT_EQ(two.status, 200);
  EXPECT_EQ(two.header("content-type"), one.header("content-type"));
  EXPECT_EQ(two.body, one.body);
  EXPECT_TRUE(two.body.ends_with("data: [DONE]\n\n"));
  EXPECT_EQ(house.meter.settled_count(), 1U);
}

TEST_F(IdempotencyDeskTest, WhileTheFirstRunsARepeatIsAConflictWithATimeToComeBack) {
  auto soon = edge.post_soon(chat_body(true));
  house.submitted();
  const auto repeat = edge.post(chat_body(true));
  EXPECT_EQ(repeat.status, 409);
  EXPECT_EQ(code_of(repeat), "idempotency_in_flight");
  EXPECT_GE(std::stoi("0" + std::string(repeat.header("Retry-After"))), 1);
  answer(0);
  EXPECT_EQ(soon.get().status, 200);
  EXPECT_EQ(edge.post(chat_body(true)).status, 200);
  EXPECT_EQ(house.meter.settled_count(), 1U);
}

TEST_F(IdempotencyDeskTest, AnotherBodyOrPathUnderTheSameKeyIsRefusedByName) {
  ASSERT_EQ(first(chat_body(false)).status, 200);
  for (const auto& [body, path] :
       {std::pair(chat_body(true), "/v1/chat/completions"), std::pair(chat_body(false), "/chat/completions")}) {
    const auto other = edge.post(body, "key-1", "good-key", path);
    EXPECT_EQ(other.status, 400) << path;
    EXPECT_EQ(code_of(other), "idempotency_mismatch");
    EXPECT_EQ(param_of(other), "Idempotency-Key");
    EXPECT_EQ(other.header("x-should-retry"), "false");
  }
}

TEST_F(IdempotencyDeskTest, EveryDialectRunsOnceAndIsRepeatedInItsOwnWords) {
  const std::pair<const char*, const char*> asks[] = {
      {"/v1/chat/completions", R"({"model":"tang-moe","messages":[{"role":"user","content":"hi"}])"},
      {"/v1/completions", R"({"model":"tang-moe","prompt":"hi")"},
      {"/v1/messages", R"({"model":"tang-moe","max_tokens":9,"messages":[{"role":"user","content":"hi"}])"},
      {"/v1/responses", R"({"model":"tang-moe","input":"hi")"},
  };
  std::size_t n = 0;
  for (const auto& [path, begun] : asks) {
    for (const char* ending : {"}", R"(,"stream":true})"}) {
      const std::string body = std::string(begun) + ending, key = "key-" + std::to_string(n), where = path;
      auto soon = std::async(std::launch::async, [&] { return edge.post(body, key, "good-key", where); });
      answer(n);
      const auto one = soon.get();
      ASSERT_EQ(one.status, 200) << one.body;
      const auto two = edge.post(body, key, "good-key", where);
      EXPECT_EQ(two.status, 200) << path << ending;
      EXPECT_EQ(two.header("idempotent-replayed"), "true") << path << ending;
      EXPECT_EQ(two.body, one.body) << path << ending;
      const auto other = edge.post(body + " ", key, "good-key", where);
      EXPECT_EQ(other.status, 400) << path << ending;
      EXPECT_NE(other.body.find("idempotency_mismatch"), std::string::npos) << other.body;
      ++n;
    }
  }
  EXPECT_EQ(house.meter.settled_count(), n);
  EXPECT_EQ(house.dispatcher.submitted_count(), n);
}

TEST_F(IdempotencyDeskTest, AKeyInADialectsOwnHeaderIsTheSameKey) {
  const std::string body = R"({"model":"tang-moe","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})";
  const HttpHeaders own{{"x-api-key", "good-key"}, {"Authorization", "Bearer of-a-proxy"}, {"Idempotency-Key", "k"}};
  auto soon = std::async(std::launch::async, [&] { return edge.send("/v1/messages", body, own); });
  answer(0);
  const auto one = soon.get();
  ASSERT_EQ(one.status, 200) << one.body;
  const auto two = edge.post(body, "k", "good-key", "/v1/messages");
  EXPECT_EQ(two.body, one.body) << "the answer is sealed under the key, wherever it stands";
  const auto reused = edge.post(body + " ", "k", "good-key", "/v1/messages");
  EXPECT_EQ(reused.status, 400);
  EXPECT_NE(reused.body.find(R"({"type":"error","error":{"type":"invalid_request_error",)"), std::string::npos)
      << reused.body;
  EXPECT_EQ(reused.header("request-id"), reused.header("x-request-id"));
}

TEST_F(IdempotencyDeskTest, EachApiKeyHasNamesOfItsOwn) {
  house.principals.add("other-key");
  ASSERT_EQ(first(chat_body(false)).status, 200);
  auto soon = std::async(std::launch::async, [&] { return edge.post(chat_body(false), "key-1", "other-key"); });
  answer(1);
  EXPECT_EQ(soon.get().header("idempotent-replayed"), "");
  EXPECT_EQ(house.meter.settled_count(), 2U);
}

TEST_F(IdempotencyDeskTest, AnErrorBeforeAnyChargeIsForgottenSoThatTheKeyMayTryAgain) {
  house.meter.fail_next_admit(
      Error(Code::kResourceExhausted, "insufficient_balance", "The wallet is empty; top it up."));
  EXPECT_EQ(edge.post(chat_body(false)).status, 402);
  EXPECT_EQ(edge.post("{").status, 400);
  EXPECT_TRUE(names.held.empty());
  EXPECT_EQ(first(chat_body(false)).status, 200);
}

TEST_F(IdempotencyDeskTest, AStreamThatFailsBeforeAnyChargeIsForgottenThoughItHadBegun) {
  ServingLimits talkative;
  talkative.keep_alive = std::chrono::milliseconds(5);
  ApiHarness waiting(talkative);
  SharedNames its;
  Edge door(waiting, its, store_clock);
  auto soon = door.post_soon(chat_body(true));
  waiting.submitted();
  ASSERT_TRUE(eventually([&] { return waiting.registry.value("tidegate_gateway_keep_alives_total") > 0; }));
  waiting.on_lane([&] { waiting.open_requests.shut_all(); });
  const auto cut = soon.get();
  EXPECT_EQ(cut.status, 200) << "the comment had sent it";
  EXPECT_NE(cut.body.find("gateway_stopping"), std::string::npos) << cut.body;
  EXPECT_TRUE(its.held.empty()) << "nothing was charged, so the same key may try again";
}

TEST_F(IdempotencyDeskTest, AStoreThatIsAwayIs503AtOnceAndNothingRuns) {
  edge.store.set_down(true);
  const auto refused = edge.post(chat_body(false));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(code_of(refused), "idempotency_unavailable");
  EXPECT_FALSE(refused.header("Retry-After").empty());
  EXPECT_EQ(house.dispatcher.submitted_count(), 0U);
  EXPECT_EQ(house.meter.entries().size(), 0U);
}

TEST_F(IdempotencyDeskTest, AnAnswerThatCannotBeRememberedIsNotCharged) {
  for (const bool is_stream : {false, true}) {
    edge.store.fail_next("commit");
    const std::size_t next = house.dispatcher.submitted_count();
    auto soon = edge.post_soon(chat_body(is_stream), is_stream ? "stream" : "whole");
    answer(next);
    const auto refused = soon.get();
    EXPECT_EQ(refused.status, 503) << is_stream;
    EXPECT_EQ(code_of(refused), "idempotency_unavailable");
    EXPECT_EQ(refused.body.find("Hello"), std::string::npos);
  }
  for (const auto& entry : house.meter.entries()) {
    ASSERT_EQ(entry.settled.size(), 1U);
    EXPECT_EQ(entry.settled[0].usage, TokenUsage{});
    EXPECT_EQ(entry.settled[0].outcome, Outcome::kFailed);
    EXPECT_TRUE(entry.progress.empty()) << "the next life of this gateway would charge what was journalled";
  }
  EXPECT_TRUE(names.held.empty()) << "and forgotten";
}

TEST_F(IdempotencyDeskTest, AnAnswerTheStoreDidNotTakeIsNeverRunAgain) {
  edge.store.fail_next("finish");
  const auto one = first(chat_body(false));
  EXPECT_EQ(one.status, 200) << "the client has it";
  EXPECT_EQ(code_of(edge.post(chat_body(false))), "idempotency_in_flight") << "until the lease lapses";
  store_clock.advance(seconds(21));
  const auto repeat = edge.post(chat_body(false));
  EXPECT_EQ(repeat.status, 410);
  EXPECT_EQ(code_of(repeat), "idempotency_outcome_unknown");
  EXPECT_NE(repeat.body.find(one.header("x-request-id")), std::string::npos);
  EXPECT_EQ(repeat.header("x-should-retry"), "false");
  EXPECT_EQ(house.meter.settled_count(), 1U);
  EXPECT_EQ(tidegate::test::counted(house.registry, 1, "tidegate_gateway_idempotent_not_stored_total"), 1);
}

TEST_F(IdempotencyDeskTest, AGatewayThatDiedBeforeAnyChargeIsReplacedByTheRepeat) {
  auto dying = edge.post_soon(chat_body(false));
  const auto dead = house.submitted(0);
  store_clock.advance(seconds(21));  // nobody renewed its claim
  Edge elsewhere(house, names, store_clock);
  auto repeat = elsewhere.post_soon(chat_body(false));
  answer(1);
  EXPECT_EQ(repeat.get().status, 200);
  answer(0);
  const auto late = dying.get();
  EXPECT_EQ(late.status, 409) << "it was only slow, and charges nothing";
  EXPECT_EQ(house.meter.entry(0).settled.at(0).usage, TokenUsage{});
  EXPECT_EQ(house.meter.entry(1).settled.at(0).usage.completion, 5);
  EXPECT_NE(dead.request, RequestId{});
}

TEST_F(IdempotencyDeskTest, TheAnswerIsFinishedForAClientThatLeft) {
  tidegate::test::RawClient client(edge.server->port());
  const std::string body = chat_body(true);
  ASSERT_TRUE(
      client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer good-key\r\n"
                  "Idempotency-Key: key-1\r\nContent-Type: application/json\r\nContent-Length: " +
                  std::to_string(body.size()) + "\r\n\r\n" + body));
  house.submitted(0);
  client.reset();
  answer(0, "for later");
  ASSERT_TRUE(eventually([&] { return house.meter.settled_count() == 1; }));
  EXPECT_EQ(house.meter.entry(0).settled[0].outcome, Outcome::kCompleted);
  HttpClientResponse repeat;
  ASSERT_TRUE(eventually([&] {
    repeat = edge.post(chat_body(true));
    return repeat.status == 200;
  }));
  EXPECT_NE(repeat.body.find("for later"), std::string::npos);
  EXPECT_EQ(house.meter.settled_count(), 1U);
}

TEST_F(IdempotencyDeskTest, ATooLargeAnswerIsGivenOnceAndItsRepeatNamesTheRequest) {
  IdempotencyOptions small;
  small.answer_bytes_max = 2'000;
  Edge narrow(house, names, store_clock, small);
  auto soon = narrow.post_soon(chat_body(false), "large");
  answer(0, std::string(5'000, 'x'));
  const auto one = soon.get();
  EXPECT_EQ(one.status, 200);
  EXPECT_NE(one.body.find("xxxx"), std::string::npos);
  const auto repeat = narrow.post(chat_body(false), "large");
  EXPECT_EQ(repeat.status, 410);
  EXPECT_EQ(code_of(repeat), "idempotency_answer_not_kept");
  EXPECT_NE(repeat.body.find(one.header("x-request-id")), std::string::npos);
  EXPECT_EQ(house.meter.settled_count(), 1U);
  EXPECT_EQ(only().entry.answer, "");
}

TEST_F(IdempotencyDeskTest, AStreamCutByItsWorkerIsRepeatedAsItWas) {
  auto soon = edge.post_soon(chat_body(true));
  house.submitted();
  house.dispatch();
  house.tell(0, accepted_delta(10));
  house.tell(0, text_delta("", "half of", {.prompt = 10, .completion = 3}));
  ASSERT_TRUE(eventually([&] { return !house.meter.entry(0).progress.empty(); }));
  house.on_lane([&] { house.dispatcher.submitted(0).listener->on_worker_lost(); });
  const auto one = soon.get();
  EXPECT_NE(one.body.find("worker_lost"), std::string::npos);
  const auto two = edge.post(chat_body(true));
  EXPECT_EQ(two.body, one.body) << "it was charged for what it has";
}

TEST_F(IdempotencyDeskTest, TheStoreSeesNoKeyNoPromptAndNoAnswer) {
  ASSERT_EQ(
      first(R"({"model":"tang-moe","messages":[{"role":"user","content":"my secret plan"}]})", "secret answer").status,
      200);
  const auto& [name, held] = *names.held.begin();
  for (const char* text : {"key-1", "good-key", "secret", "plan", "tang-moe", "chatcmpl"}) {
    EXPECT_EQ((name + held.entry.digest + held.entry.answer).find(text), std::string::npos) << text;
  }
  EXPECT_FALSE(house.log.mentions("key-1"));
  EXPECT_FALSE(house.log.mentions("secret"));
}

TEST_F(IdempotencyDeskTest, AnAnswerThatCannotBeOpenedIsNotRunAgain) {
  ASSERT_EQ(first(chat_body(false)).status, 200);
  only().entry.answer[20] = static_cast<char>(only().entry.answer[20] ^ 1);
  const auto repeat = edge.post(chat_body(false));
  EXPECT_EQ(repeat.status, 410);
  EXPECT_EQ(code_of(repeat), "idempotency_outcome_unknown");
  EXPECT_TRUE(house.log.has("idempotent_answer_unreadable"));
}

TEST_F(IdempotencyDeskTest, ABadHeaderAndAnInstallationWithoutAStoreSaySo) {
  const auto too_long = edge.post(chat_body(false), std::string(256, 'k'));
  EXPECT_EQ(too_long.status, 400);
  EXPECT_EQ(param_of(too_long), "Idempotency-Key");
  HttpHeaders headers{{"Authorization", "Bearer good-key"}, {"Idempotency-Key", "key-1"}};
  const auto none = house.fetch("POST", "/v1/chat/completions", chat_body(false), headers);
  EXPECT_EQ(none.status, 400);
  EXPECT_EQ(code_of(none), "unsupported_parameter");
  headers[0].second = "Bearer wrong";
  EXPECT_EQ(house.fetch("POST", "/v1/chat/completions", chat_body(false), headers).status, 401);
}

TEST_F(IdempotencyDeskTest, AClaimThatWasTakenButNotAnsweredIsLetGoOf) {
  IdempotencyOptions often;
  often.renew_every = std::chrono::milliseconds(5);
  Edge busy(house, names, store_clock, often);
  auto keeping = std::async(std::launch::async, [&] {
    const auto keep = [&] { return busy.desk.keep_claims(); };
    house.threads.run_on(0, keep);
  });
  house.threads.run_on(0, [&] { busy.store.lose_claim_answer(); });
  EXPECT_EQ(busy.post(chat_body(false), "lost").status, 503);
  const auto is_free = [&] { return house.threads.run_on(0, [&] { return names.held.empty(); }); };
  EXPECT_TRUE(eventually(is_free)) << "a repeat would hear 409 for as long as the lease lasts";
  auto soon = busy.post_soon(chat_body(false), "lost");
  answer(0);
  EXPECT_EQ(soon.get().status, 200);
  busy.desk.stop();
  keeping.get();
}

TEST_F(IdempotencyDeskTest, OpenClaimsAreRenewedUntilTheyEnd) {
  IdempotencyOptions often;
  often.renew_every = std::chrono::milliseconds(5);
  Edge busy(house, names, store_clock, often);
  auto keeping = std::async(std::launch::async, [&] {
    const auto keep = [&] { return busy.desk.keep_claims(); };
    house.threads.run_on(0, keep);
  });
  auto soon = busy.post_soon(chat_body(false), "long");
  house.submitted(0);
  const auto renewals = [&] { return house.threads.run_on(0, [&] { return busy.store.calls("renew"); }); };
  EXPECT_TRUE(eventually([&] { return renewals() >= 3; }));
  answer(0);
  EXPECT_EQ(soon.get().status, 200);
  busy.desk.stop();
  keeping.get();
}

}  // namespace
}  // namespace tidegate::gateway::test
