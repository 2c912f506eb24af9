#include "scheduler/core/fleet.h"

#include <gmock/gmock.h>

#include "tests/support/sim_clock.h"
#include "tests/unit/scheduler/core/test_catalogue.h"

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

}  // namespace
}  // namespace tidegate::scheduler
