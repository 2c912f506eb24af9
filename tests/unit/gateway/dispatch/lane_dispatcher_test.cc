#include "gateway/dispatch/lane_dispatcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <mutex>

#include "base/net/io_threads.h"
#include "tests/support/eventually.h"
#include "tests/support/gateway/fake_worker_service.h"
#include "tests/support/log_capture.h"
#include "tests/support/sequential_ids.h"
#include "tests/support/temp_dir.h"

namespace tidegate::gateway::test {
namespace {

using tidegate::test::eventually;
using tidegate::test::SequentialIds;

/// Writes down what it hears.
class Ear final : public SequenceListener {
 public:
  void on_dispatched(const WorkerFacts& worker) override { add("dispatched:" + worker.worker_id); }
  void on_delta(SequenceDelta delta) override {
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

/// The real clock, and a way to have waited.
class ShiftedClock final : public Clock {
 public:
  Mono mono() const override { return system_.mono() + Duration(shift_ns_.load()); }
  Wall wall() const override { return system_.wall(); }
  void shift(Duration by) { shift_ns_ += by.count(); }

 private:
  SystemClock system_;
  std::atomic<std::int64_t> shift_ns_ = 0;
};

class LaneDispatcherTest : public testing::Test {
 protected:
  explicit LaneDispatcherTest(FairQueueLimits limits = {}, Duration spill_after = Duration::zero()) {
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
  void set_routes(std::vector<Route> routes) {
    RouteSnapshot snapshot{1, ++version_, std::move(routes), {"m"}};
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
  std::deque<Ear> ears_;
  IoThreads threads_{1};
  std::unique_ptr<LaneDispatcher> dispatcher_;
  Plan plan_;
  std::uint64_t version_ = 0;
  std::uint64_t requests_ = 0;
};

TEST_F(LaneDispatcherTest, CarriesARequestToTheWorkerAndItsEventsBack) {
  auto& one = worker("one", 4);
  set_routes({route("one")});
  Ear& ear = new_ear();
  submit(ear);
  ASSERT_TRUE(eventually([&] { return one.started_count() == 1; }));
  const auto start = one.started(0);
  EXPECT_EQ(start.messages(0).content(), "hello");
  EXPECT_EQ(start.cache_salt().size(), 32U);
  one.send(event_frame(start.sequence(), "", 0, 4));
  one.send(event_frame(start.sequence(), "Hi", 1, 4));
  one.send(event_frame(start.sequence(), "!", 2, 5, v1::FINISH_REASON_STOP));
  EXPECT_TRUE(ear.waits_for("dispatched:one accepted text:Hi end:! ")) << ear.heard();
}

TEST_F(LaneDispatcherTest, TheLongestPromptOfAPlanReachesTheWorkerWhole) {
  auto& one = worker("one", 4);
  set_routes({route("one")});
  plan_.messages[0].content.assign(PlanLimits::kPromptBytesMax, 'x');
  Ear& ear = new_ear();
  submit(ear);
  ASSERT_TRUE(eventually([&] { return one.started_count() == 1; }));
  EXPECT_EQ(one.started(0).messages(0).content().size(), plan_.messages[0].content.size());
  one.send(event_frame(one.started(0).sequence(), "Hi", 1, 4, v1::FINISH_REASON_STOP));
  EXPECT_TRUE(ear.waits_for("dispatched:one end:Hi ")) << ear.heard();
}

TEST_F(LaneDispatcherTest, NothingLeavesTheQueueWithoutACredit) {
  auto& one = worker("one", 1);
  set_routes({route("one")});
  Ear& first = new_ear();
  Ear& second = new_ear();
  submit(first);
  submit(second);
  ASSERT_TRUE(first.waits_for("dispatched:one "));
  EXPECT_EQ(second.heard(), "");
  EXPECT_EQ(registry_.value("tidegate_gateway_queue_requests", {{"model", "m"}, {"region", "local"}, {"pool", "cpu"}}), 1);
  one.grant(2);
  EXPECT_TRUE(second.waits_for("dispatched:one "));
  ASSERT_TRUE(eventually([&] { return one.started_count() == 2; }));
  EXPECT_NE(one.started(0).sequence(), one.started(1).sequence());
}

TEST_F(LaneDispatcherTest, ABacklogDoesNotDelayAnotherTenant) {
  auto& one = worker("one", 1);
  set_routes({route("one")});
  Ear& first = new_ear();
  Ear& light = new_ear();
  submit(first, 1);
  ASSERT_TRUE(first.waits_for("dispatched:one "));
  for (int i = 0; i < 4; ++i) submit(new_ear(), 1);
  submit(light, 2);
  one.grant(3);
  EXPECT_TRUE(light.waits_for("dispatched:one "));
}

TEST_F(LaneDispatcherTest, AWaitingRequestHasAPlace) {
  auto& one = worker("one", 0);
  set_routes({route("one")});
  const auto place_of = [&](DispatchTicket ticket) {
    std::optional<QueuePlace> place;
    threads_.run_on(0, [&] { place = dispatcher_->place(ticket); });
    return place ? place->position : 0U;
  };
  const auto first = submit(new_ear());
  const auto second = submit(new_ear());
  EXPECT_EQ(place_of(first), 1U);
  EXPECT_EQ(place_of(second), 2U);
  leave(first);
  EXPECT_EQ(place_of(first), 0U);
  EXPECT_EQ(place_of(second), 1U);
  one.grant(1);
  EXPECT_TRUE(eventually([&] { return place_of(second) == 0; })) << "it runs";
}

TEST_F(LaneDispatcherTest, FairnessIsMeasuredPerPool) {
  worker("one", 0);
  set_routes({route("one")});
  clock_.shift(std::chrono::seconds(1));  // it is published ten times a second
  submit(new_ear());
  const Labels labels{{"model", "m"}, {"region", "local"}, {"pool", "cpu"}};
  // "hello" has 77 tokens at most, its answer 16, and each weighs two.
  EXPECT_EQ(registry_.value("tidegate_gateway_fairness_bound_tokens", labels), 2 * 2 * (77 + 16));
  EXPECT_EQ(registry_.value("tidegate_gateway_fairness_gap_tokens", labels), 0);
  EXPECT_EQ(registry_.value("tidegate_gateway_fairness_violations_total", labels), 0);
}

TEST_F(LaneDispatcherTest, CancelReachesTheWorkerAndTheListenerHearsNoMore) {
  auto& one = worker("one", 4);
  set_routes({route("one")});
  Ear& ear = new_ear();
  const auto ticket = submit(ear);
  ASSERT_TRUE(eventually([&] { return one.started_count() == 1; }));
  leave(ticket);
  ASSERT_TRUE(eventually([&] { return one.cancelled().size() == 1; }));
  EXPECT_EQ(one.cancelled()[0], one.started(0).sequence());
  one.send(event_frame(one.started(0).sequence(), "late", 1, 4));
  Ear& marker = new_ear();
  submit(marker);
  ASSERT_TRUE(eventually([&] { return one.started_count() == 2; }));
  one.send(event_frame(one.started(1).sequence(), "x", 1, 4));
  ASSERT_TRUE(marker.waits_for("dispatched:one text:x "));
  EXPECT_EQ(ear.heard(), "dispatched:one ");
}

TEST_F(LaneDispatcherTest, LeavingTheQueueSendsNothing) {
  auto& one = worker("one", 0);
  set_routes({route("one")});
  Ear& ear = new_ear();
  leave(submit(ear));
  one.grant(1);
  Ear& other = new_ear();
  submit(other);
  ASSERT_TRUE(other.waits_for("dispatched:one "));
  EXPECT_EQ(ear.heard(), "");
  EXPECT_EQ(one.started_count() <= 1, true);
}

TEST_F(LaneDispatcherTest, ABrokenSessionLosesItsSequencesAndComesBack) {
  auto& one = worker("one", 4);
  set_routes({route("one")});
  Ear& ear = new_ear();
  submit(ear);
  ASSERT_TRUE(eventually([&] { return one.started_count() == 1; }));
  one.break_sessions();
  EXPECT_TRUE(ear.waits_for("dispatched:one lost "));
  Ear& again = new_ear();
  submit(again);
  EXPECT_TRUE(again.waits_for("dispatched:one ")) << "the session was remade";
  EXPECT_GE(one.hello_count(), 2U);
  EXPECT_EQ(registry_.value("tidegate_gateway_workers_lost_total", {{"model", "m"}, {"region", "local"}, {"pool", "cpu"}}), 1);
}

TEST_F(LaneDispatcherTest, TheLeastLoadedWorkerIsChosen) {
  auto& busy = worker("busy", 8);
  auto& idle = worker("idle", 8);
  set_routes({route("busy"), route("idle")});
  wait_sessions(2);
  v1::WorkerFrame load;
  load.set_credits_total(9);
  load.set_tokens_queued(10'000);
  busy.send(std::move(load));
  const Labels labels{{"model", "m"}, {"region", "local"}, {"pool", "cpu"}};
  ASSERT_TRUE(eventually([&] { return registry_.value("tidegate_gateway_credits", labels) == 17; }));
  for (int i = 0; i < 3; ++i) {
    Ear& ear = new_ear();
    submit(ear);
    EXPECT_TRUE(ear.waits_for("dispatched:idle "));
  }
  EXPECT_EQ(busy.started_count(), 0U);
  ASSERT_TRUE(eventually([&] { return idle.started_count() == 3; }));
}

TEST_F(LaneDispatcherTest, WorkIsSpreadBeforeWorkersReport) {
  worker("a", 8);
  worker("b", 8);
  set_routes({route("a"), route("b")});
  wait_sessions(2);
  Ear& first = new_ear();
  Ear& second = new_ear();
  submit(first);
  submit(second);
  ASSERT_TRUE(eventually([&] { return !first.heard().empty() && !second.heard().empty(); }));
  EXPECT_NE(first.heard(), second.heard()) << "what was sent counts at once";
}

TEST_F(LaneDispatcherTest, ADrainingWorkerGetsNothingNew) {
  auto& old = worker("old", 8);
  set_routes({route("old")});
  wait_sessions(1);
  v1::WorkerFrame frame;
  frame.set_credits_total(9);
  frame.set_draining(true);
  old.send(std::move(frame));
  const Labels labels{{"model", "m"}, {"region", "local"}, {"pool", "cpu"}};
  ASSERT_TRUE(eventually([&] { return registry_.value("tidegate_gateway_credits", labels) == 0; }));
  Ear& ear = new_ear();
  submit(ear);
  worker("new", 8);
  set_routes({route("old"), route("new")});
  EXPECT_TRUE(ear.waits_for("dispatched:new "));
}

TEST_F(LaneDispatcherTest, AWorkerThatLeftTheRoutesFinishesWhatItHas) {
  auto& old = worker("old", 8);
  set_routes({route("old")});
  Ear& ear = new_ear();
  submit(ear);
  ASSERT_TRUE(eventually([&] { return old.started_count() == 1; }));
  set_routes({});
  old.send(event_frame(old.started(0).sequence(), "end", 2, 9, v1::FINISH_REASON_STOP));
  EXPECT_TRUE(ear.waits_for("dispatched:old end:end "));
  wait_sessions(0);
}

TEST_F(LaneDispatcherTest, AWorkerThatComesBackInAnotherPoolServesThatOne) {
  auto& a = worker("a", 4);
  set_routes({route("a")});
  wait_sessions(1);
  Ear& before = new_ear();
  submit(before);
  ASSERT_TRUE(before.waits_for("dispatched:a "));
  Route moved = route("a");
  moved.pool = "gpu";
  moved.context_max = 8'192;
  set_routes({moved});
  ASSERT_TRUE(eventually([&] { return a.hello_count() == 2; })) << "a session for its new pool";
  Ear& here = new_ear();
  Ear& there = new_ear();
  submit(here);
  submit(there, 1, {}, "gpu");
  EXPECT_TRUE(there.waits_for("dispatched:a "));
  EXPECT_EQ(here.heard(), "") << "nobody serves the old one";
  EXPECT_EQ(before.heard(), "dispatched:a ") << "what ran goes on";
}

TEST_F(LaneDispatcherTest, AnotherWorkerAtTheAddressGetsNoWork) {
  worker("impostor", 8);
  Route wrong = route("impostor");
  wrong.worker_id = "expected";
  set_routes({wrong});
  Ear& ear = new_ear();
  submit(ear);
  ASSERT_TRUE(eventually([&] { return log_.has("session_refused"); }));
  EXPECT_EQ(ear.heard(), "");
}

TEST_F(LaneDispatcherTest, StopRefusesWhatWaits) {
  Ear& ear = new_ear();
  submit(ear);
  threads_.run_on(0, [&] { return dispatcher_->stop(); });
  EXPECT_EQ(ear.heard(), "refused:gateway_stopping ");
  Ear& late = new_ear();
  EXPECT_EQ(submit(late), 0U);
}

TEST_F(LaneDispatcherTest, ARetryGoesToAnotherWorkerIfOneServes) {
  worker("flaky", 8);
  set_routes({route("flaky")});
  wait_sessions(1);
  Ear& alone = new_ear();
  submit(alone, 1, "flaky");
  EXPECT_TRUE(alone.waits_for("dispatched:flaky ")) << "better than nobody";
  worker("other", 8);
  set_routes({route("flaky"), route("other")});
  wait_sessions(2);
  for (int i = 0; i < 4; ++i) {
    Ear& ear = new_ear();
    submit(ear, 1, "flaky");
    EXPECT_TRUE(ear.waits_for("dispatched:other ")) << ear.heard();
  }
}

TEST_F(LaneDispatcherTest, TheNextTurnGoesWhereThePromptIsCachedAndAnotherTenantsDoesNot) {
  auto& a = worker("a", 8);
  auto& b = worker("b", 8);
  set_routes({route("a"), route("b")});
  wait_sessions(2);
  plan_.messages = {{Role::kUser, std::string(40'000, 'x')}};
  Ear& first = new_ear();
  submit(first);
  ASSERT_TRUE(eventually([&] { return !first.heard().empty(); }));
  const std::string there = first.heard();
  plan_.messages.push_back({Role::kAssistant, "an answer"});
  plan_.messages.push_back({Role::kUser, "and then?"});
  Ear& second = new_ear();
  submit(second);
  EXPECT_TRUE(second.waits_for(there)) << "though it is the busier one";
  Ear& stranger = new_ear();
  submit(stranger, 2);
  ASSERT_TRUE(eventually([&] { return !stranger.heard().empty(); }));
  EXPECT_NE(stranger.heard(), there) << "the same text of another tenant is another text";
  ASSERT_TRUE(eventually([&] { return a.started_count() + b.started_count() == 3; }));
}

TEST_F(LaneDispatcherTest, AWorkerThatHasJustComeIsNotFlooded) {
  auto& old = worker("old", 100);
  set_routes({route("old")});
  wait_sessions(1);
  clock_.shift(std::chrono::hours(1));
  auto& fresh = worker("fresh", 100);
  set_routes({route("old"), route("fresh")});
  wait_sessions(2);
  for (int i = 0; i < 20; ++i) submit(new_ear());
  ASSERT_TRUE(eventually([&] { return old.started_count() + fresh.started_count() == 20; }));
  EXPECT_GE(fresh.started_count(), 1U) << "it may show what it can do";
  EXPECT_LE(fresh.started_count(), 5U) << "half of them would be its share otherwise";
}

TEST_F(LaneDispatcherTest, WorkersThatAllHaveJustComeShareTheWork) {
  auto& one = worker("one", 100);
  auto& two = worker("two", 100);
  set_routes({route("one"), route("two")});
  wait_sessions(2);
  for (int i = 0; i < 20; ++i) submit(new_ear());
  ASSERT_TRUE(eventually([&] { return one.started_count() + two.started_count() == 20; }));
  EXPECT_EQ(one.started_count(), 10U);
}

TEST_F(LaneDispatcherTest, ABrokenSessionsCacheIsForgotten) {
  auto& one = worker("one", 8);
  set_routes({route("one")});
  wait_sessions(1);
  plan_.messages = {{Role::kUser, std::string(40'000, 'x')}};
  Ear& ear = new_ear();
  submit(ear);
  ASSERT_TRUE(ear.waits_for("dispatched:one "));
  EXPECT_GT(registry_.value("tidegate_gateway_prefix_entries"), 0);
  one.break_sessions();
  EXPECT_TRUE(ear.waits_for("dispatched:one lost "));
  EXPECT_TRUE(eventually([&] { return registry_.value("tidegate_gateway_prefix_entries") == 0; }));
}

TEST_F(LaneDispatcherTest, AWorkerThatKeepsFailingIsTakenOutOfTheChoice) {
  auto& bad = worker("bad", 50);
  worker("good", 50);
  set_routes({route("bad"), route("good")});
  wait_sessions(2);
  for (std::size_t i = 0; i < 5; ++i) {
    Ear& ear = new_ear();
    submit(ear, 1, "good");
    ASSERT_TRUE(ear.waits_for("dispatched:bad "));
    ASSERT_TRUE(eventually([&] { return bad.started_count() == i + 1; }));
    auto frame = event_frame(bad.started(i).sequence(), "", 0, 50, v1::FINISH_REASON_ERROR);
    frame.mutable_events(0)->set_accepted(false);
    frame.mutable_events(0)->set_error_code("internal");
    frame.mutable_events(0)->set_error_reason("numeric_fault");
    bad.send(std::move(frame));
    ASSERT_TRUE(ear.waits_for("dispatched:bad end: "));
  }
  const Labels labels{{"model", "m"}, {"region", "local"}, {"pool", "cpu"}};
  EXPECT_EQ(registry_.value("tidegate_gateway_ejections_total", labels), 1);
  EXPECT_EQ(registry_.value("tidegate_gateway_workers_ejected", labels), 1);
  EXPECT_TRUE(log_.has("worker_ejected"));
  for (int i = 0; i < 4; ++i) {
    Ear& ear = new_ear();
    submit(ear);
    EXPECT_TRUE(ear.waits_for("dispatched:good "));
  }
  EXPECT_EQ(bad.started_count(), 5U);
}

class LaneDispatcherSpillTest : public LaneDispatcherTest {
 protected:
  LaneDispatcherSpillTest() : LaneDispatcherTest({}, std::chrono::seconds(2)) {}

  std::vector<ServingPool> spill(const std::vector<std::string>& regions = {}) {
    std::vector<ServingPool> out;
    const ServingPool home{"m", "local", "cpu", 4'096};
    threads_.run_on(0, [&] { out = dispatcher_->spill_pools(home, regions); });
    return out;
  }
  Route in_region(const std::string& id, const std::string& region) const {
    Route r = route(id);
    r.region = region;
    return r;
  }
};

TEST_F(LaneDispatcherSpillTest, AFullHomeOffersOtherRegionsThatHaveRoom) {
  auto& home = worker("home", 0);
  auto& away = worker("away", 4);
  set_routes({route("home"), in_region("away", "eu"), in_region("dead", "ap")});
  wait_sessions(2);
  EXPECT_TRUE(spill().empty()) << "nobody waits at home";
  submit(new_ear());
  ASSERT_EQ(spill().size(), 1U) << "no worker leads a life in ap";
  EXPECT_EQ(spill()[0].region, "eu");
  EXPECT_TRUE(spill({"local", "ap"}).empty()) << "where it may not go it does not";
  home.grant(1);
  ASSERT_TRUE(eventually([&] { return home.started_count() == 1; }));
  EXPECT_TRUE(spill().empty());
  home.die();
  EXPECT_TRUE(eventually([&] { return spill().size() == 1; })) << "home has no worker";
  away.die();
  EXPECT_TRUE(eventually([&] { return spill().empty(); }));
}

TEST_F(LaneDispatcherTest, NothingSpillsUnlessItIsAskedFor) {
  set_routes({route("home")});
  Route other = route("away");
  worker("away", 4);
  other.region = "eu";
  set_routes({route("home"), other});
  wait_sessions(1);
  std::vector<ServingPool> offered;
  const ServingPool home{"m", "local", "cpu", 4'096};
  threads_.run_on(0, [&] { offered = dispatcher_->spill_pools(home, {}); });
  EXPECT_TRUE(offered.empty());
}

class LaneDispatcherShortWaitTest : public LaneDispatcherTest {
 protected:
  LaneDispatcherShortWaitTest() : LaneDispatcherTest({.wait_max = std::chrono::milliseconds(20)}) {}
};

TEST_F(LaneDispatcherShortWaitTest, AWaitThatIsTooLongIsRefused) {
  Ear& ear = new_ear();
  submit(ear);
  EXPECT_TRUE(ear.waits_for("refused:queue_timeout "));
  EXPECT_TRUE(eventually([&] {
    const auto told = demand_.sum();
    return told.size() == 1 && told[0].arrivals == 1 && told[0].refusals == 1 && told[0].waiting == 0;
  })) << "and the scheduler hears that somebody wanted a worker";
}

class LaneDispatcherShortQueueTest : public LaneDispatcherTest {
 protected:
  LaneDispatcherShortQueueTest() : LaneDispatcherTest({.length_max = 1}) {}
};

TEST_F(LaneDispatcherShortQueueTest, WhatIsRefusedBeforeItWaitsIsDemandToo) {
  auto& one = worker("one", 0);
  set_routes({route("one")});
  submit(new_ear());
  const SequenceRequest second = next_request(2);
  bool is_refused = false;
  threads_.run_on(0, [&] { is_refused = dispatcher_->refuse(second).has_value(); });
  ASSERT_TRUE(is_refused);
  EXPECT_TRUE(eventually([&] {
    const auto told = demand_.sum();
    return told.size() == 1 && told[0].arrivals == 2 && told[0].refusals == 1 && told[0].waiting == 1;
  }));
  // "hello" has 77 bytes at most with what a template writes beside it: 20 tokens as estimated, of each of the two.
  EXPECT_EQ(demand_.sum()[0].prompt_tokens, 40);
  EXPECT_EQ(demand_.sum()[0].dispatches, 0);
  one.grant(1);
  EXPECT_TRUE(eventually([&] {
    const auto told = demand_.sum();
    return told.size() == 1 && told[0].dispatches == 1 && told[0].waiting == 0;
  }));
}

}  // namespace
}  // namespace tidegate::gateway::test
