#include "scheduler/core/place/place.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "base/core/random.h"
#include "scheduler/core/place/check_plan.h"
#include "scheduler/core/place/dual.h"
#include "scheduler/core/place/model.h"
#include "tests/support/scheduler/place_cases.h"
#include "tests/support/sim_clock.h"
#include "tests/unit/scheduler/place/brute_force.h"
#include "tests/unit/scheduler/place/place_town.h"

namespace tidegate::scheduler::placement {
namespace {

using ::testing::HasSubstr;

std::string first_violation(const Problem& problem, const Plan& plan) {
  const auto violations = check_plan(problem, plan);
  return violations.empty() ? "none" : std::string(rule_name(violations[0].rule)) + ": " + violations[0].what;
}

Problem tiny_case(Rng& rng) {
  Problem problem;
  for (int p = 0; p < 2; ++p) {
    problem.pools.push_back(make_pool("p" + std::to_string(p), "r" + std::to_string(p), rng.below(2) == 0 ? "A" : "B", 4, 1 + static_cast<int>(rng.below(2)),
                                      500'000 + static_cast<Micros>(rng.below(3'000'000))));
  }
  for (const char* variant : {"m", "n"}) {
    for (const char* kind : {"A", "B"}) {
      problem.layouts.push_back(make_layout(variant, kind, 1, 50 + static_cast<std::int64_t>(rng.below(100))));
      problem.layouts.push_back(make_layout(variant, kind, 4, 250 + static_cast<std::int64_t>(rng.below(300))));
    }
  }
  for (int d = 0; d < 3; ++d) {
    Demand demand = make_demand("d" + std::to_string(d), rng.below(2) == 0 ? "m" : "n", 20 + static_cast<std::int64_t>(rng.below(400)), 20'000 + static_cast<Micros>(rng.below(80'000)));
    demand.domains_min = 1 + static_cast<std::int32_t>(rng.below(3) == 0);
    demand.survives_replica_loss = rng.below(4) == 0;
    if (rng.below(3) == 0) demand.regions = {"r" + std::to_string(rng.below(2))};
    demand.tenant = "t";
    problem.demands.push_back(std::move(demand));
  }
  if (rng.below(3) == 0) problem.quotas.push_back({"t", "", 3 + static_cast<std::int64_t>(rng.below(8))});
  return problem;
}

TEST(Place, BoundBestPlanAndPlanComeInThisOrderAndThePlanIsMostlyTheBest) {
  Rng rng(11);
  int best = 0;
  constexpr int kCases = 150;
  for (int i = 0; i < kCases; ++i) {
    const Problem problem = tiny_case(rng);
    const auto plan = place(problem, rounds(400));
    ASSERT_TRUE(plan) << plan.error().to_string();
    ASSERT_EQ(first_violation(problem, *plan), "none") << i;
    const Micros exact = best_cost(problem, 4);
    EXPECT_LE(plan->lower_bound, exact) << i;
    // Four replicas for each demand are looked at: a plan with more may be better than those.
    const bool is_within = std::all_of(plan->demands.begin(), plan->demands.end(), [](const DemandPlan& each) { return each.replicas <= 4; });
    if (is_within) {
      EXPECT_GE(plan->cost.total(), exact) << i;
    }
    best += plan->cost.total() <= exact ? 1 : 0;
  }
  EXPECT_GE(best, kCases * 9 / 10);
}

TEST(Dual, AtAnyPricesNoPlanCostsLessThanItsValue) {
  Rng rng(14);
  const auto never = [] { return false; };
  for (int i = 0; i < 120; ++i) {
    const Problem problem = tiny_case(rng);
    const Micros exact = best_cost(problem, 4);
    const auto model = Model::compile(problem);
    ASSERT_TRUE(model);
    for (const std::uint64_t dearest : {1ull, 300'000ull, 3'000'000ull}) {
      Dual dual(*model);
      std::vector<Micros> pools;
      std::vector<Micros> quotas;
      for (std::size_t p = 0; p < problem.pools.size(); ++p) pools.push_back(static_cast<Micros>(rng.below(dearest)));
      for (std::size_t q = 0; q < problem.quotas.size(); ++q) quotas.push_back(static_cast<Micros>(rng.below(dearest)));
      dual.start_from(pools, quotas);
      dual.refine(never);
      ASSERT_LE(dual.value(), exact) << i;
      dual.agree(30, never);
      ASSERT_LE(dual.value(), exact) << i;
      dual.refine(never);
      ASSERT_LE(dual.value(), exact) << i;
    }
  }
}

TEST(Dual, AgreeingIsAtLeastAsGoodAsTheAscent) {
  Rng rng(15);
  const auto never = [] { return false; };
  double agreed = 0;
  double ascended = 0;
  for (int i = 0; i < 60; ++i) {
    const Problem problem = tiny_case(rng);
    const auto model = Model::compile(problem);
    ASSERT_TRUE(model);
    Dual one(*model);
    one.agree(60, never);
    one.refine(never);
    agreed += static_cast<double>(one.value());
    Dual two(*model);
    two.ascend(200, 200, never, never);
    two.refine(never);
    ascended += static_cast<double>(two.value());
  }
  EXPECT_GE(agreed, ascended * 0.995);
}

TEST(Place, RandomCasesBreakNoRuleAlsoAfterANodeIsLost) {
  Rng rng(12);
  for (int i = 0; i < 2000; ++i) {
    const Problem problem = test::random_place_case(rng);
    const auto plan = place(problem, rounds(16));
    ASSERT_TRUE(plan) << plan.error().to_string();
    ASSERT_EQ(first_violation(problem, *plan), "none") << i;
    Problem later = problem;
    later.current = running(*plan);
    for (Pool& pool : later.pools) {
      if (!pool.nodes.empty() && rng.below(2) == 0) pool.nodes.pop_back();
    }
    const auto after = replan(later, *plan, rounds(16));
    ASSERT_TRUE(after) << after.error().to_string();
    ASSERT_EQ(first_violation(later, *after), "none") << i;
  }
}

TEST(Place, SameSeedAndRoundsGiveTheSamePlan) {
  Rng rng(13);
  for (int i = 0; i < 20; ++i) {
    const Problem problem = test::random_place_case(rng);
    const auto one = place(problem, rounds(200));
    const auto two = place(problem, rounds(200));
    ASSERT_TRUE(one && two);
    EXPECT_EQ(running(*one), running(*two));
    EXPECT_EQ(one->lower_bound, two->lower_bound);
  }
}

TEST(Place, TheCheaperRegionIsTakenUnlessResidencyForbids) {
  Problem problem = two_regions();
  auto plan = place(problem, rounds(50));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->assignments.at(0).replica.pool, "east");
  problem.demands[0].regions = {"west"};
  plan = place(problem, rounds(50));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->assignments.at(0).replica.pool, "west");
  EXPECT_EQ(plan->gap_ppm(), 0);
}

TEST(Place, SpreadAndNPlusOneBuyWhatTheyNeed) {
  Problem problem = two_regions();
  problem.demands[0].domains_min = 2;
  problem.demands[0].survives_replica_loss = true;
  const auto plan = place(problem, rounds(50));
  ASSERT_TRUE(plan);
  EXPECT_EQ(first_violation(problem, *plan), "none");
  EXPECT_EQ(plan->demands[0].outcome, Outcome::kServed);
  // 150 without the largest: three of 100.
  EXPECT_EQ(plan->demands[0].replicas, 3);
}

TEST(Place, ARunningReplicaStaysUntilMovingPaysForItself) {
  Problem problem = two_regions();
  problem.demands[0].throughput = 100;
  problem.current = {{"chat", "west", "tp2", {"west-0"}}};
  problem.horizon_s = 60;  // twice the price for a minute is less than a start
  auto plan = place(problem, rounds(50));
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->assignments.at(0).is_kept);
  problem.horizon_s = 86'400;
  plan = place(problem, rounds(50));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->assignments.at(0).replica.pool, "east");
  EXPECT_EQ(plan->moved, 1);
  EXPECT_GT(plan->cost.drains, 0);
}

