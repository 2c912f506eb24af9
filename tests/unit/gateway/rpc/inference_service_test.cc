#include "gateway/rpc/inference_service.h"

#include <gtest/gtest.h>

#include "base/net/io_threads.h"
#include "base/rpc/client.h"
#include "base/rpc/server.h"
#include "tests/support/counted.h"
#include "tests/support/eventually.h"
#include "tests/support/gateway/fake_dispatcher.h"
#include "tests/support/gateway/fake_meter.h"
#include "tests/support/gateway/fake_principals.h"
#include "tests/support/gateway/fake_rate_gate.h"
#include "tests/support/log_capture.h"
#include "tests/support/temp_dir.h"

namespace tidegate::gateway::test {
namespace {

using tidegate::test::eventually;

class InferenceServiceTest : public testing::Test {
 protected:
  InferenceServiceTest() {
    principals_.add("good-key");
    rpc::ServerOptions options;
    options.listen = {"unix:" + dir_.file("grpc")};
    server_ = std::move(rpc::RpcServer::start(options, {&service_}).value());
  }
  ~InferenceServiceTest() override {
    EXPECT_TRUE(eventually([&] { return threads_.run_on(0, [&] { return open_.size(); }) == 0; }));
    server_.reset();
    threads_.stop();
  }

  rpc::Client<v1::Inference> client(const std::string& key) {
    rpc::ChannelOptions options;
    options.token = key;
    return rpc::Client<v1::Inference>(rpc::make_channel("unix:" + dir_.file("grpc"), options).value());
  }
  static v1::ChatRequest request() {
    v1::ChatRequest r;
    r.set_model("tang-moe");
    auto* message = r.add_messages();
    message->set_role("user");
    message->set_content("hi");
    return r;
  }
  static Deadline soon() { return Deadline::after(SystemClock().mono(), std::chrono::seconds(10)); }
  void tell(SequenceDelta delta) {
    threads_.run_on(0, [&] { dispatcher_.submitted(0).listener->on_delta(std::move(delta)); });
  }
  void wait_submitted() {
    ASSERT_TRUE(eventually([&] { return dispatcher_.submitted_count() == 1; }));
    threads_.run_on(0, [&] { dispatcher_.submitted(0).listener->on_dispatched(fake_worker()); });
  }

