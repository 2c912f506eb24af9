#include "gateway/dispatch/demand_reporter.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <mutex>
#include <string>

#include "base/net/io_threads.h"
#include "base/rpc/server.h"
#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/temp_dir.h"

namespace tidegate::gateway::test {
namespace {

using tidegate::test::eventually;

/// A scheduler that writes down what it is told.
class ListeningFleet final : public v1::Fleet::CallbackService {
 public:
  grpc::ServerUnaryReactor* ReportDemand(grpc::CallbackServerContext* context, const v1::DemandReport* request,
                                         v1::DemandAck*) override {
    auto* reactor = context->DefaultReactor();
    const std::lock_guard lock(mutex_);
    ++calls_;
    last_ = *request;
    reactor->Finish(is_away_ ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "away") : grpc::Status::OK);
    return reactor;
  }
  void be_away(bool is_away) {
    const std::lock_guard lock(mutex_);
    is_away_ = is_away;
  }
  std::size_t calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  v1::DemandReport last() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  mutable std::mutex mutex_;
  std::size_t calls_ = 0;
  bool is_away_ = false;
  v1::DemandReport last_;
};

PoolDemand asked(std::int64_t arrivals) {
  PoolDemand demand;
  demand.pool = {"m", "eu", "gpu", 4'096};
  demand.arrivals = arrivals;
  demand.dispatches = 2;
  demand.refusals = 1;
  demand.prompt_tokens = 70;
  demand.waiting = 4;
  demand.oldest_wait = std::chrono::milliseconds(1'500);
  return demand;
}

class DemandReporterTest : public testing::Test {
 protected:
  DemandReporterTest() {
    const std::string addresses[] = {"unix:" + dir_.file("scheduler"), "unix:" + dir_.file("standby")};
    rpc::ServerOptions server_options;
    server_options.listen = {addresses[0]};
    server_ = std::move(rpc::RpcServer::start(server_options, {&fleet_}).value());
    server_options.listen = {addresses[1]};
    second_server_ = std::move(rpc::RpcServer::start(server_options, {&second_}).value());
    second_.be_away(true);
    DemandReporterOptions options;
    options.scheduler_addresses = addresses[0] + "," + addresses[1];
    options.cluster_token = "cluster-token";
    options.gateway_id = "gw-1";
    options.epoch = 7;
    options.every = std::chrono::milliseconds(5);
    reporter_ = std::make_unique<DemandReporter>(options, board_, threads_.executor(0), clock_, log_);
    done_ = std::async(std::launch::async, [this] { return threads_.run_on(0, [this] { return reporter_->run(); }); });
  }
  ~DemandReporterTest() override {
    threads_.run_on(0, [this] { reporter_->stop(); });
    EXPECT_TRUE(done_.get().has_value());
    threads_.run_on(0, [this] { reporter_.reset(); });
  }

  tidegate::test::TempDir dir_;
  ListeningFleet fleet_;
  ListeningFleet second_;  ///< stands by
  std::unique_ptr<rpc::RpcServer> server_;
  std::unique_ptr<rpc::RpcServer> second_server_;
  SystemClock clock_;
  tidegate::test::LogCapture log_;
  DemandBoard board_;
  IoThreads threads_{1};
  std::unique_ptr<DemandReporter> reporter_;
  std::future<Status> done_;
};

TEST_F(DemandReporterTest, EveryReportHoldsTheTotals) {
  board_.put(0, {asked(3)});
  ASSERT_TRUE(eventually([&] { return fleet_.last().pools_size() == 1; }));
  const v1::DemandReport first = fleet_.last();
  EXPECT_EQ(first.gateway_id(), "gw-1");
  EXPECT_EQ(first.epoch(), 7U);
  EXPECT_EQ(first.pools(0).model(), "m");
  EXPECT_EQ(first.pools(0).region(), "eu");
  EXPECT_EQ(first.pools(0).pool(), "gpu");
  EXPECT_EQ(first.pools(0).arrivals_total(), 3);
  EXPECT_EQ(first.pools(0).dispatches_total(), 2);
  EXPECT_EQ(first.pools(0).refusals_total(), 1);
  EXPECT_EQ(first.pools(0).prompt_tokens_total(), 70);
  EXPECT_EQ(first.pools(0).waiting(), 4);
  EXPECT_EQ(first.pools(0).oldest_wait_ms(), 1'500);
  board_.put(1, {asked(2)});
  EXPECT_TRUE(eventually([&] { return fleet_.last().pools(0).arrivals_total() == 5; })) << "of all lanes";
}

TEST_F(DemandReporterTest, AnOutageIsLoggedOnceAndReportsAreTriedOn) {
  fleet_.be_away(true);
  // One call at a time: when the next comes, the one before it has been looked at.
  const auto next_calls = [&] {
    const std::size_t before = fleet_.calls();
    return eventually([&] { return fleet_.calls() >= before + 3; });
  };
  ASSERT_TRUE(next_calls());
  EXPECT_EQ(log_.count("demand_not_reported"), 1U);
  fleet_.be_away(false);
  ASSERT_TRUE(next_calls());
  fleet_.be_away(true);
  ASSERT_TRUE(next_calls());
  EXPECT_EQ(log_.count("demand_not_reported"), 2U);
}

TEST_F(DemandReporterTest, TheOneThatTakesReportsIsFoundAndKept) {
  ASSERT_TRUE(eventually([&] { return fleet_.calls() >= 2; }));
  EXPECT_EQ(second_.calls(), 0U) << "nobody asks a standby while the leader answers";
  second_.be_away(false);
  fleet_.be_away(true);
  ASSERT_TRUE(eventually([&] { return second_.calls() >= 1; }));
  const std::size_t before = fleet_.calls();
  const std::size_t taken = second_.calls();
  ASSERT_TRUE(eventually([&] { return second_.calls() >= taken + 3; }));
  EXPECT_EQ(fleet_.calls(), before);
  EXPECT_EQ(log_.count("demand_not_reported"), 0U) << "no report was lost";
}

}  // namespace
}  // namespace tidegate::gateway::test
