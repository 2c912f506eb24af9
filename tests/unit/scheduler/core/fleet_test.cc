#include "scheduler/core/fleet.h"

#include <gmock/gmock.h>

#include "tests/support/sim_clock.h"
#include "tests/unit/scheduler/core/test_catalogue.h"
#include "tests/unit/scheduler/core/test_shapes.h"

namespace tidegate::scheduler {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Answer = Fleet::LinkAnswer;

class FleetTest : public ::testing::Test {
 protected:
  void lead(Term term) {
    Deployment deployment = tang_deployment();
    deployment.created_at = clock.wall();
    fleet.begin_term(term, {deployment}, clock.mono(), clock.wall());
  }
  Answer report(LinkId link, std::string id, WorkerState state = WorkerState::kReady, Term term_seen = 0) {
    return fleet.on_report(link,
                           {.worker_id = std::move(id), .deployment = "tang", .replica = "tang-0", .address = "unix:/w",
                            .model = "tang-moe", .state = state, .term_seen = term_seen},
                           clock.mono());
  }
  void processes(std::vector<ReplicaProcess> all) { fleet.on_processes(std::move(all), clock.mono()); }
  ReplicaProcess process(std::string incarnation, bool alive) {
    return {.replica = "tang-0", .deployment = "tang",
            .spec_digest = replica_specs(tang_deployment(), catalogue, "/models")[0].digest(),
            .incarnation = std::move(incarnation), .alive = alive, .exit = "signal 9"};
  }
  std::size_t tick() { return fleet.tick(clock.mono()).size(); }