  tidegate::test::TempDir dir_;
  SystemClock clock_;
  tidegate::test::LogCapture log_;
  MemoryRegistry registry_;
  tidegate::test::SequentialIds ids_;
  FakePrincipals principals_;
  FakeMeter meter_;
  FakeDispatcher dispatcher_;
  OpenRequests open_;
  GatewayMetrics metrics_{registry_};
  Serving serving_{meter_, dispatcher_, open_, clock_, log_, metrics_, {}};
  IoThreads threads_{1};
  InferenceService service_{principals_, ids_, clock_, {ServingLane{&serving_, threads_.executor(0)}}};
  std::unique_ptr<rpc::RpcServer> server_;
};

TEST_F(InferenceServiceTest, StreamsAcceptedDeltasAndFinishedWithItsCost) {
  auto inference = client("good-key");
  auto stream = inference.read_stream(&v1::Inference::Stub::async::Chat, request(), soon());
  wait_submitted();
  tell(accepted_delta(10, 4));
  auto event = stream.read_blocking(soon());
  ASSERT_TRUE(event && *event);
  EXPECT_EQ((*event)->accepted().prompt_tokens(), 10);
  EXPECT_EQ((*event)->accepted().model(), "tang-moe/fp8");
  tell(text_delta("hm", "", {.prompt = 10, .cached = 4, .completion = 1, .reasoning = 1}));
  event = stream.read_blocking(soon());
  ASSERT_TRUE(event && *event);
  EXPECT_EQ((*event)->delta().reasoning(), "hm");
  tell(end_delta(SequenceEnd::kStop, {.prompt = 10, .cached = 4, .completion = 3, .reasoning = 1, .drafted = 2,
                                      .accepted = 1, .device_us = 7'000'000'000}, "Hi"));
  event = stream.read_blocking(soon());
  ASSERT_TRUE(event && *event);
  EXPECT_EQ((*event)->delta().content(), "Hi");
  event = stream.read_blocking(soon());
  ASSERT_TRUE(event && *event);
  const auto& finished = (*event)->finished();
  EXPECT_EQ(finished.finish_reason(), "stop");
  EXPECT_EQ(finished.usage().completion_tokens(), 3);
  EXPECT_EQ(finished.usage().drafted_tokens(), 2);
  EXPECT_EQ(finished.usage().accepted_tokens(), 1);
  EXPECT_EQ(finished.usage().device_us(), 7'000'000'000);
  EXPECT_EQ(finished.cost().amount(), FakeMeter::price({.prompt = 10, .completion = 3}).to_string());
  EXPECT_EQ(finished.cost().band(), "off-peak");
  event = stream.read_blocking(soon());
  ASSERT_TRUE(event);
  EXPECT_FALSE(*event) << "ends with OK";
  EXPECT_EQ(meter_.entry(0).request.surface, "grpc.chat");
  EXPECT_EQ(meter_.settled_count(), 1U);
}

TEST_F(InferenceServiceTest, ErrorsCarryReasonAndField) {
  auto stranger = client("wrong");
  auto refused = stranger.read_stream(&v1::Inference::Stub::async::Chat, request(), soon()).read_blocking(soon());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnauthenticated);
  EXPECT_EQ(refused.error().reason, "invalid_api_key");

  auto inference = client("good-key");
  auto bad = request();
  bad.mutable_sampling()->set_temperature(3);
  refused = inference.read_stream(&v1::Inference::Stub::async::Chat, bad, soon()).read_blocking(soon());
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_EQ(refused.error().field, "sampling.temperature");

  auto unknown = request();
  unknown.set_model("nope");
  refused = inference.read_stream(&v1::Inference::Stub::async::Chat, unknown, soon()).read_blocking(soon());
  EXPECT_EQ(refused.error().reason, "model_not_found");
  EXPECT_EQ(refused.error().field, "model");
}

TEST_F(InferenceServiceTest, ACallerThatLeavesStopsTheWorker) {
  auto inference = client("good-key");
  {
    auto stream = inference.read_stream(&v1::Inference::Stub::async::Chat, request(), soon());
    wait_submitted();
    tell(accepted_delta(10));
    tell(text_delta("", "one", {.prompt = 10, .completion = 1}));
    ASSERT_TRUE(stream.read_blocking(soon()));
  }
  ASSERT_TRUE(eventually([&] { return dispatcher_.has_left(1); }));
  ASSERT_TRUE(eventually([&] { return meter_.settled_count() == 1; }));
  EXPECT_EQ(meter_.entry(0).settled.at(0).outcome, Outcome::kCancelled);
}

TEST_F(InferenceServiceTest, ACallerThatLeavesMidStreamPaysWhatItWasSent) {
  auto inference = client("good-key");
  {
    auto stream = inference.read_stream(&v1::Inference::Stub::async::Chat, request(), soon());
    wait_submitted();
    tell(accepted_delta(10, 4));
    ASSERT_TRUE(stream.read_blocking(soon()));
    tell(text_delta("", "one", {.prompt = 10, .cached = 4, .completion = 1}));
    const auto event = stream.read_blocking(soon());
    ASSERT_TRUE(event && *event);
    EXPECT_EQ((*event)->delta().content(), "one");
  }
  ASSERT_TRUE(eventually([&] { return meter_.settled_count() == 1; }));
  EXPECT_EQ(meter_.entry(0).settled.at(0).usage, (TokenUsage{.prompt = 10, .cached = 4, .completion = 1}));
}

TEST_F(InferenceServiceTest, ACallerThatLeavesTheQueuePaysNothing) {
  auto inference = client("good-key");
  {
    auto stream = inference.read_stream(&v1::Inference::Stub::async::Chat, request(), soon());
    ASSERT_TRUE(eventually([&] { return dispatcher_.submitted_count() == 1; }));
  }
  ASSERT_TRUE(eventually([&] { return meter_.settled_count() == 1; }));
  EXPECT_TRUE(dispatcher_.has_left(1));
  EXPECT_EQ(meter_.entry(0).settled.at(0).usage, TokenUsage{});
}

TEST_F(InferenceServiceTest, AnEmptyWalletIsRefusedAndReachesNoWorker) {
  meter_.fail_next_admit(Error(Code::kResourceExhausted, "insufficient_balance", "The wallet is empty; top it up."));
  auto inference = client("good-key");
  auto stream = inference.read_stream(&v1::Inference::Stub::async::Chat, request(), soon());
  const auto refused = stream.read_blocking(soon());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_EQ(refused.error().reason, "insufficient_balance");
  EXPECT_EQ(dispatcher_.submitted_count(), 0U);
}

TEST_F(InferenceServiceTest, TheEndUserThatARequestNamesIsToldToTheMeter) {
  auto inference = client("good-key");
  auto named = request();
  named.set_user("ann");
  auto stream = inference.read_stream(&v1::Inference::Stub::async::Chat, named, soon());
  wait_submitted();
  EXPECT_EQ(meter_.entry(0).request.end_user, "ann") << "or the caps of end users bind nobody";
}

TEST_F(InferenceServiceTest, TheTierAndTheDeadlineOfTheCallReachTheQueue) {
  auto inference = client("good-key");
  auto patient = request();
  patient.set_service_tier("flex");
  const Deadline deadline = soon();
  auto stream = inference.read_stream(&v1::Inference::Stub::async::Chat, patient, deadline);
  wait_submitted();
  EXPECT_EQ(dispatcher_.submitted(0).tier, ServiceTier::kFlex);
  EXPECT_LE(dispatcher_.submitted(0).deadline.instant(), deadline.instant() + std::chrono::seconds(2));
  tell(end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 1}));
  const auto event = stream.read_blocking(soon());
  ASSERT_TRUE(event && *event);
  EXPECT_EQ((*event)->finished().service_tier(), "flex");
}

TEST_F(InferenceServiceTest, AnUnknownTierIsNamed) {
  auto inference = client("good-key");
  auto wrong = request();
  wrong.set_service_tier("gold");
  auto stream = inference.read_stream(&v1::Inference::Stub::async::Chat, wrong, soon());
  const auto event = stream.read_blocking(soon());
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().reason, "invalid_value");
}

TEST_F(InferenceServiceTest, WorkerLostMidStreamIsUnavailable) {
  auto inference = client("good-key");
  auto stream = inference.read_stream(&v1::Inference::Stub::async::Chat, request(), soon());
  wait_submitted();
  tell(accepted_delta(10));
  tell(text_delta("", "one", {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(stream.read_blocking(soon()));
  threads_.run_on(0, [&] { dispatcher_.submitted(0).listener->on_worker_lost(); });
  auto event = stream.read_blocking(soon());
  while (event && *event) event = stream.read_blocking(soon());
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().reason, "worker_lost");
}

TEST_F(InferenceServiceTest, CountsAPromptWithoutChargeOrQueue) {
  FakeRateGate rates;
  serving_.rates = &rates;
  dispatcher_.count_next(31);
  auto inference = client("good-key");
  const auto counted = inference.call_blocking(&v1::Inference::Stub::async::CountTokens, request(), soon());
  ASSERT_TRUE(counted) << counted.error().to_string();
  EXPECT_EQ(counted->prompt_tokens(), 31);
  EXPECT_EQ(dispatcher_.counted().at(0).messages.at(0).content, "hi");
  EXPECT_EQ(dispatcher_.submitted_count(), 0U);
  EXPECT_TRUE(meter_.entries().empty());
  EXPECT_EQ(rates.entry(0).request.tokens_max, 0) << "one request for the limits";
  EXPECT_EQ(rates.entry(0).settled.at(0), 0);
  EXPECT_EQ(tidegate::test::counted(registry_, 1, "tidegate_gateway_requests_total",
                                    {{"model", "tang-moe"}, {"surface", "grpc.count_tokens"}, {"status", "200"}}),
            1);
}

TEST_F(InferenceServiceTest, WhatIsNotCountedIsRefusedAsAChatIs) {
  const auto reason_of = [&](const std::string& key, const v1::ChatRequest& ask) {
    auto inference = client(key);
    const auto counted = inference.call_blocking(&v1::Inference::Stub::async::CountTokens, ask, soon());
    EXPECT_FALSE(counted);
    return counted ? std::string() : counted.error().reason;
  };
  EXPECT_EQ(reason_of("wrong", request()), "invalid_api_key");
  auto unknown = request();
  unknown.set_model("nope");
  EXPECT_EQ(reason_of("good-key", unknown), "model_not_found");
  auto silent = request();
  silent.clear_messages();
  EXPECT_EQ(reason_of("good-key", silent), "invalid_value");
  principals_.add("narrow-key", {"another"});
  EXPECT_EQ(reason_of("narrow-key", request()), "model_not_allowed");
  dispatcher_.count_next(std::unexpected(Refusal(Error(Code::kUnavailable, "model_not_ready", "not yet"))));
  EXPECT_EQ(reason_of("good-key", request()), "model_not_ready");
}

TEST_F(InferenceServiceTest, ListsModelsWithTheirPrice) {
  meter_.set_quote("tang-moe", {"peak", "USD", "book/1", "1", "2", "3", 0});
  auto inference = client("good-key");
  const auto models = inference.call_blocking(&v1::Inference::Stub::async::ListModels, v1::ListModelsRequest(), soon());
  ASSERT_TRUE(models) << models.error().to_string();
  ASSERT_EQ(models->models_size(), 1);
  EXPECT_EQ(models->models(0).context_max(), 4'096);
  EXPECT_EQ(models->models(0).band(), "peak");
  auto stranger = client("wrong");
  EXPECT_EQ(stranger.call_blocking(&v1::Inference::Stub::async::ListModels, v1::ListModelsRequest(), soon()).error().code,
            Code::kUnauthenticated);
}

}  // namespace
}  // namespace tidegate::gateway::test
