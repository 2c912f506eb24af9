#include "base/rpc/unary_reply.h"

#include <grpcpp/create_channel.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

#include "tests/integration/rpc/loopback.h"

namespace tidegate::rpc {
namespace {

using ReportApi = class v1::Fleet::Stub::async;
using Reply = UnaryReply<v1::DemandAck>;

class LateAnswer : public Loopback {
 protected:
  /// Keeps the reply for the test to answer.
  void serve_kept() {
    routes_.on_reported = [this] { ++done_; };
    routes_.report = [this](Reply reply) {
      const std::lock_guard lock(mutex_);
      reply_.emplace(std::move(reply));
    };
    start();
  }
  Reply& reply() {
    EXPECT_TRUE(test::eventually([&] {
      const std::lock_guard lock(mutex_);
      return reply_.has_value();
    }));
    return *reply_;
  }
  Result<v1::DemandAck> call(Deadline deadline) {
    return fleet_client().call_blocking(&ReportApi::ReportDemand, v1::DemandReport(), deadline);
  }
  void TearDown() override {
    Loopback::TearDown();
    reply_.reset();
  }

  std::mutex mutex_;
  std::optional<Reply> reply_;
  std::atomic<int> done_ = 0;
};

TEST_F(LateAnswer, FromAnotherThreadWithFieldsBeforeIt) {
  serve_kept();
  std::jthread answerer([this] {
    reply().add_initial({{"x-position", "3"}});
    EXPECT_TRUE(reply().answer({}));
    EXPECT_FALSE(reply().answer({})) << "the first one counts";
    reply().refuse(Error(Code::kInternal, "too_late", "nobody hears this"));
  });
  const auto stub = v1::Fleet::NewStub(grpc::CreateChannel(server_->addresses()[0], grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::DemandAck ack;
  const grpc::Status status = stub->ReportDemand(&context, v1::DemandReport(), &ack);
  EXPECT_TRUE(status.ok()) << status.error_message();
  const auto& fields = context.GetServerInitialMetadata();
  const auto position = fields.find("x-position");
  ASSERT_NE(position, fields.end());
  EXPECT_EQ(position->second, "3");
  EXPECT_TRUE(test::eventually([&] { return done_ == 1; }));
}

TEST_F(LateAnswer, ARefusalHasItsReasonAndFieldsBesideTheStatus) {
  serve_kept();
  std::jthread answerer([this] {
    reply().refuse(Error(Code::kResourceExhausted, "queue_full", "try again later", "model"), {{"retry-after", "7"}});
  });
  const auto stub = v1::Fleet::NewStub(grpc::CreateChannel(server_->addresses()[0], grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::DemandAck ack;
  const grpc::Status status = stub->ReportDemand(&context, v1::DemandReport(), &ack);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto& fields = context.GetServerTrailingMetadata();
  const auto wait = fields.find("retry-after");
  ASSERT_NE(wait, fields.end());
  EXPECT_EQ(wait->second, "7");
  EXPECT_EQ(context.GetServerInitialMetadata().count("retry-after"), 0u);
}

TEST_F(LateAnswer, OneThatIsDroppedEndsTheCallAsAborted) {
  routes_.report = [](Reply) {};
  start();
  const auto answer = call(soon_enough());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kAborted);
  EXPECT_EQ(answer.error().reason, "call_dropped");
}

TEST_F(LateAnswer, OneThatIsReplacedIsDroppedAndItsFollowerLivesOn) {
  serve_kept();
  std::optional<Result<v1::DemandAck>> first;
  std::jthread caller([&] { first = call(soon_enough()); });
  reply();
  routes_.report = [this](Reply next) {
    const std::lock_guard lock(mutex_);
    *reply_ = std::move(next);
    EXPECT_TRUE(reply_->answer({}));
  };
  EXPECT_TRUE(call(soon_enough()));
  caller.join();
  ASSERT_TRUE(first && !*first);
  EXPECT_EQ(first->error().reason, "call_dropped");
}

TEST_F(LateAnswer, AClientThatLeftIsAnsweredByNobodyAndTheEndIsToldOnce) {
  serve_kept();
  const auto stub = v1::Fleet::NewStub(grpc::CreateChannel(server_->addresses()[0], grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  grpc::Status status;
  std::jthread caller([&] {
    v1::DemandAck ack;
    status = stub->ReportDemand(&context, v1::DemandReport(), &ack);
  });
  reply();
  context.TryCancel();
  caller.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  ASSERT_TRUE(test::eventually([&] { return done_ == 1; }));
  const Status late = reply().answer({});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason, "stream_closed");
  reply().add_initial({{"x-position", "3"}});
  EXPECT_EQ(done_, 1);
}

}  // namespace
}  // namespace tidegate::rpc
