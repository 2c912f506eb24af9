#include "scheduler/core/place/check_plan.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "scheduler/core/place/place.h"
#include "tests/unit/scheduler/place/place_town.h"

namespace tidegate::scheduler::placement {
namespace {

/// A good plan, spoilt in one way: the checker must see it. A checker that sees nothing would make every other test of
/// placement worthless.
class Sabotage : public ::testing::Test {
 protected:
  Sabotage() {
    problem = two_regions();
    problem.pools[0] = make_pool("east", "east", "H", 8, 4, 1'000'000, 2);
    problem.pools[1] = make_pool("west", "west", "H", 8, 2, 2'000'000, 2);
    problem.pools.push_back(make_pool("own", "east", "H", 8, 1, 5'000'000));
    problem.pools.back().tenant = "ann";
    problem.layouts.push_back(make_layout("big", "H", 16, 900, 2));
    Demand spread = make_demand("chat", "m", 150);
    spread.domains_min = 2;
    spread.replicas_min = 2;
    spread.regions = {"east"};
    Demand big = make_demand("big", "big", 800);
    big.tenant = "bob";
    problem.demands = {spread, big};
    problem.quotas = {{"bob", "", 16}};
    problem.current = {{"chat", "east", "tp2", {"east-3"}}};
    plan = place(problem, rounds(100)).value();
  }
  void SetUp() override {
    ASSERT_TRUE(check_plan(problem, plan).empty()) << check_plan(problem, plan)[0].what;
    for (const DemandPlan& each : plan.demands) ASSERT_EQ(each.outcome, Outcome::kServed) << each.why;
  }
  bool sees(Rule rule) const {
    const auto found = check_plan(problem, plan);
    return std::any_of(found.begin(), found.end(), [&](const Violation& each) { return each.rule == rule; });
  }
  Running& replica(const std::string& demand) {
    const auto found = std::find_if(plan.assignments.begin(), plan.assignments.end(), [&](const Assignment& each) { return each.replica.demand == demand; });
    return found->replica;
  }
  Problem problem;
  Plan plan;
};

TEST_F(Sabotage, UnknownNames) {
  replica("chat").nodes = {"nowhere"};
  EXPECT_TRUE(sees(Rule::kNames));
}
TEST_F(Sabotage, ForgottenDemand) {
  plan.demands.pop_back();
  EXPECT_TRUE(sees(Rule::kNames));
}
TEST_F(Sabotage, LayoutOfAnotherVariant) {
  replica("chat").layout = "tp16";
  EXPECT_TRUE(sees(Rule::kLayout));
}
TEST_F(Sabotage, GroupWithANodeTooFew) {
  replica("big").nodes.pop_back();
  EXPECT_TRUE(sees(Rule::kLayout));
}
TEST_F(Sabotage, MoreGpusThanANodeHas) {
  for (int i = 0; i < 4; ++i) plan.assignments.push_back({{"chat", "east", "tp8", {"east-0"}}, false, false});
  EXPECT_TRUE(sees(Rule::kCapacity));
}
TEST_F(Sabotage, GpusThatSomebodyElseTook) {
  for (Pool& pool : problem.pools) {
    for (Node& node : pool.nodes) node.gpus_free = 1;
  }
  EXPECT_TRUE(sees(Rule::kCapacity));
}
TEST_F(Sabotage, GroupOverTwoFailureDomains) {
  replica("big").pool = "east";
  replica("big").nodes = {"east-1", "east-2"};
  EXPECT_TRUE(sees(Rule::kOneDomain));
}
TEST_F(Sabotage, GroupOnOneNodeTwice) {
  replica("big").nodes[1] = replica("big").nodes[0];
  EXPECT_TRUE(sees(Rule::kOneDomain));
}
TEST_F(Sabotage, RegionThatResidencyForbids) {
  replica("chat").pool = "west";
  replica("chat").nodes = {"west-0"};
  EXPECT_TRUE(sees(Rule::kResidency));
}
TEST_F(Sabotage, SomebodyElsesPool) {
  replica("chat").pool = "own";
  replica("chat").nodes = {"own-0"};
  EXPECT_TRUE(sees(Rule::kDedicated));
}
TEST_F(Sabotage, DedicatedDemandInASharedPool) {
  problem.demands[0].is_dedicated = true;
  problem.demands[0].tenant = "ann";
  EXPECT_TRUE(sees(Rule::kDedicated));
}
TEST_F(Sabotage, QuotaOverdrawn) {
  problem.quotas[0].gpus_max = 15;
  EXPECT_TRUE(sees(Rule::kQuota));
}
TEST_F(Sabotage, TooFewReplicas) {
  problem.demands[0].replicas_min = 9;
  EXPECT_TRUE(sees(Rule::kReplicas));
}
TEST_F(Sabotage, AllInOneFailureDomain) {
  for (Pool& pool : problem.pools) {
    for (Node& node : pool.nodes) node.domain = "one";
  }
  EXPECT_TRUE(sees(Rule::kSpread));
}
TEST_F(Sabotage, KeptWhereNothingRan) {
  problem.current.clear();
  EXPECT_TRUE(sees(Rule::kKept));
}
TEST_F(Sabotage, ServedWithoutTheThroughput) {
  problem.demands[0].throughput += 1000;
  EXPECT_TRUE(sees(Rule::kOutcome));
}
TEST_F(Sabotage, NPlusOneThatDoesNotSurviveALoss) {
  problem.demands[1].survives_replica_loss = true;
  EXPECT_TRUE(sees(Rule::kOutcome));
}
TEST_F(Sabotage, RefusedAndStartedAllTheSame) {
  plan.demands[1].outcome = Outcome::kRefused;
  EXPECT_TRUE(sees(Rule::kOutcome));
}
TEST_F(Sabotage, MoneyThatDoesNotAddUp) {
  plan.cost.gpus -= 1;
  EXPECT_TRUE(sees(Rule::kMoney));
}
TEST_F(Sabotage, BoundAboveTheCost) {
  plan.lower_bound = plan.cost.total() + 1;
  EXPECT_TRUE(sees(Rule::kMoney));
}

}  // namespace
}  // namespace tidegate::scheduler::placement
