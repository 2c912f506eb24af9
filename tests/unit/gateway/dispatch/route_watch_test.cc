#include "gateway/dispatch/route_watch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <future>
#include <mutex>

#include "base/net/io_threads.h"
#include "base/rpc/server.h"
#include "base/rpc/stream_writer.h"
#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/temp_dir.h"

namespace tidegate::gateway::test {
namespace {

using tidegate::test::eventually;

/// A scheduler that says what the test tells it.
class FakeFleet final : public v1::Fleet::CallbackService {
 public:
  using Writer = rpc::StreamWriter<v1::Routes>;
  grpc::ServerWriteReactor<v1::Routes>* WatchRoutes(grpc::CallbackServerContext* context,
                                                    const v1::WatchRoutesRequest* request) override {
    auto writer = std::make_unique<Writer>(Writer::open(context, rpc::AuthGate::required("cluster-token")));
    auto* reactor = writer->reactor();
    const std::lock_guard lock(mutex_);
    gateway_id_ = request->gateway_id();
    writers_.push_back(std::move(writer));
    return reactor;
  }
  std::size_t watchers() const {
    const std::lock_guard lock(mutex_);
    return writers_.size();
  }
  void push(std::uint64_t version, const std::string& worker) {
    v1::Routes routes;
    routes.set_term(1);
    routes.set_version(version);
    routes.add_models("m");
    auto* route = routes.add_routes();
    route->set_worker_id(worker);
    route->set_context_max(4'096);
    const std::lock_guard lock(mutex_);
    (void)writers_.back()->push(std::move(routes));
  }
  void break_streams() {
    const std::lock_guard lock(mutex_);
    for (auto& writer : writers_) writer->finish(fail(Code::kUnavailable, "going_away", "bye"));
  }
  std::string gateway_id() const {
    const std::lock_guard lock(mutex_);
    return gateway_id_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Writer>> writers_;
  std::string gateway_id_;
};

class RouteWatchTest : public testing::Test {
 protected:
  RouteWatchTest() {
    rpc::ServerOptions server_options;
    server_options.listen = {"unix:" + dir_.file("scheduler")};
    server_ = std::move(rpc::RpcServer::start(server_options, {&fleet_}).value());
    RouteWatchOptions options;
    options.scheduler_address = server_options.listen[0];
    options.cluster_token = "cluster-token";
    options.gateway_id = "gw-1";
    options.reconnect_least = options.reconnect_most = std::chrono::milliseconds(5);
    const auto sink = [this](RouteWatch::Snapshot snapshot) {
      const std::lock_guard lock(mutex_);
      versions_.push_back(snapshot->version);
    };
    watch_ = std::make_unique<RouteWatch>(options, sink, threads_.executor(0), clock_, log_, metrics_);
    done_ = std::async(std::launch::async, [this] { return threads_.run_on(0, [this] { return watch_->run(); }); });
  }
  ~RouteWatchTest() override {
    threads_.run_on(0, [this] { watch_->stop(); });
    EXPECT_TRUE(done_.get().has_value());
    threads_.run_on(0, [this] { watch_.reset(); });
  }
  std::vector<std::uint64_t> versions() const {
    const std::lock_guard lock(mutex_);
    return versions_;
  }

  tidegate::test::TempDir dir_;
  FakeFleet fleet_;
  std::unique_ptr<rpc::RpcServer> server_;
  SystemClock clock_;
  tidegate::test::LogCapture log_;
  MemoryRegistry registry_;
  GatewayMetrics metrics_{registry_};
  IoThreads threads_{1};
  std::unique_ptr<RouteWatch> watch_;
  std::future<Status> done_;
  mutable std::mutex mutex_;
  std::vector<std::uint64_t> versions_;
};

TEST_F(RouteWatchTest, HandsOnEveryPicture) {
  ASSERT_TRUE(eventually([&] { return fleet_.watchers() == 1; }));
  EXPECT_EQ(fleet_.gateway_id(), "gw-1");
  fleet_.push(1, "a");
  fleet_.push(2, "b");
  EXPECT_TRUE(eventually([&] { return versions() == std::vector<std::uint64_t>{1, 2}; }));
  EXPECT_EQ(registry_.value("tidegate_gateway_routes_version"), 2);
}

TEST_F(RouteWatchTest, ComesBackAfterABreakAndLogsTheOutageOnce) {
  ASSERT_TRUE(eventually([&] { return fleet_.watchers() == 1; }));
  fleet_.push(1, "a");
  ASSERT_TRUE(eventually([&] { return versions().size() == 1; }));
  fleet_.break_streams();
  ASSERT_TRUE(eventually([&] { return fleet_.watchers() >= 2; }));
  fleet_.push(2, "a");
  EXPECT_TRUE(eventually([&] { return versions().size() == 2; }));
  EXPECT_EQ(log_.count("routes_lost"), 1U);
}

/// Beside the watch of the fixture, which has the fixture's scheduler; ends with the test.
class WatchOfOneOfSeveral final {
 public:
  WatchOfOneOfSeveral(const std::string& address, const Clock& clock, Log& log) {
    RouteWatchOptions options;
    options.scheduler_address = address;
    options.cluster_token = "cluster-token";
    options.gateway_id = "gw-2";
    options.silence_max = std::chrono::milliseconds(5);
    options.reconnect_least = options.reconnect_most = std::chrono::milliseconds(5);
    options.is_one_of_several = true;
    const auto sink = [this](const RouteWatch::Snapshot&) { ++pictures; };
    watch_ = std::make_unique<RouteWatch>(options, sink, threads_.executor(0), clock, log, metrics_);
    done_ = std::async(std::launch::async, [this] { return threads_.run_on(0, [this] { return watch_->run(); }); });
  }
  ~WatchOfOneOfSeveral() {
    threads_.run_on(0, [this] { watch_->stop(); });
    EXPECT_TRUE(done_.get().has_value());
    threads_.run_on(0, [this] { watch_.reset(); });
  }
  double reconnects() const { return registry_.value("tidegate_gateway_routes_reconnects_total"); }

  std::atomic<int> pictures = 0;

 private:
  MemoryRegistry registry_;
  GatewayMetrics metrics_{registry_};
  IoThreads threads_{1};
  std::unique_ptr<RouteWatch> watch_;
  std::future<Status> done_;
};

TEST_F(RouteWatchTest, StandbyThatShowsNothingIsWatchedOnWithoutAWordInTheLog) {
  ASSERT_TRUE(eventually([&] { return fleet_.watchers() == 1; }));
  WatchOfOneOfSeveral standby("unix:" + dir_.file("scheduler"), clock_, log_);
  ASSERT_TRUE(eventually([&] { return fleet_.watchers() == 2; }));
  // Many times as long as a silence is borne of a scheduler that leads.
  EXPECT_FALSE(eventually([&] { return standby.reconnects() > 0; }, std::chrono::milliseconds(200)));
  EXPECT_EQ(log_.count("routes_lost"), 0U);
  fleet_.push(1, "a");
  EXPECT_TRUE(eventually([&] { return standby.pictures == 1; })) << "it leads now";
  EXPECT_TRUE(eventually([&] { return standby.reconnects() > 0; })) << "and then its silence counts";
}

}  // namespace
}  // namespace tidegate::gateway::test
