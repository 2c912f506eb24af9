#include "scheduler/core/traffic_shares.h"

#include <gmock/gmock.h>

#include "tests/support/sim_clock.h"
#include "tests/unit/scheduler/core/test_catalogue.h"

namespace tidegate::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TrafficShare share(std::string arm, std::int64_t weight) { return {"tang-moe", "local", "cpu", std::move(arm), weight}; }

class TrafficSharesTest : public ::testing::Test {
 protected:
  TrafficSharesTest() {
    canary = tang_deployment(4);
    canary.rollout.phase = RolloutPhase::kWaiting;
    canary.rollout.revision = 2;
    canary.rollout.spec = spec_of(canary);
    canary.rollout.steps = {10};
    canary.rollout.done = 1;
    canary.rollout.since = clock.wall();
  }
  std::vector<TrafficShare> shares(std::int32_t stable_ready = 4, std::int32_t candidate_ready = 1) {
    std::vector<TrafficPart> parts{{&canary, canary.replicas, stable_ready, candidate_ready}};
    if (!other.name.empty()) parts.push_back({&other, other.replicas, other.replicas, 0});
    return traffic_shares(parts, by_hand, clock.wall());
  }

  test::SimClock clock;
  Deployment canary;
  Deployment other;
  std::map<Offer, std::int32_t> by_hand;
};

TEST_F(TrafficSharesTest, WithoutStepsTrafficIsNotDivided) {
  canary.rollout = {};
  EXPECT_THAT(shares(), IsEmpty());
  canary.rollout.phase = RolloutPhase::kRolling;
  canary.rollout.revision = 2;
  EXPECT_THAT(shares(), IsEmpty()) << "replica by replica every one takes what it can";
}

TEST_F(TrafficSharesTest, ANewRevisionHasItsPercents) {
  EXPECT_THAT(shares(), ElementsAre(share("tang.1", 360), share("tang.2", 40)));
}

TEST_F(TrafficSharesTest, ARevisionThatNobodyServesLeavesItsShareToTheOther) {
  EXPECT_THAT(shares(4, 0), ElementsAre(share("tang.1", 400), share("tang.2", 0)));
  EXPECT_THAT(shares(0, 1), ElementsAre(share("tang.1", 0), share("tang.2", 400)));
}

TEST_F(TrafficSharesTest, OneThatMayHaveNothingYetGetsNothingWhateverElseIsDown) {
  canary.rollout.phase = RolloutPhase::kRolling;
  canary.rollout.done = 0;
  EXPECT_THAT(shares(0, 1), ElementsAre(share("tang.1", 400), share("tang.2", 0)));
}

TEST_F(TrafficSharesTest, SharesHoldWhileItIsNotKnownHowManyAreWanted) {
  canary.replicas = 0;
  EXPECT_THAT(shares(), ElementsAre(share("tang.1", 90), share("tang.2", 10)));
  canary.rollout.phase = RolloutPhase::kBack;
  EXPECT_THAT(shares(), ElementsAre(share("tang.1", 100), share("tang.2", 0)));
}

TEST_F(TrafficSharesTest, OtherDeploymentsOfTheModelKeepTheirPartByReplicas) {
  other = tang_deployment(4);
  other.name = "more";
  EXPECT_THAT(shares(), ElementsAre(share("more.1", 400), share("tang.1", 360), share("tang.2", 40)));
}

TEST_F(TrafficSharesTest, AnotherPoolOrModelIsNoneOfItsBusiness) {
  other = tang_deployment(4);
  other.name = "more";
  other.pool = "elsewhere";
  EXPECT_EQ(shares().size(), 2u);
  other.pool = "cpu";
  other.model = "sim-fast";
  EXPECT_EQ(shares().size(), 2u);
}

TEST_F(TrafficSharesTest, AWorkerStartedByHandCountsAsOneReplica) {
  by_hand[Offer{"tang-moe", "local", "cpu", 0}] = 1;
  EXPECT_THAT(shares(), ElementsAre(share("", 100), share("tang.1", 360), share("tang.2", 40)));
}

}  // namespace
}  // namespace tidegate::scheduler
