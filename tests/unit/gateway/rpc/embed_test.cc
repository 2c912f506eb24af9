// Embed, as its clients meet it: the path of Chat, and one message at its end. The test plays the worker.
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/counted.h"
#include "tests/unit/gateway/rpc/grpc_harness.h"

namespace tidegate::gateway::test {
namespace {

struct HeardVectors : HeardStatus {
  v1::EmbedResponse message;
};

class GrpcEmbedTest : public GrpcHarness {
 protected:
  static v1::EmbedRequest texts(const std::vector<std::string>& all) {
    v1::EmbedRequest r;
    r.set_model("tang-moe");
    for (const std::string& text : all) r.add_input()->set_text(text);
    return r;
  }
  HeardVectors embed(const v1::EmbedRequest& ask, const std::vector<std::string>& keys = {},
                     const std::string& secret = "good-key") {
    grpc::ClientContext context;
    prepare(context, secret, keys);
    return embed_in(context, ask);
  }
  HeardVectors embed_in(grpc::ClientContext& context, const v1::EmbedRequest& ask) {
    HeardVectors heard;
    const grpc::Status status = stub_->Embed(&context, ask, &heard.message);
    heard.end(status, context);
    return heard;
  }
  std::future<HeardVectors> embed_soon(const v1::EmbedRequest& ask, const std::vector<std::string>& keys = {}) {
    return std::async(std::launch::async, [this, ask, keys] { return embed(ask, keys); });
  }
  /// The vector of one text: (its number, 1). The last one ends the n-th request.
  void tell_vector(std::size_t n, std::int32_t input, bool is_last) {
    SequenceDelta delta;
    delta.choice = input;
    delta.choice_end = SequenceEnd::kStop;
    delta.embedding = {static_cast<float>(input), 1};
    delta.usage = {.prompt = 9};
    if (is_last) delta.end = SequenceEnd::kStop;
    tell(n, std::move(delta));
  }
  /// The worker's part of the n-th request, of two texts.
  void make_two(std::size_t n) {
    dispatch(n);
    tell(n, accepted_delta(9));
    tell_vector(n, 1, false);
    tell_vector(n, 0, true);
  }
};

TEST_F(GrpcEmbedTest, VectorsStandInTheOrderOfTheirTextsAndOnlyInputIsCharged) {
  RateStatus status;
  status.requests = RateGauge{600, 599, std::chrono::milliseconds(59'200)};
  rates_.set_status(status);
  auto ask = texts({"a", "b"});
  ask.set_user("ann");
  auto soon = embed_soon(ask);
  make_two(0);
  const HeardVectors heard = soon.get();
  ASSERT_TRUE(heard.status.ok()) << heard.status.error_message();
  ASSERT_EQ(heard.message.vectors_size(), 2);
  EXPECT_EQ(heard.message.vectors(0).values(0), 0);
  EXPECT_EQ(heard.message.vectors(1).values(0), 1);
  EXPECT_EQ(heard.message.model(), "tang-moe/fp8");
  EXPECT_EQ(heard.message.usage().prompt_tokens(), 9);
  EXPECT_EQ(heard.message.cost().amount(), FakeMeter::price({.prompt = 9}).to_string());
  EXPECT_EQ(heard.message.service_tier(), "default");
  EXPECT_EQ(heard.initial.at("x-request-id"), heard.message.request_id());
  EXPECT_EQ(heard.initial.at("x-tidegate-weights"), fake_worker().weights_digest);
  EXPECT_EQ(heard.initial.at("x-tidegate-price-band"), heard.message.cost().band());
  EXPECT_EQ(heard.initial.at("x-ratelimit-remaining-requests"), "599");
  const auto entry = meter_.entry(0);
  EXPECT_EQ(entry.request.completion_tokens_max, 0);
  EXPECT_EQ(entry.request.surface, "grpc.embeddings");
  EXPECT_EQ(entry.request.end_user, "ann");
  EXPECT_EQ(entry.settled.at(0).usage, (TokenUsage{.prompt = 9}));
  EXPECT_EQ(tidegate::test::counted(registry_, 1, "tidegate_gateway_requests_total",
                                    {{"model", "tang-moe"}, {"surface", "grpc.embeddings"}, {"status", "200"}}),
            1);
}

TEST_F(GrpcEmbedTest, ErrorsCarryReasonAndField) {
  const HeardVectors stranger = embed(texts({"a"}), {}, "wrong");
  EXPECT_EQ(stranger.status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(stranger.reason(), "invalid_api_key");
  EXPECT_FALSE(stranger.initial.at("x-request-id").empty());
  const HeardVectors empty = embed(texts({"a", ""}));
  EXPECT_EQ(empty.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(empty.trailing.at("tidegate-field"), "input[1]");
  dispatcher_.refuse_all(
      Refusal(Error(Code::kInvalidArgument, "embeddings_unsupported", "This 'model' makes no embeddings.", "model")));
  EXPECT_EQ(embed(texts({"a"})).reason(), "embeddings_unsupported");
  dispatcher_.refuse_all(std::nullopt);
  rates_.refuse_next(Refusal(Error(Code::kResourceExhausted, "rate_limit_exceeded", "Rate limit reached."),
                             std::chrono::milliseconds(11'200)));
  const HeardVectors limited = embed(texts({"a"}));
  EXPECT_EQ(limited.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(limited.trailing.at("retry-after-ms"), "11200");
  EXPECT_TRUE(meter_.entries().empty()) << "a refused request costs nobody a hold";
}

TEST_F(GrpcEmbedTest, AKeyNeedsTheScopeOfEmbeddings) {
  KeyPolicy policy;
  policy.scopes = KeyScopes();
  policy.scopes.add(KeyScope::kChat);
  principals_.add("chat-key", {}, policy);
  const HeardVectors refused = embed(texts({"a"}), {}, "chat-key");
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(refused.reason(), "scope_not_allowed");
}

TEST_F(GrpcEmbedTest, AnotherWorkerBeginsFromTheStartWhenOneIsLost) {
  auto soon = embed_soon(texts({"a", "b"}));
  dispatch(0);
  tell(0, accepted_delta(9));
  threads_.run_on(0, [&] { dispatcher_.submitted(0).listener->on_worker_lost(); });
  make_two(1);
  const HeardVectors heard = soon.get();
  ASSERT_TRUE(heard.status.ok()) << heard.status.error_message();
  EXPECT_EQ(heard.message.vectors_size(), 2);
  EXPECT_EQ(meter_.settled_count(), 1U);
}

TEST_F(GrpcEmbedTest, AnAnswerWithoutItsVectorIsNotBelieved) {
  auto soon = embed_soon(texts({"a"}));
  dispatch(0);
  tell(0, accepted_delta(9));
  tell(0, end_delta(SequenceEnd::kStop, {.prompt = 9}));
  EXPECT_EQ(soon.get().status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(meter_.entry(0).settled.at(0).usage.total(), 0);
}

TEST_F(GrpcEmbedTest, ACallerThatLeavesStopsTheWorker) {
  grpc::ClientContext context;
  prepare(context, "good-key", {});
  auto soon = std::async(std::launch::async, [&] { return embed_in(context, texts({"a"})); });
  dispatch(0);
  context.TryCancel();
  EXPECT_EQ(soon.get().status.error_code(), grpc::StatusCode::CANCELLED);
  ASSERT_TRUE(tidegate::test::eventually([&] { return dispatcher_.has_left(1); }));
  ASSERT_TRUE(tidegate::test::eventually([&] { return meter_.settled_count() == 1; }));
  EXPECT_EQ(meter_.entry(0).settled.at(0).outcome, Outcome::kCancelled);
}

TEST_F(GrpcEmbedTest, ARepeatGetsTheSameAnswerAndIsNotCharged) {
  auto soon = embed_soon(texts({"a", "b"}), {"key-1"});
  make_two(0);
  const HeardVectors one = soon.get();
  ASSERT_TRUE(one.status.ok()) << one.status.error_message();
  const HeardVectors two = embed(texts({"a", "b"}), {"key-1"});
  ASSERT_TRUE(two.status.ok()) << two.status.error_message();
  EXPECT_EQ(two.message.SerializeAsString(), one.message.SerializeAsString());
  EXPECT_EQ(two.initial.at("idempotent-replayed"), "true");
  EXPECT_EQ(two.initial.at("x-request-id"), one.initial.at("x-request-id"));
  EXPECT_EQ(meter_.settled_count(), 1U);
  EXPECT_EQ(embed(texts({"c"}), {"key-1"}).reason(), "idempotency_mismatch");
}

TEST_F(GrpcEmbedTest, WithAKeyTheAnswerIsFinishedForACallerThatLeft) {
  grpc::ClientContext context;
  prepare(context, "good-key", {"key-1"});
  auto soon = std::async(std::launch::async, [&] { return embed_in(context, texts({"a", "b"})); });
  dispatch(0);
  context.TryCancel();
  EXPECT_EQ(soon.get().status.error_code(), grpc::StatusCode::CANCELLED);
  tell(0, accepted_delta(9));
  tell_vector(0, 1, false);
  tell_vector(0, 0, true);
  HeardVectors repeat;
  ASSERT_TRUE(tidegate::test::eventually([&] {
    repeat = embed(texts({"a", "b"}), {"key-1"});
    return repeat.status.ok();
  }));
  EXPECT_EQ(repeat.message.vectors_size(), 2);
  EXPECT_EQ(meter_.entry(0).settled.at(0).outcome, Outcome::kCompleted);
  EXPECT_EQ(meter_.settled_count(), 1U);
}

}  // namespace
}  // namespace tidegate::gateway::test
