#include "scheduler/core/worker_table.h"

#include <gmock/gmock.h>

#include "tests/support/sim_clock.h"

namespace tidegate::scheduler {
namespace {

using namespace std::chrono_literals;
using Registration = WorkerTable::Registration;

class WorkerTableTest : public ::testing::Test {
 protected:
  Registration report(LinkId link, std::string id, std::string replica, WorkerState state = WorkerState::kReady) {
    return table.report(link,
                        {.worker_id = std::move(id), .deployment = "d", .replica = std::move(replica),
                         .address = "unix:/w", .model = "m", .state = state},
                        clock.mono());
  }
  std::size_t lost() { return table.tick(clock.mono()).size(); }

  test::SimClock clock;
  WorkerTable table;
};

TEST_F(WorkerTableTest, FirstReportRegistersLaterOnesAreHeartbeats) {
  EXPECT_EQ(report(1, "w1", "d-0"), Registration::kNew);
  EXPECT_EQ(report(1, "w1", "d-0"), Registration::kKnown);
  EXPECT_EQ(table.routes().size(), 1u);
}

TEST_F(WorkerTableTest, LoadingWorkerHasNoRouteDrainingOneIsMarked) {
  report(1, "w1", "d-0", WorkerState::kLoading);
  EXPECT_TRUE(table.routes().empty());
  report(1, "w1", "d-0", WorkerState::kDraining);
  ASSERT_EQ(table.routes().size(), 1u);
  EXPECT_TRUE(table.routes()[0].draining);
  report(1, "w1", "d-0", WorkerState::kFailed);
  EXPECT_TRUE(table.routes().empty());
}

TEST_F(WorkerTableTest, SilentForThreeSecondsIsOutOfTheRoutes) {
  report(1, "w1", "d-0");
  clock.advance(2999ms);
  EXPECT_EQ(lost(), 0u);
  EXPECT_EQ(table.routes().size(), 1u);
  clock.advance(1ms);
  EXPECT_EQ(lost(), 1u);
  EXPECT_TRUE(table.routes().empty());
  EXPECT_EQ(lost(), 0u) << "reported once";
}

TEST_F(WorkerTableTest, ClosedLinkIsForgivenIfTheWorkerComesBackWithinASecond) {
  report(1, "w1", "d-0");
  table.link_closed(1, clock.mono());
  clock.advance(900ms);
  EXPECT_EQ(lost(), 0u);
  EXPECT_EQ(report(2, "w1", "d-0"), Registration::kNew);
  clock.advance(900ms);
  EXPECT_EQ(lost(), 0u);
  table.link_closed(2, clock.mono());
  clock.advance(1s);
  EXPECT_EQ(lost(), 1u);
}

TEST_F(WorkerTableTest, OldLinkClosingAfterAReconnectChangesNothing) {
  report(1, "w1", "d-0");
  report(2, "w1", "d-0");
  table.link_closed(1, clock.mono());
  clock.advance(2s);
  EXPECT_EQ(lost(), 0u);
}

TEST_F(WorkerTableTest, LostWorkerThatReportsAgainIsRoutedAgain) {
  report(1, "w1", "d-0");
  clock.advance(5s);
  lost();
  report(1, "w1", "d-0");
  EXPECT_EQ(table.routes().size(), 1u);
}

TEST_F(WorkerTableTest, DeadProcessLosesItsRouteAtOnce) {
  report(1, "w1", "d-0");
  EXPECT_EQ(table.replica_died("d-0")->worker_id, "w1");
  EXPECT_TRUE(table.routes().empty());
  EXPECT_FALSE(table.replica_died("d-0"));
}

TEST_F(WorkerTableTest, SecondWorkerOfALiveReplicaIsRefusedUntilTheFirstIsLost) {
  report(1, "w1", "d-0");
  EXPECT_EQ(report(2, "w2", "d-0"), Registration::kDuplicateReplica);
  clock.advance(3s);
  lost();
  EXPECT_EQ(report(2, "w2", "d-0"), Registration::kNew);
}

TEST_F(WorkerTableTest, LostWorkerIsForgottenInTheEnd) {
  report(1, "w1", "d-0");
  clock.advance(61s);
  lost();
  EXPECT_TRUE(table.workers().empty());
}

}  // namespace
}  // namespace tidegate::scheduler
