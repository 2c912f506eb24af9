#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/net/io_threads.h"
#include "base/rpc/channel.h"
#include "base/rpc/server.h"
#include "gateway/http/idempotency_desk.h"
#include "gateway/rpc/inference_service.h"
#include "tests/support/eventually.h"
#include "tests/support/gateway/fake_dispatcher.h"
#include "tests/support/gateway/fake_idempotency_store.h"
#include "tests/support/gateway/fake_meter.h"
#include "tests/support/gateway/fake_principals.h"
#include "tests/support/gateway/fake_rate_gate.h"
#include "tests/support/log_capture.h"
#include "tests/support/shifted_clock.h"
#include "tests/support/sim_clock.h"
#include "tests/support/temp_dir.h"

namespace tidegate::gateway::test {

/// What a client had of a call beside its messages.
struct HeardStatus {
  grpc::Status status;
  std::map<std::string, std::string> initial, trailing;

  std::string reason() const {
    const auto found = trailing.find("tidegate-reason");
    return found == trailing.end() ? std::string() : found->second;
  }
  void end(const grpc::Status& ended, const grpc::ClientContext& context) {
    status = ended;
    initial = copy_of(context.GetServerInitialMetadata());
    trailing = copy_of(context.GetServerTrailingMetadata());
  }

 private:
  static std::map<std::string, std::string> copy_of(const std::multimap<grpc::string_ref, grpc::string_ref>& fields) {
    std::map<std::string, std::string> out;
    for (const auto& [name, value] : fields) {
      out[std::string(name.data(), name.size())] = std::string(value.data(), value.size());
    }
    return out;
  }
};

/// The service behind its server, with a desk for Idempotency-Keys. The test plays the worker.
class GrpcHarness : public testing::Test {
 protected:
  static constexpr std::size_t kAnswerBytesMax = 4'000;

  GrpcHarness() {
    principals_.add("good-key");
    principals_.add("other-key");
    serving_.rates = &rates_;
    rpc::ServerOptions options;
    options.listen = {"unix:" + dir_.file("grpc")};
    server_ = std::move(rpc::RpcServer::start(options, {&service_}).value());
    channel_ = rpc::make_channel("unix:" + dir_.file("grpc")).value();
    stub_ = v1::Inference::NewStub(channel_->grpc_channel());
  }
  ~GrpcHarness() override {
    EXPECT_TRUE(tidegate::test::eventually([&] { return threads_.run_on(0, [&] { return open_.size(); }) == 0; }));
    stub_.reset();
    channel_->shut();
    server_.reset();
    threads_.stop();
  }

  static IdempotencyOptions options_of(std::size_t bytes_max) {
    IdempotencyOptions options;
    options.secret.fill(7);
    options.answer_bytes_max = bytes_max;
    return options;
  }
  static void prepare(grpc::ClientContext& context, const std::string& secret, const std::vector<std::string>& keys) {
    context.AddMetadata("authorization", "Bearer " + secret);
    for (const std::string& key : keys) context.AddMetadata("idempotency-key", key);
  }
  void tell(std::size_t n, SequenceDelta delta) {
    threads_.run_on(0, [&] { dispatcher_.submitted(n).listener->on_delta(std::move(delta)); });
  }
  /// The n-th request has waited this long.
  void wait_in_queue(std::size_t n, Duration time) {
    ASSERT_TRUE(tidegate::test::eventually([&] { return dispatcher_.submitted_count() > n; }));
    threads_.run_on(0, [&] { clock_.shift(time); });
  }
  void dispatch(std::size_t n) {
    ASSERT_TRUE(tidegate::test::eventually([&] { return dispatcher_.submitted_count() > n; }));
    threads_.run_on(0, [&] { dispatcher_.submitted(n).listener->on_dispatched(fake_worker()); });
  }

  tidegate::test::TempDir dir_;
  tidegate::test::ShiftedClock clock_;
  tidegate::test::SimClock store_clock_;
  tidegate::test::LogCapture log_;
  MemoryRegistry registry_;
  tidegate::test::SequentialIds ids_;
  SystemEntropy entropy_;
  FakePrincipals principals_;
  FakeMeter meter_;
  FakeDispatcher dispatcher_;
  FakeRateGate rates_;
  OpenRequests open_;
  GatewayMetrics metrics_{registry_};
  IdempotencyMetrics desk_metrics_{registry_};
  Serving serving_{meter_, dispatcher_, open_, clock_, log_, metrics_, {}};
  IoThreads threads_{1};
  SharedNames names_;
  FakeIdempotencyStore store_{names_, store_clock_};
  IdempotencyDesk desk_{store_,        options_of(kAnswerBytesMax), clock_, entropy_, log_,
                        desk_metrics_, threads_.executor(0)};
  InferenceService service_{principals_, ids_, clock_, {ServingLane{&serving_, threads_.executor(0), &desk_}}};
  std::unique_ptr<rpc::RpcServer> server_;
  std::shared_ptr<rpc::Channel> channel_;
  std::unique_ptr<v1::Inference::Stub> stub_;
};

}  // namespace tidegate::gateway::test
