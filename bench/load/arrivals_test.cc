#include "bench/load/arrivals.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tidegate::bench {
namespace {

using std::chrono::seconds;

TEST(PlanArrivals, ConstantArrivalsAreEvenAndTenantsAreShiftedAgainstEachOther) {
  const auto plan = plan_arrivals({{"only", seconds(1), {2, 2}}}, Spacing::kConstant, 1);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->size(), 4u);
  const std::vector<std::int64_t> ms = {0, 250, 500, 750};
  for (std::size_t i = 0; i < ms.size(); ++i) {
    EXPECT_EQ((*plan)[i].at, Duration(std::chrono::milliseconds(ms[i]))) << i;
    EXPECT_EQ((*plan)[i].tenant, i % 2) << i;
  }
}

TEST(PlanArrivals, EachPhaseHasItsRateAndStaysInItsTime) {
  const auto plan = plan_arrivals(
      {{"quiet", seconds(10), {50}}, {"spike", seconds(10), {500}}, {"off", seconds(1), {0}}}, Spacing::kPoisson, 3);
  ASSERT_TRUE(plan);
  std::int64_t counts[3] = {0, 0, 0};
  for (const Arrival& arrival : *plan) {
    ++counts[arrival.phase];
    EXPECT_EQ(arrival.phase == 0, arrival.at < seconds(10));
    EXPECT_LT(arrival.at, seconds(20));
  }
  // Five standard deviations of a Poisson count.
  EXPECT_NEAR(static_cast<double>(counts[0]), 500, 112);
  EXPECT_NEAR(static_cast<double>(counts[1]), 5000, 354);
  EXPECT_EQ(counts[2], 0);
  EXPECT_TRUE(
      std::is_sorted(plan->begin(), plan->end(), [](const Arrival& a, const Arrival& b) { return a.at < b.at; }));
}

TEST(PlanArrivals, TheSameSeedReplaysTheRunAndAnotherTenantsRateMovesNobody) {
  const auto of_first = [](double other) {
    std::vector<Duration> out;
    const auto plan = plan_arrivals({{"only", seconds(5), {40, other}}}, Spacing::kPoisson, 9);
    for (const Arrival& arrival : *plan) {
      if (arrival.tenant == 0) out.push_back(arrival.at);
    }
    return out;
  };
  EXPECT_EQ(of_first(10), of_first(10));
  EXPECT_EQ(of_first(10), of_first(400));
}

TEST(PlanArrivals, ARunThatDoesNotFitIsRefusedBeforeItTakesTheMemory) {
  const auto plan = plan_arrivals({{"endless", seconds(100'000), {1'000}}}, Spacing::kConstant, 1);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().reason, "too_many_arrivals");
}

}  // namespace
}  // namespace tidegate::bench
