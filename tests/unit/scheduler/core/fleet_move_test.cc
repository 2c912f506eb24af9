// A deployment whose pool is lost, through the whole of Fleet: when it is moved, where to, and when it is not.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "scheduler/core/fleet.h"
#include "tests/support/sim_clock.h"
#include "tests/unit/scheduler/core/test_catalogue.h"

namespace tidegate::scheduler {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Replicas run and serve with the next round, but in pools that are down, where nothing is heard of any.
class FleetMoveTest : public ::testing::Test {
 protected:
  static Deployment placed(const std::string& name, const std::string& pool) {
    Deployment deployment = tang_deployment(2);
    deployment.name = name;
    deployment.pool = pool;
    deployment.placement = {.is_on = true, .regions = {}, .pools = {}, .lost_after_s = 60};
    deployment.version = 1;
    return deployment;
  }
  Fleet::Settings settings() {
    Fleet::Settings made;
    made.find_home = [this](const HomeRequest& request) -> Result<PoolName> {
      asked.push_back(request.lost);
      for (const char* pool : {"a", "b", "c"}) {
        const PoolName name{"local", pool};
        if (std::ranges::find(request.lost, name) == request.lost.end() && !closed.contains(pool)) return name;
      }
      return fail(Code::kFailedPrecondition, "no_pool", "no pool is left");
    };
    return made;
  }
  void lead(std::vector<Deployment> desired) {
    for (const Deployment& one : desired) stored[one.name] = one;
    fleet.begin_term(++term, std::move(desired), clock.mono(), clock.wall());
  }
  void round(bool stores = true) {
    clock.advance(100ms);
    for (const auto& [replica, spec] : running) {
      if (down.contains(spec.pool)) continue;
      fleet.on_report(links.try_emplace(std::to_string(term) + replica, links.size() + 1).first->second,
                      {.worker_id = "w-" + replica,
                       .deployment = spec.deployment,
                       .replica = replica,
                       .address = "unix:/w",
                       .model = spec.model,
                       .variant = spec.variant,
                       .region = spec.region,
                       .pool = spec.pool,
                       .state = loading.contains(spec.pool) ? WorkerState::kLoading : WorkerState::kReady,
                       .sequences_max = 4},
                      clock.mono());
    }
    std::vector<ReplicaProcess> seen;
    for (const auto& [replica, spec] : running) {
      seen.push_back({.replica = replica,
                      .deployment = spec.deployment,
                      .spec_digest = spec.digest(),
                      .incarnation = "1",
                      .alive = true});
    }
    fleet.on_processes(std::move(seen), clock.mono());
    for (const FleetAction& action : fleet.tick(clock.mono(), clock.wall())) {
      if (const auto* start = std::get_if<StartReplica>(&action)) running[start->spec.replica] = start->spec;
      if (const auto* stop = std::get_if<StopReplica>(&action)) running.erase(stop->replica);
    }
    for (Deployment& next : fleet.take_saves()) {
      if (!stores) {
        fleet.on_save_failed(next.name, "frozen", clock.mono());
        continue;
      }
      ++next.version;
      stored[next.name] = next;
      fleet.on_saved(std::move(next));
    }
    for (const FleetNote& note : fleet.take_notes()) ++notes[note.event];
  }
  void pass(Duration span, bool stores = true) {
    for (const Mono end = clock.mono() + span; clock.mono() < end;) round(stores);
  }
  std::size_t serving(const std::string& pool) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        fleet.routes().routes, [&](const Route& route) { return route.pool == pool && !route.draining; }));
  }
  const std::string& pool_of(const std::string& name) const { return stored.at(name).pool; }

  Catalogue catalogue = test_catalogue();
  test::SimClock clock;
  std::vector<std::vector<PoolName>> asked;
  std::set<std::string> closed, down, loading;
  Fleet fleet{catalogue, settings(), 1};
  std::map<std::string, Deployment> stored;
  std::map<std::string, ReplicaSpec> running;
  std::map<std::string, LinkId> links;
  std::map<std::string, int> notes;
  Term term = 0;
};

TEST_F(FleetMoveTest, ALostPoolIsLeftAtOnceWithAllReplicas) {
  lead({placed("tang", "a")});
  pass(5s);
  ASSERT_EQ(serving("a"), 2u);
  down = {"a"};
  pass(55s);
  EXPECT_EQ(pool_of("tang"), "a") << "not before its time";
  pass(20s);
  EXPECT_EQ(pool_of("tang"), "b");
  EXPECT_EQ(serving("b"), 2u);
  EXPECT_EQ(stored.at("tang").revision, 2);
  EXPECT_EQ(stored.at("tang").rollout.phase, RolloutPhase::kNone);
  EXPECT_FALSE(stored.at("tang").previous) << "there is no other content to go back to";
  EXPECT_THAT(asked, ElementsAre(ElementsAre(PoolName{"local", "a"})));
  EXPECT_EQ(fleet.moves_total(), 1);
  EXPECT_THAT(fleet.placement_why("tang"), HasSubstr("nothing served in local/a for 60 s"));
  for (const auto& [replica, spec] : running) EXPECT_EQ(spec.pool, "b") << replica << ": the old ones were told to go";
}

TEST_F(FleetMoveTest, WithoutAPolicyNothingMoves) {
  Deployment fixed = placed("tang", "a");
  fixed.placement = {};
  lead({fixed});
  pass(5s);
  down = {"a"};
  pass(300s);
  EXPECT_EQ(pool_of("tang"), "a");
  EXPECT_TRUE(asked.empty());
}

