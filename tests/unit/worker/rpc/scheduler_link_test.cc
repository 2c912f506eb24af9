#include "worker/rpc/scheduler_link.h"

#include <gmock/gmock.h>

#include <atomic>
#include <mutex>
#include <vector>

#include "base/net/io_threads.h"
#include "base/rpc/bidi_server.h"
#include "base/rpc/server.h"
#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/temp_dir.h"

namespace tidegate::worker::scheduler_link_test {
namespace {

using namespace std::chrono_literals;
using test::eventually;

/// A scheduler that keeps what it is told and says what a test wants.
class FakeFleet final : public v1::Fleet::CallbackService {
 public:
  explicit FakeFleet(Executor executor) : executor_(std::move(executor)) {}

  grpc::ServerBidiReactor<v1::WorkerReport, v1::WorkerCommand>* WorkerLink(
      grpc::CallbackServerContext* context) override {
    auto stream = std::make_shared<Stream>(Stream::open(context, rpc::AuthGate::required("secret")));
    auto* reactor = stream->reactor();
    {
      const std::lock_guard lock(seen_->mutex);
      seen_->stream = stream;
      ++seen_->links;
    }
    // What is consumed may outlive us: its end comes on its executor, after the server's.
    stream->consume(
        executor_,
        [seen = seen_, stream](v1::WorkerReport report) {
          const std::lock_guard lock(seen->mutex);
          seen->reports.push_back(std::move(report));
        },
        [](const Status&) {});
    return reactor;
  }

  void say(std::uint64_t term, bool drain) {
    v1::WorkerCommand command;
    command.set_term(term);
    drain ? command.set_drain(true) : command.set_welcome(true);
    const std::lock_guard lock(seen_->mutex);
    ASSERT_TRUE(seen_->stream->write(command));
  }
  std::vector<v1::WorkerReport> reports() const {
    const std::lock_guard lock(seen_->mutex);
    return seen_->reports;
  }
  int links() const {
    const std::lock_guard lock(seen_->mutex);
    return seen_->links;
  }

 private:
  using Stream = rpc::BidiServer<v1::WorkerReport, v1::WorkerCommand>;
  struct Seen {
    std::mutex mutex;
    std::shared_ptr<Stream> stream;
    std::vector<v1::WorkerReport> reports;
    int links = 0;
  };
  Executor executor_;
  std::shared_ptr<Seen> seen_ = std::make_shared<Seen>();
};

class SchedulerLinkTest : public ::testing::Test {
 protected:
  SchedulerLinkTest() { listen(); }
  ~SchedulerLinkTest() override {
    if (link) link->stop();
    link.reset();
    channel.reset();
    server.reset();
    io.stop();
  }
  void listen() { server = *rpc::RpcServer::start({.listen = {address}}, {&fleet}); }
  void start_link() {
    channel = *rpc::make_channel(address, {.token = "secret"});
    link = std::make_unique<SchedulerLink>(
        channel, io.executor(0), clock, log, metrics, status, fence, [this] { ++drains; },
        SchedulerLink::Options{.heartbeat = 20ms, .reconnect_least = 5ms, .reconnect_most = 50ms});
    link->start();
  }
  void expect_reports(std::size_t count) {
    ASSERT_TRUE(eventually([&] { return fleet.reports().size() >= count; }));
  }

