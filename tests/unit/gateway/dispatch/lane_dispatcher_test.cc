#include "gateway/dispatch/lane_dispatcher.h"

#include <algorithm>

#include "tests/unit/gateway/dispatch/lane_world.h"

namespace tidegate::gateway::test {
namespace {

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

TEST_F(LaneDispatcherTest, WhatWouldWaitAtAWorkerWaitsHereWhileTenantsShareThePool) {
  auto& one = worker("one", 4);
  one.holds(2);
  set_routes({route("one")});
  Ear& first = new_ear();
  Ear& second = new_ear();
  Ear& ahead = new_ear();
  Ear& other = new_ear();
  submit(first, 1);
  ASSERT_TRUE(first.waits_for("dispatched:one "));
  submit(second, 1);
  submit(ahead, 1);
  EXPECT_EQ(ahead.heard(), "dispatched:one ") << "who has the pool to himself may keep it from ever running dry";
  submit(other, 2);
  EXPECT_EQ(other.heard(), "") << "there is a credit, and behind it a place in a line";
  ASSERT_TRUE(eventually([&] { return one.started_count() == 3; }));
  one.send(event_frame(one.started(0).sequence(), "x", 1, 4, v1::FINISH_REASON_STOP));
  ASSERT_TRUE(first.waits_for("dispatched:one end:x "));
  EXPECT_EQ(other.heard(), "") << "the place is taken by who waited at the worker";
  one.send(event_frame(one.started(1).sequence(), "x", 1, 4, v1::FINISH_REASON_STOP));
  EXPECT_TRUE(other.waits_for("dispatched:one ")) << "no credit has come, a place has";
}

TEST_F(LaneDispatcherTest, AWorkerWithAPlaceIsPreferredToACreditOfAFullOne) {
  auto& full = worker("full", 6);
  auto& roomy = worker("roomy", 8);
  full.holds(1);
  roomy.holds(8);
  set_routes({route("full"), route("roomy")});
  wait_sessions(2);
  for (int i = 0; i < 6; ++i) submit(new_ear());
  ASSERT_TRUE(eventually([&] { return full.started_count() + roomy.started_count() == 6; }));
  EXPECT_EQ(full.started_count(), 1U);
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
  ASSERT_TRUE(eventually([&] { return one.started_count() > 0; }));
  EXPECT_EQ(one.started(0).request_id(), RequestId{SequentialIds::make(2)}.raw()) << "and not the one that left";
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
  EXPECT_TRUE(eventually([&] { return one.hello_count() >= 2; }));
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

TEST_F(LaneDispatcherTest, DividedTrafficIsSharedExactlyAndAFullArmsRequestsWait) {
  for (const char* id : {"old", "new"}) worker(id, 17);
  std::vector<Route> routes = {route("old"), route("new")};
  for (Route& each : routes) each.arm = "d." + each.worker_id;
  set_routes(routes, {{"m", "local", "cpu", "d.old", 80}, {"m", "local", "cpu", "d.new", 20}});
  wait_sessions(2);
  const auto given = [&](const char* arm) {
    return registry_.value("tidegate_gateway_arm_requests_total", {{"model", "m"}, {"arm", arm}});
  };
  for (std::uint64_t i = 0; i < 20; ++i) submit(new_ear(), i + 1);  // tenants of their own: nothing is cached anywhere
  ASSERT_TRUE(eventually([&] { return given("d.old") + given("d.new") == 20; }));
  EXPECT_EQ(given("d.old"), 16);
  EXPECT_EQ(given("d.new"), 4);
  set_routes(routes, {{"m", "local", "cpu", "d.old", 100}, {"m", "local", "cpu", "d.new", 0}});
  submit(new_ear());
  Ear& late = new_ear();
  submit(late);
  EXPECT_EQ(late.heard(), "") << "the old one is full, and the new one has no share";
  set_routes(routes, {{"m", "local", "cpu", "d.old", 0}, {"m", "local", "cpu", "d.new", 100}});
  EXPECT_TRUE(late.waits_for("dispatched:new "));
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

TEST_F(LaneDispatcherTest, ARetryDoesNotWaitForAnArmOfWhichOnlyTheWorkerThatLostItIsLeft) {
  for (const char* id : {"old", "new"}) worker(id, 17);
  std::vector<Route> routes = {route("old"), route("new")};
  for (Route& each : routes) each.arm = "d." + each.worker_id;
  set_routes(routes, {{"m", "local", "cpu", "d.old", 90}, {"m", "local", "cpu", "d.new", 10}});
  wait_sessions(2);
  for (std::uint64_t i = 0; i < 4; ++i) {
    Ear& ear = new_ear();
    submit(ear, i + 1, "old");
    EXPECT_TRUE(ear.waits_for("dispatched:new ")) << ear.heard() << "the other arm takes it, whatever its share";
  }
  Ear& other = new_ear();
  submit(other, 9, "new");
  EXPECT_TRUE(other.waits_for("dispatched:old "));
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
  const Mono came = clock_.mono();
  auto& fresh = worker("fresh", 100);
  set_routes({route("old"), route("fresh")});
  wait_sessions(2);
  for (int i = 0; i < 20; ++i) submit(new_ear());
  ASSERT_TRUE(eventually([&] { return old.started_count() + fresh.started_count() == 20; }));
  EXPECT_GE(fresh.started_count(), 1U) << "it may show what it can do";
  // It grows up while this runs, on a busy machine noticeably.
  const std::int64_t room = WorkerPicker({}, 1).ramp_limit(clock_.mono() - came, 100);
  EXPECT_LE(static_cast<std::int64_t>(fresh.started_count()), std::max<std::int64_t>(5, room))
      << "half of them would be its share otherwise";
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

  std::vector<Route> routes = {route("bad"), route("good")};
  for (Route& each : routes) each.arm = "d." + each.worker_id;
  set_routes(routes, {{"m", "local", "cpu", "d.bad", 90}, {"m", "local", "cpu", "d.good", 10}});
  Ear& late = new_ear();
  submit(late, 7);
  EXPECT_TRUE(late.waits_for("dispatched:good ")) << "whatever its share: nobody waits for who is out of the choice";
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

class LaneDispatcherTimelessTest : public LaneDispatcherTest {
 protected:
  LaneDispatcherTimelessTest() : LaneDispatcherTest({}, Duration::zero(), std::chrono::hours(1)) {}
};

/// Here nothing would wake it after the second that a retry avoids a worker for.
TEST_F(LaneDispatcherTimelessTest, ARetryGoesBackAtOnceWhereNobodyElseHasAShare) {
  for (const char* id : {"old", "dark"}) worker(id, 17);
  std::vector<Route> routes = {route("old"), route("dark")};
  for (Route& each : routes) each.arm = "d." + each.worker_id;
  set_routes(routes, {{"m", "local", "cpu", "d.old", 100}, {"m", "local", "cpu", "d.dark", 0}});
  wait_sessions(2);
  Ear& ear = new_ear();
  submit(ear, 1, "old");
  EXPECT_TRUE(ear.waits_for("dispatched:old ")) << "the other worker never has a turn: it is not waited for";
}

TEST_F(LaneDispatcherTimelessTest, OnlyAWaitThatEndsBeforeTheNextLookWakesTheLane) {
  const auto arrivals = [&] {
    threads_.run_on(0, [] {});  // whoever was woken has run
    const auto told = demand_.sum();
    return told.empty() ? std::int64_t{0} : told[0].arrivals;
  };
  const DispatchTicket patient = submit(new_ear());
  EXPECT_EQ(arrivals(), 0) << "demand is written down at every look";
  leave(patient);
  EXPECT_TRUE(eventually([&] {
    threads_.run_on(0, [&] { dispatcher_->set_limits({.wait_max = std::chrono::milliseconds(20)}); });
    const std::int64_t before = arrivals();  // at the look that new limits ask for; the next one is a second later
    leave(submit(new_ear()));
    return arrivals() > before;
  })) << "it may wait for less than that";
}

}  // namespace
}  // namespace tidegate::gateway::test