  Catalogue catalogue = test_catalogue();
  test::SimClock clock;
  Fleet fleet{catalogue, {.models_folder = "/models"}, 1};
};

TEST_F(FleetTest, WithoutATermNothingIsAcceptedAndNothingIsDone) {
  EXPECT_EQ(report(1, "w1"), Answer::kRefuse);
  processes({process("1", true)});
  EXPECT_EQ(tick(), 0u);
}

TEST_F(FleetTest, AWorkerWhoseMemoryIsNotAsPredictedIsNotedOnce) {
  CatalogueModel model{.name = "shaped", .context_max = 1024};
  model.shape = v3_shape();
  model.variants.push_back({.name = "fp8", .path = "shaped", .engine = "tidegate", .weights = Precision::kFp8Block});
  Catalogue with_shape = test_catalogue();
  ASSERT_TRUE(with_shape.add(model));
  Fleet judging{with_shape, {.models_folder = "/models"}, 1};
  judging.begin_term(1, {{.name = "d", .model = "shaped", .variant = "fp8"}}, clock.mono(), clock.wall());
  const std::int64_t predicted = predicted_kv_tokens({.name = "d", .model = "shaped", .variant = "fp8", .sequences_max = 4}, with_shape);
  ASSERT_GT(predicted, 0);
  const auto tell = [&](LinkId link, std::string id, std::int64_t capacity) {
    judging.on_report(link,
                      {.worker_id = std::move(id), .deployment = "d", .replica = "d-" + std::to_string(link), .model = "shaped",
                       .state = WorkerState::kReady, .sequences_max = 4, .kv_tokens_capacity = capacity},
                      clock.mono());
  };
  const auto off_notes = [&] {
    std::size_t count = 0;
    for (const FleetNote& each : judging.take_notes()) count += each.event == "fit_prediction_off" ? 1 : 0;
    return count;
  };
  tell(1, "good", predicted);
  EXPECT_EQ(off_notes(), 0u);
  EXPECT_EQ(judging.fit_check().worst_error_ratio(), 0);
  tell(2, "short", predicted / 2);
  tell(2, "short", predicted / 2);
  EXPECT_EQ(off_notes(), 1u);
  EXPECT_NEAR(judging.fit_check().worst_error_ratio(), 0.5, 0.01);
  clock.advance(4s);
  tell(1, "good", predicted);
  judging.tick(clock.mono());
  EXPECT_EQ(judging.fit_check().worst_error_ratio(), 0);  // the short one is lost
}

TEST_F(FleetTest, NothingIsStartedBeforeTheDriverSaidWhatRuns) {
  lead(1);
  EXPECT_EQ(tick(), 0u);
  processes({});
  EXPECT_EQ(tick(), 1u);
}

TEST_F(FleetTest, OfferedModelIsInTheRoutesBeforeAnyWorkerIsReady) {
  lead(7);
  tick();
  EXPECT_EQ(fleet.routes().term, 7u);
  EXPECT_THAT(fleet.routes().models, ElementsAre("tang-moe"));
  EXPECT_THAT(fleet.routes().routes, IsEmpty());
}

TEST_F(FleetTest, AWorkerStartedByHandOffersItsModelForAsLongAsItIsReady) {
  lead(1);
  const auto by_hand = [&](WorkerState state) {
    fleet.on_report(2, {.worker_id = "hand", .address = "unix:/h", .model = "other", .state = state}, clock.mono());
    tick();
  };
  by_hand(WorkerState::kReady);
  EXPECT_THAT(fleet.routes().models, ElementsAre("other", "tang-moe"));
  EXPECT_EQ(fleet.routes().routes.size(), 1u);
  by_hand(WorkerState::kDraining);
  EXPECT_THAT(fleet.routes().models, ElementsAre("tang-moe"));
}

TEST_F(FleetTest, RouteVersionGrowsWithEveryChangeAndOnlyThen) {
  lead(1);
  tick();
  const auto version = fleet.routes().version;
  EXPECT_EQ(report(1, "w1"), Answer::kWelcome);
  tick();
  EXPECT_EQ(fleet.routes().version, version + 1);
  EXPECT_EQ(report(1, "w1"), Answer::kNone);
  tick();
  EXPECT_EQ(fleet.routes().version, version + 1);
}

TEST_F(FleetTest, KilledWorkerLosesItsRouteAsSoonAsItsProcessIsSeenDead) {
  lead(1);
  processes({process("1", true)});
  report(1, "w1");
  tick();
  ASSERT_EQ(fleet.routes().routes.size(), 1u);
  processes({process("1", false)});
  tick();
  EXPECT_THAT(fleet.routes().routes, IsEmpty());
}

TEST_F(FleetTest, SuccessorThatRegistersBeforeTheDriverIsAskedAgainKeepsItsRoute) {
  lead(1);
  processes({process("1", true)});
  report(1, "w1");
  processes({process("1", false)});
  tick();
  report(2, "w2");
  processes({process("1", false)});  // a picture from before the new process
  tick();
  ASSERT_EQ(fleet.routes().routes.size(), 1u);
  EXPECT_EQ(fleet.routes().routes[0].worker_id, "w2");
}

TEST_F(FleetTest, WorkerThatObeyedANewerTermProvesWeAreNotTheLeader) {
  lead(3);
  EXPECT_EQ(report(1, "w1", WorkerState::kReady, 4), Answer::kNewerTerm);
  EXPECT_EQ(report(1, "w1", WorkerState::kReady, 3), Answer::kWelcome);
}

TEST_F(FleetTest, SecondWorkerOfOneReplicaIsToldToGo) {
  lead(1);
  report(1, "w1");
  EXPECT_EQ(report(2, "w2"), Answer::kDrain);
  EXPECT_EQ(report(2, "w2"), Answer::kNone) << "once is enough";
}

TEST_F(FleetTest, EndOfTermForgetsTheFleet) {
  lead(1);
  report(1, "w1");
  tick();
  fleet.end_term();
  EXPECT_TRUE(fleet.workers().workers().empty());
  EXPECT_EQ(tick(), 0u);
  lead(2);
  tick();
  EXPECT_EQ(fleet.routes().term, 2u);
  EXPECT_THAT(fleet.routes().routes, IsEmpty());
}

TEST_F(FleetTest, ATermWithNobodyToWaitForShowsItsRoutesAtOnce) {
  lead(1);
  tick();
  EXPECT_FALSE(fleet.is_settled()) << "the driver was not asked yet";
  processes({});
  tick();
  EXPECT_TRUE(fleet.is_settled());
}

TEST_F(FleetTest, ANewTermShowsNoRoutesBeforeTheWorkersThatRunHaveRegistered) {
  lead(2);
  processes({process("1", true)});
  tick();
  EXPECT_FALSE(fleet.is_settled());
  report(1, "w1");
  tick();
  EXPECT_TRUE(fleet.is_settled());
  EXPECT_EQ(fleet.routes().routes.size(), 1u);
}

TEST_F(FleetTest, NorBeforeThoseOfItsOwnLastTermHave) {
  lead(1);
  processes({});
  fleet.on_report(2, {.worker_id = "hand", .address = "unix:/h", .model = "other", .state = WorkerState::kReady}, clock.mono());
  tick();
  ASSERT_TRUE(fleet.is_settled());
  fleet.end_term();
  fleet.end_term();  // a second end knows nobody any more
  lead(2);
  processes({});
  tick();
  EXPECT_FALSE(fleet.is_settled());
  fleet.on_report(3, {.worker_id = "hand", .address = "unix:/h", .model = "other", .state = WorkerState::kReady}, clock.mono());
  tick();
  EXPECT_TRUE(fleet.is_settled());
}

TEST_F(FleetTest, AWorkerThatDoesNotRegisterHoldsTheRoutesUpForThreeSecondsOnly) {
  lead(2);
  processes({process("1", true)});
  clock.advance(2900ms);
  tick();
  EXPECT_FALSE(fleet.is_settled());
  clock.advance(100ms);
  tick();
  EXPECT_TRUE(fleet.is_settled());
}

TEST_F(FleetTest, NotesTellWhatHappenedOnce) {
  lead(1);
  report(1, "w1");
  report(1, "w1");
  const auto notes = fleet.take_notes();
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0].event, "worker_registered");
  EXPECT_TRUE(fleet.take_notes().empty());
}