TEST(Place, RefusalNamesTheReasonAndTheNearestPlan) {
  Problem problem = two_regions();
  problem.demands[0].regions = {"north"};
  auto plan = place(problem, rounds(50));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->demands[0].outcome, Outcome::kRefused);
  EXPECT_THAT(plan->demands[0].why, HasSubstr("residency allows north"));
  EXPECT_THAT(plan->demands[0].nearest, HasSubstr("in any region"));

  problem = two_regions();
  problem.demands[0].domains_min = 5;
  plan = place(problem, rounds(50));
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->demands[0].why, HasSubstr("5 failure domains"));
  EXPECT_THAT(plan->demands[0].nearest, HasSubstr("one failure domain"));

  problem = two_regions();
  problem.demands[0].tenant = "ann";
  problem.quotas = {{"ann", "", 1}};
  plan = place(problem, rounds(50));
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->demands[0].why, HasSubstr("the quota of 'ann'"));
  EXPECT_THAT(plan->demands[0].nearest, HasSubstr("a larger quota"));

  problem = two_regions();
  problem.demands[0].variant = "other";
  plan = place(problem, rounds(50));
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->demands[0].why, HasSubstr("no layout of 'other'"));
  EXPECT_EQ(plan->demands[0].nearest, "");
}

TEST(Place, WhatRunsIsHeldWhenItsDemandCannotBeWholeAndNobodyElseWantsTheGpus) {
  Problem problem = two_regions();
  problem.demands[0].domains_min = 5;
  problem.current = {{"chat", "east", "tp2", {"east-0"}}};
  const auto plan = place(problem, rounds(50));
  ASSERT_TRUE(plan);
  EXPECT_EQ(first_violation(problem, *plan), "none");
  ASSERT_EQ(plan->assignments.size(), 1u);
  EXPECT_TRUE(plan->assignments[0].is_held);
  EXPECT_EQ(plan->demands[0].outcome, Outcome::kRefused);
}