TEST_F(FleetMoveTest, OneThatLoadsIsWaitedFor) {
  loading = {"a"};
  lead({placed("tang", "a")});
  pass(300s);
  EXPECT_TRUE(asked.empty());
  loading.clear();
  pass(5s);
  EXPECT_EQ(serving("a"), 2u);
}

TEST_F(FleetMoveTest, OneOfTwoThatServesHoldsItThere) {
  lead({placed("tang", "a")});
  pass(5s);
  ASSERT_EQ(running.size(), 2u);
  running.erase(running.begin());
  closed = {"b", "c"};
  pass(1s);
  EXPECT_GE(serving("a"), 1u);
  pass(120s);
  EXPECT_TRUE(asked.empty());
}

TEST_F(FleetMoveTest, WhatIsDrainedOrAsleepIsLeftAlone) {
  Deployment drained = placed("drained", "a");
  drained.is_drained = true;
  Deployment empty = placed("empty", "a");
  empty.replicas = 0;
  lead({drained, empty});
  pass(300s);
  EXPECT_TRUE(asked.empty());
}

TEST_F(FleetMoveTest, WithoutAnotherPoolItStaysSaysSoAndServesAgainWhereItIs) {
  closed = {"b", "c"};
  lead({placed("tang", "a")});
  pass(5s);
  down = {"a"};
  pass(120s);
  EXPECT_EQ(pool_of("tang"), "a");
  EXPECT_EQ(fleet.homeless(), 1);
  EXPECT_EQ(notes["no_pool_to_move_to"], 1) << "said once, asked for again";
  EXPECT_GT(asked.size(), 3u);
  EXPECT_THAT(fleet.placement_why("tang"), HasSubstr("no pool is left"));
  down.clear();
  pass(5s);
  EXPECT_EQ(serving("a"), 2u);
  EXPECT_EQ(fleet.homeless(), 0);
  EXPECT_EQ(fleet.placement_why("tang"), "");
}

TEST_F(FleetMoveTest, APoolThatWasLostIsNotGoneBackToForAWhile) {
  lead({placed("tang", "a")});
  pass(5s);
  down = {"a"};
  pass(70s);
  ASSERT_EQ(pool_of("tang"), "b");
  down = {"b"};
  pass(70s);
  EXPECT_EQ(pool_of("tang"), "c");
  down = {"c"};
  pass(PoolWatch::kShunnedFor);
  EXPECT_EQ(pool_of("tang"), "a") << "the first one lost is the first that may be tried again";
}

TEST_F(FleetMoveTest, OneThatStartsNowhereSpoilsNoPoolForOthers) {
  Deployment broken = placed("broken", "a");
  lead({broken, placed("tang", "b")});
  pass(5s);
  // Nothing of `broken` is heard of wherever it is; the others serve in the same pools.
  const auto stumble = [&](Duration span) {
    for (const Mono end = clock.mono() + span; clock.mono() < end;) {
      std::erase_if(running, [](const auto& entry) { return entry.second.deployment == "broken"; });
      round();
    }
  };
  stumble(70s);
  EXPECT_EQ(pool_of("broken"), "b");
  EXPECT_EQ(pool_of("tang"), "b");
  asked.clear();
  down = {"b"};
  stumble(70s);
  ASSERT_FALSE(asked.empty());
  EXPECT_NE(pool_of("tang"), "b");
}

TEST_F(FleetMoveTest, AMoveIsActedOnWhenItIsStoredAndANewLeaderFindsIt) {
  lead({placed("tang", "a")});
  pass(5s);
  down = {"a"};
  pass(90s, false);
  EXPECT_EQ(serving("b"), 0u);
  EXPECT_EQ(fleet.moves_total(), 0);
  pass(15s);
  EXPECT_EQ(serving("b"), 2u);
  fleet.end_term();
  lead({stored.at("tang")});
  pass(10s);
  EXPECT_EQ(serving("b"), 2u);
  EXPECT_EQ(pool_of("tang"), "b");
  EXPECT_EQ(fleet.moves_total(), 0) << "of this term";
}

TEST_F(FleetMoveTest, AWorkerWithoutAProcessIsToldToGoNowAndThenAndNotedOnce) {
  lead({});
  int told = 0;
  for (int i = 0; i < 25; ++i) {
    clock.advance(100ms);
    fleet.on_report(1, {.worker_id = "w", .deployment = "gone", .replica = "gone-0", .address = "unix:/w", .model = "m",
                        .region = "local", .pool = "a", .state = WorkerState::kReady},
                    clock.mono());
    fleet.on_processes({}, clock.mono());
    for (const FleetAction& action : fleet.tick(clock.mono(), clock.wall())) {
      told += std::holds_alternative<DrainWorker>(action) ? 1 : 0;
    }
    for (const FleetNote& note : fleet.take_notes()) ++notes[note.event];
  }
  EXPECT_EQ(told, 3) << "once a second, for its link may be a new one";
  EXPECT_EQ(notes["worker_drain"], 1);
}

TEST_F(FleetMoveTest, WhileARevisionIsRolledOutItIsTheRolloutsToDecide) {
  lead({placed("tang", "a")});
  pass(5s);
  Deployment wanted = stored.at("tang");
  wanted.threads = 3;
  Deployment edited = *edit_deployment(&stored.at("tang"), wanted, clock.wall());
  ++edited.version;
  stored["tang"] = edited;
  fleet.set_deployment(edited);
  down = {"a"};
  pass(90s);
  EXPECT_TRUE(asked.empty());
  EXPECT_NE(stored.at("tang").rollout.phase, RolloutPhase::kNone);
}

}  // namespace
}  // namespace tidegate::scheduler
