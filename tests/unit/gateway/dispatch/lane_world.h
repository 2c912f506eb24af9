#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <future>
#include <mutex>

#include "base/net/io_threads.h"
#include "gateway/dispatch/lane_dispatcher.h"
#include "tests/support/eventually.h"
#include "tests/support/gateway/fake_worker_service.h"
#include "tests/support/log_capture.h"
#include "tests/support/sequential_ids.h"
#include "tests/support/shifted_clock.h"
#include "tests/support/temp_dir.h"

namespace tidegate::gateway::test {

using tidegate::test::eventually;
using tidegate::test::SequentialIds;
using tidegate::test::ShiftedClock;

/// Writes down what it hears.
class Ear final : public SequenceListener {
 public:
  void on_dispatched(const WorkerFacts& worker) override { add("dispatched:" + worker.worker_id); }
  void on_delta(SequenceDelta&& delta) override {
    add(delta.accepted ? "accepted" : delta.end ? "end:" + delta.content : "text:" + delta.content);
  }
  void on_worker_lost() override { add("lost"); }
  void on_queue_refused(Refusal refusal) override { add("refused:" + refusal.error.reason); }

  std::string heard() const {
    const std::lock_guard lock(mutex_);
    return heard_;
  }
  bool waits_for(const std::string& all) const {
    return eventually([&] { return heard() == all; });
  }

 private:
  void add(const std::string& word) {
    const std::lock_guard lock(mutex_);
    heard_ += word + ' ';
  }
  mutable std::mutex mutex_;
  std::string heard_;
};

class LaneDispatcherTest : public testing::Test {
 protected:
  /// `ahead`: of the timers, so that what waits by the clock is never woken by it.
  explicit LaneDispatcherTest(FairQueueLimits limits = {}, Duration spill_after = Duration::zero(),
                              Duration ahead = Duration::zero()) {
    clock_.shift(ahead);
    SessionOptions options;
    options.gateway_id = "gw";
    options.cluster_token = "cluster-token";
    options.cache_secret = "cache";
    options.reconnect_least = options.reconnect_most = std::chrono::milliseconds(5);
    threads_.run_on(0, [&] {
      RoutingOptions routing;
      routing.prefixes = &prefixes_;
      routing.spill_after = spill_after;
      routing.demand = &demand_;
      routing.traffic = &traffic_;
      dispatcher_ = std::make_unique<LaneDispatcher>(options, limits, "local", threads_.executor(0), clock_, log_,
                                                     metrics_, routing);
    });
    plan_.model = "m";
    plan_.messages = {{Role::kUser, "hello"}};
  }
  ~LaneDispatcherTest() override {
    threads_.run_on(0, [&] { return dispatcher_->stop(); });
    threads_.run_on(0, [&] { dispatcher_.reset(); });
    workers_.clear();
  }

  FakeWorkerService& worker(const std::string& id, std::uint64_t credits) {
    workers_.push_back(std::make_unique<FakeWorkerService>(id, "m", credits, worker_threads_.executor(0)));
    workers_.back()->listen("unix:" + dir_.file(id));
    return *workers_.back();
  }
  Route route(const std::string& id) const {
    Route r;
    r.worker_id = id;
    r.address = "unix:" + dir_.file(id);
    r.model = "m";
    r.region = "local";
    r.pool = "cpu";
    r.context_max = 4'096;
    return r;
  }
  void set_routes(std::vector<Route> routes, std::vector<TrafficShare> shares = {}) {
    RouteSnapshot snapshot{1, ++version_, std::move(routes), {"m"}, {}, std::move(shares)};
    threads_.run_on(0, [&] { dispatcher_->apply_routes(snapshot); });
  }
  void wait_sessions(std::size_t n) {
    ASSERT_TRUE(eventually([&] {
      std::size_t open = 0;
      threads_.run_on(0, [&] { open = dispatcher_->sessions_open(); });
      return open == n;
    }));
  }
  SequenceRequest next_request(std::uint64_t tenant, const std::string& pool = "cpu") {
    SequenceRequest request;
    request.request = RequestId{SequentialIds::make(++requests_)};
    request.tenant = TenantId{SequentialIds::make(tenant)};
    request.pool = {"m", "local", pool, 4'096};
    request.plan = &plan_;
    request.max_tokens = 16;
    return request;
  }
  DispatchTicket submit(Ear& ear, std::uint64_t tenant = 1, const std::string& avoid_worker = {},
                        const std::string& pool = "cpu") {
    SequenceRequest request = next_request(tenant, pool);
    request.avoid_worker = avoid_worker;
    DispatchTicket ticket = 0;
    threads_.run_on(0, [&] {
      auto got = dispatcher_->submit(request, ear);
      ticket = got ? *got : 0;
    });
    return ticket;
  }
  /// Lives as long as the dispatcher, as a request's inbox does.
  Ear& new_ear() { return ears_.emplace_back(); }
  void leave(DispatchTicket ticket) {
    threads_.run_on(0, [&] { dispatcher_->leave(ticket); });
  }

  tidegate::test::TempDir dir_;
  IoThreads worker_threads_{1, "worker"};
  std::vector<std::unique_ptr<FakeWorkerService>> workers_;
  ShiftedClock clock_;
  tidegate::test::LogCapture log_;
  MemoryRegistry registry_;
  GatewayMetrics metrics_{registry_};
  PrefixStore prefixes_{10'000, registry_};
  DemandBoard demand_;
  TrafficBoard traffic_;
  std::deque<Ear> ears_;
  IoThreads threads_{1};
  std::unique_ptr<LaneDispatcher> dispatcher_;
  Plan plan_;
  std::uint64_t version_ = 0;
  std::uint64_t requests_ = 0;
};

}  // namespace tidegate::gateway::test