  SystemClock clock;
  test::LogCapture log;
  test::TempDir folder;
  const std::string address = "unix:" + folder.file("s.sock");
  MemoryRegistry registry;
  WorkerMetrics metrics{registry};
  TermFence fence{4};
  WorkerStatus status{{.worker_id = "w1", .deployment = "d", .replica = "d-0", .address = "unix:/w"}, fence};
  IoThreads io{2};
  FakeFleet fleet{io.executor(1)};
  std::atomic<int> drains = 0;
  std::unique_ptr<rpc::RpcServer> server;
  std::shared_ptr<rpc::Channel> channel;
  std::unique_ptr<SchedulerLink> link;
};

TEST_F(SchedulerLinkTest, RegistersAndKeepsBeating) {
  start_link();
  expect_reports(3);
  const auto first = fleet.reports().front();
  EXPECT_EQ(first.worker_id(), "w1");
  EXPECT_EQ(first.replica(), "d-0");
  EXPECT_EQ(first.state(), v1::WORKER_STATE_LOADING);
  EXPECT_EQ(first.term_seen(), 4u);
}

TEST_F(SchedulerLinkTest, ChangeOfStateIsReportedAtOnce) {
  start_link();
  expect_reports(1);
  status.set_state(v1::WORKER_STATE_DRAINING);
  link->report_now();
  EXPECT_TRUE(eventually([&] { return fleet.reports().back().state() == v1::WORKER_STATE_DRAINING; }));
}

TEST_F(SchedulerLinkTest, ObeysItsTermAndNewerOnes) {
  start_link();
  expect_reports(1);
  fleet.say(4, false);
  ASSERT_TRUE(eventually([&] { return log.has("scheduler_joined"); }));
  fleet.say(6, true);
  ASSERT_TRUE(eventually([&] { return drains == 1; }));
  EXPECT_TRUE(eventually([&] { return fleet.reports().back().term_seen() == 6u; }));
}

TEST_F(SchedulerLinkTest, CommandOfAnOlderTermIsRefusedAndTheLinkLeft) {
  start_link();
  expect_reports(1);
  fleet.say(3, true);
  EXPECT_TRUE(eventually([&] { return log.has("stale_command_refused"); }));
  EXPECT_TRUE(eventually([&] { return fleet.links() > 1; })) << "it looks for the real scheduler";
  EXPECT_EQ(drains, 0);
  EXPECT_GE(registry.value("tidegate_worker_commands_refused_total"), 1);
}

TEST_F(SchedulerLinkTest, ComesBackAfterTheSchedulerRestarted) {
  start_link();
  expect_reports(1);
  server.reset();
  const auto before = fleet.reports().size();
  listen();
  expect_reports(before + 1);
}

TEST_F(SchedulerLinkTest, OfTwoSchedulersTheOneThatLeadsNowIsObeyed) {
  const std::string second_address = "unix:" + folder.file("s2.sock");
  FakeFleet second{io.executor(1)};
  auto second_server = *rpc::RpcServer::start({.listen = {second_address}}, {&second});
  auto second_channel = *rpc::make_channel(second_address, {.token = "secret"});
  auto second_link = std::make_unique<SchedulerLink>(
      second_channel, io.executor(0), clock, log, metrics, status, fence, [this] { ++drains; },
      SchedulerLink::Options{.heartbeat = 20ms, .reconnect_least = 5ms, .reconnect_most = 50ms});
  second_link->start();
  start_link();
  const auto connected = [&] { return registry.value("tidegate_worker_scheduler_connected"); };
  expect_reports(1);
  ASSERT_TRUE(eventually([&] { return !second.reports().empty(); }));
  fleet.say(4, false);
  ASSERT_TRUE(eventually([&] { return connected() == 1; }));
  second.say(5, false);  // it leads since
  ASSERT_TRUE(eventually([&] { return connected() == 2; })) << "nobody has told the first one yet";
  fleet.say(4, true);
  EXPECT_TRUE(eventually([&] { return log.has("stale_command_refused"); }));
  EXPECT_TRUE(eventually([&] { return connected() == 1; }));
  EXPECT_EQ(drains, 0);
  second.say(5, true);
  EXPECT_TRUE(eventually([&] { return drains == 1; }));
  second_link->stop();
  EXPECT_EQ(connected(), 0);
  second_link.reset();
  second_channel.reset();
  second_server.reset();
}

TEST_F(SchedulerLinkTest, StopsWhileTheSchedulerIsGone) {
  server.reset();
  start_link();
  link->stop();
  EXPECT_FALSE(log.has("scheduler_joined"));
}

}  // namespace
}  // namespace tidegate::worker::scheduler_link_test