TEST(Replan, OnlyWhoLostANodeIsTouched) {
  Problem problem = two_regions();
  problem.pools[0] = make_pool("east", "east", "H", 8, 6);
  problem.demands = {make_demand("a", "m", 900), make_demand("b", "m", 450)};
  const auto plan = place(problem, rounds(200));
  ASSERT_TRUE(plan);
  Problem later = problem;
  later.current = running(*plan);
  const auto victim = std::find_if(later.current.begin(), later.current.end(), [](const Running& each) { return each.demand == "a"; });
  ASSERT_NE(victim, later.current.end());
  const std::string lost = victim->nodes[0];
  std::erase_if(later.pools[0].nodes, [&](const Node& node) { return node.name == lost; });
  const auto after = replan(later, *plan, rounds(200));
  ASSERT_TRUE(after);
  EXPECT_EQ(first_violation(later, *after), "none");
  for (const Assignment& each : after->assignments) {
    if (each.replica.demand == "b") {
      EXPECT_TRUE(each.is_kept);
    }
  }
  EXPECT_EQ(after->demands[0].outcome, Outcome::kServed);
}

TEST(Place, TimeEndsItWhenTheClockSaysSo) {
  const test::SimClock clock;
  Budget budget;
  budget.clock = &clock;
  budget.time_max = Duration::zero();
  const Problem problem = two_regions();
  const auto plan = place(problem, budget);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->iterations, 0);
  EXPECT_EQ(first_violation(problem, *plan), "none");
}

}  // namespace
}  // namespace tidegate::scheduler::placement
