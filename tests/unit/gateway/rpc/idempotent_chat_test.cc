// What gRPC clients see beside the events: metadata, and requests with an Idempotency-Key. The test plays the worker.
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/counted.h"
#include "tests/unit/gateway/rpc/grpc_harness.h"

namespace tidegate::gateway::test {
namespace {

using std::chrono::seconds;
using tidegate::test::eventually;

/// A whole call as its client had it.
struct Heard : HeardStatus {
  std::vector<v1::ChatEvent> events;

  std::string text() const {
    std::string out;
    for (const auto& event : events) out += event.delta().content();
    return out;
  }
  /// Of all calls of tools, one behind the other.
  std::string arguments() const {
    std::string out;
    for (const auto& event : events) {
      for (const auto& call : event.delta().tool_calls()) out += call.arguments();
    }
    return out;
  }
};

class IdempotentChatTest : public GrpcHarness {
 protected:
  static v1::ChatRequest request(const std::string& text = "hi") {
    v1::ChatRequest r;
    r.set_model("tang-moe");
    auto* message = r.add_messages();
    message->set_role("user");
    message->set_content(text);
    return r;
  }
  /// `keys`: Idempotency-Keys to send. `events_max`: leaves after so many.
  Heard chat(const v1::ChatRequest& ask, const std::vector<std::string>& keys = {},
             const std::string& secret = "good-key", std::size_t events_max = 1'000) {
    grpc::ClientContext context;
    prepare(context, secret, keys);
    const auto reader = stub_->Chat(&context, ask);
    Heard heard;
    v1::ChatEvent event;
    while (heard.events.size() < events_max && reader->Read(&event)) heard.events.push_back(event);
    if (heard.events.size() == events_max) context.TryCancel();
    heard.end(reader->Finish(), context);
    return heard;
  }
  std::future<Heard> chat_soon(const v1::ChatRequest& ask, const std::vector<std::string>& keys = {},
                               const std::string& secret = "good-key", std::size_t events_max = 1'000) {
    return std::async(std::launch::async,
                      [this, ask, keys, secret, events_max] { return chat(ask, keys, secret, events_max); });
  }
  /// The worker's part of the n-th request.
  void answer(std::size_t n, const std::string& text = "Hello") {
    dispatch(n);
    tell(n, accepted_delta(10));
    tell(n, text_delta("", text, {.prompt = 10, .completion = 3}));
    tell(n, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "!"));
  }
  Heard first(const v1::ChatRequest& ask, const std::string& text = "Hello") {
    const std::size_t next = dispatcher_.submitted_count();
    auto soon = chat_soon(ask, {"key-1"});
    answer(next, text);
    return soon.get();
  }
};

TEST_F(IdempotentChatTest, AnAnswersMetadataSaysWhatHttpSaysInHeaders) {
  RateStatus status;
  status.requests = RateGauge{600, 599, std::chrono::milliseconds(59'200)};
  rates_.set_status(status);
  auto soon = chat_soon(request());
  answer(0);
  const Heard heard = soon.get();
  ASSERT_TRUE(heard.status.ok()) << heard.status.error_message();
  EXPECT_EQ(heard.initial.at("x-request-id"), heard.events.at(0).accepted().request_id());
  EXPECT_EQ(heard.initial.at("x-ratelimit-limit-requests"), "600");
  EXPECT_EQ(heard.initial.at("x-ratelimit-remaining-requests"), "599");
  EXPECT_EQ(heard.initial.at("x-ratelimit-reset-requests"), "1m0s");
  EXPECT_EQ(heard.initial.at("x-tidegate-price-band"), "off-peak");
  EXPECT_EQ(heard.initial.at("x-tidegate-variant"), "fp8");
  EXPECT_EQ(heard.initial.at("x-tidegate-weights"), fake_worker().weights_digest);
  EXPECT_EQ(heard.initial.at("x-tidegate-model"), "tang-moe");
  EXPECT_EQ(heard.initial.at("traceparent").size(), 55U) << heard.initial.at("traceparent");
  EXPECT_TRUE(heard.initial.contains("x-tidegate-queue-ms"));
  EXPECT_FALSE(heard.initial.contains("idempotent-replayed"));
  EXPECT_EQ(heard.events.back().finished().cost().band(), "off-peak");
}

TEST_F(IdempotentChatTest, TheWaitThatIsToldIsAllOfIt) {
  auto soon = chat_soon(request());
  wait_in_queue(0, seconds(3));
  dispatch(0);
  threads_.run_on(0, [&] { dispatcher_.submitted(0).listener->on_worker_lost(); });
  wait_in_queue(1, seconds(2));
  answer(1);
  const Heard heard = soon.get();
  ASSERT_TRUE(heard.status.ok()) << heard.status.error_message();
  EXPECT_GE(std::stoi(heard.initial.at("x-tidegate-queue-ms")), 5'000) << "for the lost worker and for the next";
}

TEST_F(IdempotentChatTest, ARefusalSaysWhenToComeBackAndWhatIsLeft) {
  RateStatus status;
  status.requests = RateGauge{600, 0, std::chrono::milliseconds(11'200)};
  rates_.set_status(status);
  rates_.refuse_next(Refusal(Error(Code::kResourceExhausted, "rate_limit_exceeded", "Rate limit reached."),
                             std::chrono::milliseconds(11'200)));
  const Heard heard = chat(request());
  EXPECT_EQ(heard.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(heard.reason(), "rate_limit_exceeded");
  EXPECT_EQ(heard.trailing.at("retry-after-ms"), "11200");
  EXPECT_EQ(heard.trailing.at("x-should-retry"), "true");
  EXPECT_EQ(heard.initial.at("x-ratelimit-remaining-requests"), "0");
  EXPECT_FALSE(heard.initial.at("x-request-id").empty());
  const Heard stranger = chat(request(), {}, "wrong");
  EXPECT_FALSE(stranger.initial.at("x-request-id").empty());
  EXPECT_FALSE(stranger.trailing.contains("retry-after-ms")) << "coming back would not help";
}

TEST_F(IdempotentChatTest, ARepeatGetsTheSameAnswerAndIsNotCharged) {
  const Heard one = first(request());
  ASSERT_TRUE(one.status.ok()) << one.status.error_message();
  EXPECT_EQ(one.text(), "Hello!");
  const Heard two = chat(request(), {"key-1"});
  ASSERT_TRUE(two.status.ok()) << two.status.error_message();
  EXPECT_EQ(two.text(), "Hello!");
  EXPECT_EQ(two.events.front().SerializeAsString(), one.events.front().SerializeAsString());
  EXPECT_EQ(two.events.back().SerializeAsString(), one.events.back().SerializeAsString()) << "usage, cost and receipt";
  EXPECT_EQ(two.initial.at("x-request-id"), one.initial.at("x-request-id")) << "the request that was charged";
  EXPECT_EQ(two.initial.at("idempotent-replayed"), "true");
  EXPECT_EQ(meter_.settled_count(), 1U);
  EXPECT_EQ(dispatcher_.submitted_count(), 1U);
  EXPECT_EQ(
      tidegate::test::counted(registry_, 1, "tidegate_gateway_idempotent_requests_total", {{"result", "replayed"}}), 1);
}

TEST_F(IdempotentChatTest, CallsOfToolsAreDeltasAndAreKeptWithTheAnswer) {
  auto soon = chat_soon(request(), {"key-1"});
  dispatch(0);
  tell(0, accepted_delta(10));
  SequenceDelta begun = text_delta("", "", {.prompt = 10, .completion = 3});
  begun.tool_calls.push_back({0, "c1", "f", "{"});
  tell(0, std::move(begun));
  SequenceDelta last = end_delta(SequenceEnd::kToolCalls, {.prompt = 10, .completion = 5});
  last.tool_calls.push_back({0, "", "", "}"});
  tell(0, std::move(last));
  const Heard one = soon.get();
  ASSERT_TRUE(one.status.ok()) << one.status.error_message();
  EXPECT_EQ(one.arguments(), "{}");
  EXPECT_EQ(one.events.back().finished().finish_reason(), "tool_calls");
  const Heard two = chat(request(), {"key-1"});
  EXPECT_EQ(two.arguments(), "{}");
  EXPECT_EQ(two.events.back().SerializeAsString(), one.events.back().SerializeAsString());
  EXPECT_EQ(meter_.settled_count(), 1U);
}

TEST_F(IdempotentChatTest, WhileTheFirstRunsARepeatIsAborted) {
  auto soon = chat_soon(request(), {"key-1"});
  ASSERT_TRUE(eventually([&] { return dispatcher_.submitted_count() == 1; }));
  const Heard repeat = chat(request(), {"key-1"});
  EXPECT_EQ(repeat.status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(repeat.reason(), "idempotency_in_flight");
  EXPECT_EQ(repeat.trailing.at("retry-after-ms"), "1000");
  answer(0);
  EXPECT_TRUE(soon.get().status.ok());
  EXPECT_TRUE(chat(request(), {"key-1"}).status.ok());
  EXPECT_EQ(meter_.settled_count(), 1U);
}

TEST_F(IdempotentChatTest, AnotherRequestUnderTheSameKeyIsRefusedAndAnotherCallersKeyIsItsOwn) {
  ASSERT_TRUE(first(request()).status.ok());
  const Heard reused = chat(request("another"), {"key-1"});
  EXPECT_EQ(reused.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(reused.reason(), "idempotency_mismatch");
  EXPECT_EQ(reused.trailing.at("x-should-retry"), "false");
  auto other = chat_soon(request(), {"key-1"}, "other-key");
  answer(1);
  EXPECT_FALSE(other.get().initial.contains("idempotent-replayed"));
  EXPECT_EQ(meter_.settled_count(), 2U);
}

TEST_F(IdempotentChatTest, BadKeysAndTwoKeysAreRefusedByName) {
  for (const auto& keys : {std::vector<std::string>{std::string(256, 'k')}, std::vector<std::string>{"a", "b"}}) {
    const Heard heard = chat(request(), keys);
    EXPECT_EQ(heard.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(heard.trailing.at("tidegate-field"), "Idempotency-Key");
  }
  EXPECT_EQ(dispatcher_.submitted_count(), 0U);
}

TEST_F(IdempotentChatTest, ARefusalBeforeAnyChargeIsForgottenSoThatTheKeyMayTryAgain) {
  meter_.fail_next_admit(Error(Code::kResourceExhausted, "insufficient_balance", "The wallet is empty; top it up."));
  EXPECT_EQ(chat(request(), {"key-1"}).reason(), "insufficient_balance");
  auto bad = request();
  bad.mutable_sampling()->set_temperature(3);
  EXPECT_EQ(chat(bad, {"key-1"}).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(first(request()).status.ok());
}

TEST_F(IdempotentChatTest, AStoreThatIsAwayIsUnavailableAtOnceAndNothingRuns) {
  threads_.run_on(0, [&] { store_.set_down(true); });
  const Heard refused = chat(request(), {"key-1"});
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(refused.reason(), "idempotency_unavailable");
  EXPECT_EQ(dispatcher_.submitted_count(), 0U);
}

TEST_F(IdempotentChatTest, TheAnswerIsFinishedForAClientThatLeft) {
  auto soon = chat_soon(request(), {"key-1"}, "good-key", 1);  // leaves after `accepted`
  dispatch(0);
  tell(0, accepted_delta(10));
  EXPECT_EQ(soon.get().status.error_code(), grpc::StatusCode::CANCELLED);
  tell(0, text_delta("", "for later", {.prompt = 10, .completion = 3}));
  tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "."));
  ASSERT_TRUE(eventually([&] { return meter_.settled_count() == 1; }));
  EXPECT_EQ(meter_.entry(0).settled.at(0).outcome, Outcome::kCompleted);
  Heard repeat;
  ASSERT_TRUE(eventually([&] {
    repeat = chat(request(), {"key-1"});
    return repeat.status.ok();
  }));
  EXPECT_EQ(repeat.text(), "for later.");
  EXPECT_EQ(meter_.settled_count(), 1U);
}

TEST_F(IdempotentChatTest, AnAnswerCutByItsWorkerIsRepeatedAsItWas) {
  auto soon = chat_soon(request(), {"key-1"});
  dispatch(0);
  tell(0, accepted_delta(10));
  tell(0, text_delta("", "half of", {.prompt = 10, .completion = 3}));
  ASSERT_TRUE(eventually([&] { return !meter_.entry(0).progress.empty(); }));
  threads_.run_on(0, [&] { dispatcher_.submitted(0).listener->on_worker_lost(); });
  const Heard one = soon.get();
  EXPECT_EQ(one.reason(), "worker_lost");
  const Heard repeat = chat(request(), {"key-1"});
  EXPECT_EQ(repeat.initial.at("idempotent-replayed"), "true");
  EXPECT_EQ(repeat.text(), one.text());
  EXPECT_EQ(repeat.reason(), "worker_lost") << "it was charged for what it has";
  EXPECT_EQ(repeat.status.error_code(), one.status.error_code());
  EXPECT_EQ(meter_.settled_count(), 1U);
}

TEST_F(IdempotentChatTest, ATooLargeAnswerIsGivenOnceAndItsRepeatNamesTheRequest) {
  const Heard one = first(request(), std::string(2 * kAnswerBytesMax, 'x'));
  ASSERT_TRUE(one.status.ok());
  EXPECT_EQ(one.text().size(), 2 * kAnswerBytesMax + 1);
  const Heard repeat = chat(request(), {"key-1"});
  EXPECT_EQ(repeat.reason(), "idempotency_answer_not_kept");
  EXPECT_NE(repeat.status.error_message().find(one.initial.at("x-request-id")), std::string::npos);
}

TEST_F(IdempotentChatTest, WhereNoAnswersAreKeptAKeyIsRefused) {
  InferenceService plain(principals_, ids_, clock_, {ServingLane{&serving_, threads_.executor(0)}});
  rpc::ServerOptions options;
  options.listen = {"unix:" + dir_.file("plain")};
  const auto server = std::move(rpc::RpcServer::start(options, {&plain}).value());
  const auto channel = rpc::make_channel("unix:" + dir_.file("plain")).value();
  const auto stub = v1::Inference::NewStub(channel->grpc_channel());
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer good-key");
  context.AddMetadata("idempotency-key", "key-1");
  const auto reader = stub->Chat(&context, request());
  v1::ChatEvent event;
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace tidegate::gateway::test