class ScaledFleetTest : public FleetTest {
 protected:
  void lead_scaled(std::int32_t replicas) {
    Deployment deployment = tang_deployment(replicas);
    deployment.created_at = clock.wall();
    deployment.autoscale.is_on = true;
    deployment.autoscale.replicas_min = 0;
    deployment.autoscale.replicas_max = 4;
    fleet.begin_term(1, {deployment}, clock.mono(), clock.wall());
    processes({});
  }
  void ask(std::int64_t waiting) {
    PoolDemand demand{.model = "tang-moe", .region = "local", .pool = "cpu", .arrivals_total = waiting, .waiting = waiting,
                      .oldest_wait = 1s};
    fleet.on_demand({.gateway_id = "g", .epoch = 1, .pools = {demand}}, clock.mono());
  }
};

TEST_F(ScaledFleetTest, AModelThatMayHaveNoReplicaIsOfferedWithItsPoolAndContext) {
  lead_scaled(0);
  EXPECT_EQ(tick(), 0u);
  EXPECT_THAT(fleet.routes().models, ElementsAre("tang-moe"));
  EXPECT_THAT(fleet.routes().offers, ElementsAre(Offer{"tang-moe", "local", "cpu", 1024}));
}

TEST_F(ScaledFleetTest, TheFirstRequestStartsAReplica) {
  lead_scaled(0);
  tick();
  clock.advance(1s);
  ask(1);
  EXPECT_EQ(tick(), 1u);
  EXPECT_EQ(fleet.replicas_wanted(fleet.deployments().at("tang")), 1);
}

TEST_F(ScaledFleetTest, DemandWithoutATermIsDropped) {
  ask(9);
  lead_scaled(0);
  tick();
  clock.advance(1s);
  EXPECT_EQ(tick(), 0u);
}

TEST_F(ScaledFleetTest, TheNumberOfReplicasIsTheDecisionsAndNotTheDeployments) {
  lead_scaled(2);
  EXPECT_EQ(tick(), 2u);
  EXPECT_EQ(fleet.deployments().at("tang").replicas, 2);
  ASSERT_NE(fleet.autoscaler().decision_of("tang"), nullptr);
  EXPECT_FALSE(fleet.autoscaler().decision_of("tang")->why.empty());
}

TEST_F(FleetTest, ADeploymentOfAFixedNumberIsOfferedAsBefore) {
  lead(1);
  tick();
  EXPECT_THAT(fleet.routes().offers, IsEmpty());
}

}  // namespace
}  // namespace tidegate::scheduler
