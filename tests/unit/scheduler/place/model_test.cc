#include "scheduler/core/place/model.h"

#include <gmock/gmock.h>

#include "scheduler/core/place/types.h"
#include "tests/unit/scheduler/place/place_town.h"

namespace tidegate::scheduler::placement {
namespace {

std::string refused(const Problem& problem) {
  const auto model = Model::compile(problem);
  return model ? "accepted" : model.error().field;
}

TEST(Model, LimitsAreNamedByField) {
  EXPECT_EQ(refused(two_regions()), "accepted");
  const auto changed = [](auto change) {
    Problem problem = two_regions();
    change(problem);
    return refused(problem);
  };
  EXPECT_EQ(changed([](Problem& p) { p.pools[1].name = "east"; }), "pools[1].name");
  EXPECT_EQ(changed([](Problem& p) { p.pools[0].gpus_per_node = 65; }), "pools[0].gpus_per_node");
  EXPECT_EQ(changed([](Problem& p) { p.pools[0].nodes[1].gpus_free = 9; }), "pools[0].nodes[1].gpus_free");
  EXPECT_EQ(changed([](Problem& p) { p.pools[0].load_bytes_per_s = 0; }), "pools[0].load_bytes_per_s");
  EXPECT_EQ(changed([](Problem& p) { p.layouts[0].throughput = 0; }), "layouts[0].throughput");
  EXPECT_EQ(changed([](Problem& p) { p.layouts[0].gpus = 3, p.layouts[0].nodes = 2; }), "layouts[0].gpus");
  EXPECT_EQ(changed([](Problem& p) { p.layouts[1] = p.layouts[0]; }), "layouts[1].name");
  EXPECT_EQ(changed([](Problem& p) { p.demands[0].throughput = 0; }), "demands[0].throughput");
  EXPECT_EQ(changed([](Problem& p) { p.demands[0].is_dedicated = true; }), "demands[0].tenant");
  EXPECT_EQ(changed([](Problem& p) { p.demands.push_back(p.demands[0]); }), "demands[1].name");
  EXPECT_EQ(changed([](Problem& p) { p.drain_s = p.horizon_s + 1; }), "drain_s");
  EXPECT_EQ(changed([](Problem& p) { p.demands[0].throughput = kThroughputMax, p.demands[0].unserved_per_unit_hour = kPriceMax; }), "horizon_s");
}

TEST(Model, OneNodeCannotRunMoreThanItHas) {
  Problem problem = two_regions();
  for (int i = 0; i < 2; ++i) problem.current.push_back({"chat", "east", "tp8", {"east-0"}});
  EXPECT_EQ(refused(problem), "current[1].nodes");
}

TEST(Model, ReplicaOnALostNodeIsLostAndCostsNothing) {
  Problem problem = two_regions();
  problem.current = {{"chat", "east", "tp8", {"east-7"}}, {"chat", "east", "tp8", {"east-1"}}};
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  EXPECT_EQ(model->olds().size(), 1u);
  EXPECT_EQ(model->needs()[0].drain_all, gpu_cost(8, 1'000'000, problem.drain_s));
}

TEST(Model, ResidencyAndDedicationDecideWhatMayBeUsed) {
  Demand demand = make_demand("d", "m", 1);
  Pool pool = make_pool("p", "east", "H", 8, 1);
  EXPECT_TRUE(may_use(demand, pool));
  demand.regions = {"west"};
  EXPECT_FALSE(may_use(demand, pool));
  demand.regions = {"west", "east"};
  EXPECT_TRUE(may_use(demand, pool));
  pool.tenant = "ann";
  EXPECT_FALSE(may_use(demand, pool));
  demand.tenant = "ann";
  EXPECT_TRUE(may_use(demand, pool));
  pool.tenant.clear();
  demand.is_dedicated = true;
  EXPECT_FALSE(may_use(demand, pool));
}

TEST(Money, IsRoundedUpAndStartupCountsFetchingAndWarmingUp) {
  EXPECT_EQ(gpu_cost(1, 1, 1), 1);
  EXPECT_EQ(gpu_cost(2, 3'600'000, 10), 20'000);
  EXPECT_EQ(unserved_cost(0, 5, 3600), 0);
  EXPECT_EQ(startup_s(make_layout("m", "H", 2, 100), make_pool("p", "r", "H", 8, 1)), 60);
}

}  // namespace
}  // namespace tidegate::scheduler::placement
