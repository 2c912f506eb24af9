#include "scheduler/core/place/search.h"

#include <gmock/gmock.h>

#include <string>

#include "scheduler/core/place/draft.h"
#include "scheduler/core/place/dual.h"
#include "scheduler/core/place/explain.h"
#include "scheduler/core/place/model.h"
#include "tests/unit/scheduler/place/place_town.h"

namespace tidegate::scheduler::placement {
namespace {

bool never() { return false; }

/// One cheap node that two demands want; one of them has nowhere else to go.
Problem contested() {
  Problem problem;
  problem.pools = {make_pool("cheap", "r", "H", 8, 1, 1'000'000), make_pool("dear", "r", "G", 8, 1, 1'500'000)};
  problem.layouts = {make_layout("any", "H", 8, 100), make_layout("any", "G", 8, 100), make_layout("only", "H", 8, 100)};
  problem.demands = {make_demand("a", "any", 100), make_demand("b", "only", 100)};
  return problem;
}

TEST(Dual, PriceOfTheContestedPoolRisesToWhatTheOtherOneCostsMore) {
  const Problem problem = contested();
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  Dual dual(*model);
  dual.ascend(200, 200, never, never);
  dual.refine(never);
  EXPECT_GE(dual.prices().pools[0], 400'000);
  EXPECT_EQ(dual.prices().pools[1], 0);
  // 8 GPUs at 1 and 8 at 1.5, each started within a minute.
  EXPECT_LE(dual.value(), 20'000'000 + 20'000'000 / 60 + 2);
  EXPECT_GE(dual.value(), 20'000'000 * 98 / 100);
}

TEST(Dual, AgreeingFindsThatPriceAndWhoGetsThePool) {
  const Problem problem = contested();
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  Dual dual(*model);
  EXPECT_GT(dual.agree(60, never), 0);
  dual.refine(never);
  EXPECT_GE(dual.prices().pools[0], 400'000);
  EXPECT_LE(dual.value(), 20'000'000 + 20'000'000 / 60 + 2);
  EXPECT_GE(dual.value(), 20'000'000 * 99 / 100);
  // "only" has the one option, and the whole of it.
  ASSERT_EQ(dual.mean_choice().size(), 2u);
  EXPECT_NEAR(dual.mean_choice()[1].at(0), 1.0, 0.01);
}

TEST(Search, WholeNodesAreEmptiedForWhoNeedsThem) {
  // Twelve nodes, on each the only replicas of four small demands: half of every node is free, and no node is. Whoever
  // takes from a few users at random never takes the four of one node.
  Problem problem;
  problem.pools = {make_pool("p", "r", "H", 8, 12)};
  problem.layouts = {make_layout("small", "H", 1, 100), make_layout("group", "H", 8, 100)};
  problem.demands = {make_demand("group", "group", 300)};
  for (int n = 0; n < 12; ++n) {
    for (int i = 0; i < 4; ++i) {
      const std::string name = "small-" + std::to_string(n) + "-" + std::to_string(i);
      problem.demands.push_back(make_demand(name, "small", 100));
      problem.current.push_back({name, "p", "tp1", {"p-" + std::to_string(n)}});
    }
  }
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  Search search(*model, {{0}, {}}, {}, 1);
  search.draft().keep_current();
  ASSERT_EQ(search.incomplete(), std::vector<std::int32_t>{0});
  double gone = 0;
  search.improve([&] { return gone += 0.02; }, nullptr);
  EXPECT_TRUE(search.incomplete().empty());
}

TEST(Dual, WithoutScarcityNothingHasAPrice) {
  Problem problem = contested();
  problem.demands.pop_back();
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  Dual dual(*model);
  dual.ascend(50, 50, never, never);
  EXPECT_EQ(dual.prices().pools[0], 0);
}

TEST(Search, RegretServesFirstWhoHasNoOtherPlace) {
  const Problem problem = contested();
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  Search search(*model, {{0, 0}, {}}, {}, 1);
  search.insert_all(search.incomplete(), never);
  EXPECT_TRUE(search.incomplete().empty());
}

TEST(Search, EndsAtTheBestPlanItMet) {
  const Problem problem = contested();
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  Search search(*model, {{0, 0}, {}}, {}, 1);
  // The wrong one first: ruin and recreate has to find the way out.
  search.draft().insert(0);
  search.draft().insert(1);
  EXPECT_EQ(search.incomplete().size(), 1u);
  double gone = 0;
  search.improve([&] { return gone += 0.02; }, nullptr);
  EXPECT_TRUE(search.incomplete().empty());
  Micros sum = 0;
  for (const NeedState& state : search.draft().needs()) sum += state.cost;
  EXPECT_EQ(sum, search.draft().cost());
}

TEST(Draft, WhatIsClearedIsFreeAgain) {
  const Problem problem = contested();
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  Draft draft(*model, {{0, 0}, {}});
  const Micros nothing = draft.cost();
  ASSERT_TRUE(draft.insert(0));
  const NeedState placed = draft.needs()[0];
  EXPECT_EQ(draft.packing().gpus_left(0), 0);
  draft.clear(0);
  EXPECT_EQ(draft.packing().gpus_left(0), 8);
  EXPECT_EQ(draft.cost(), nothing);
  draft.restore(0, placed);
  EXPECT_TRUE(draft.is_served(0));
}

TEST(Explain, TheCheaperPoolIsNamedWithWhyItWasNotTaken) {
  const Problem problem = contested();
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  const Prices prices{{500'000, 0}, {}};
  Draft draft(*model, prices);
  draft.insert(1);
  draft.insert(0);
  EXPECT_EQ(explain(*model, draft, prices, 0), "1 x tp8 in dear; cheap would be cheaper but has no room left for it (0 GPUs free).");
}

}  // namespace
}  // namespace tidegate::scheduler::placement
