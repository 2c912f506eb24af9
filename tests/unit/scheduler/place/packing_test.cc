#include "scheduler/core/place/packing.h"

#include <gmock/gmock.h>

#include "base/core/random.h"
#include "scheduler/core/place/model.h"
#include "tests/support/scheduler/place_cases.h"
#include "tests/unit/scheduler/place/place_town.h"

namespace tidegate::scheduler::placement {
namespace {

class PackingTest : public ::testing::Test {
 protected:
  PackingTest() { problem.pools = {make_pool("p", "r", "H", 8, 4, 1'000'000, 2)}; }
  static Option option(std::int32_t gpus_on_node, std::int32_t nodes = 1) {
    Option out;
    out.gpus_on_node = gpus_on_node;
    out.nodes = nodes;
    out.gpus = gpus_on_node * nodes;
    return out;
  }
  Problem problem;
  std::vector<std::int32_t> nodes;
};

TEST_F(PackingTest, PartOfANodeGoesWhereLeastIsLeftSoThatWholeNodesStay) {
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  Packing packing(*model);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(packing.take(option(2), {}, false, nodes));
  EXPECT_EQ(packing.room(option(8), 10), 3);
  EXPECT_EQ(packing.gpus_left(0), 24);
}

TEST_F(PackingTest, GroupOfNodesStaysInOneFailureDomain) {
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  Packing packing(*model);
  ASSERT_TRUE(packing.take(option(1), {}, false, nodes));
  EXPECT_EQ(packing.room(option(8, 2), 10), 1);
  ASSERT_TRUE(packing.take(option(8, 2), {}, false, nodes));
  EXPECT_EQ(model->domain_of(nodes[0]), model->domain_of(nodes[1]));
  EXPECT_NE(nodes[0], nodes[1]);
  EXPECT_FALSE(packing.take(option(8, 2), {}, false, nodes));
}

TEST_F(PackingTest, AnotherDomainIsFoundOrNothing) {
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  Packing packing(*model);
  ASSERT_TRUE(packing.take(option(4), {}, false, nodes));
  const std::vector<std::int32_t> first = {model->domain_of(nodes[0])};
  ASSERT_TRUE(packing.take(option(4), first, true, nodes));
  const std::vector<std::int32_t> both = {first[0], model->domain_of(nodes[0])};
  EXPECT_NE(both[0], both[1]);
  EXPECT_FALSE(packing.take(option(4), both, true, nodes));
}

TEST_F(PackingTest, NoPoolHoldsMoreThanItsRoom) {
  Rng rng(31);
  std::int64_t groups = 0;
  for (int i = 0; i < 200; ++i) {
    const Problem any = test::random_place_case(rng);
    const auto model = Model::compile(any);
    ASSERT_TRUE(model);
    Packing packing(*model);
    for (const Need& need : model->needs()) {
      for (const Option& each : need.options) {
        if (!each.quotas.empty()) continue;  // they are not the nodes' matter
        std::vector<std::vector<std::int32_t>> taken;
        while (packing.take(each, {}, false, nodes)) taken.push_back(nodes);
        ASSERT_LE(static_cast<std::int64_t>(taken.size()), each.room) << i;
        if (each.nodes == 1) {
          ASSERT_EQ(static_cast<std::int64_t>(taken.size()), each.room) << i;
        }
        groups += each.nodes > 1 && !taken.empty() ? 1 : 0;
        for (const auto& replica : taken) packing.give_back(each, replica);
      }
    }
  }
  EXPECT_GT(groups, 20);
}

TEST_F(PackingTest, RoomCountsWholeGroupsInOneDomainAndQuotas) {
  problem.layouts = {make_layout("m", "H", 16, 100, 2), make_layout("n", "H", 4, 100)};
  problem.pools[0].kind = "H";
  problem.pools[0].nodes[1].gpus_free = 7;
  problem.demands = {make_demand("groups", "m", 100), make_demand("parts", "n", 100)};
  problem.demands[1].tenant = "ann";
  problem.quotas = {{"ann", "", 11}};
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  // Two domains of two nodes: one of the first has a GPU too few.
  EXPECT_EQ(model->needs()[0].options.at(0).room, 1);
  EXPECT_EQ(model->needs()[1].options.at(0).room, 2);
}

TEST_F(PackingTest, WhatIsGivenBackMayBeTakenAgain) {
  const auto model = Model::compile(problem);
  ASSERT_TRUE(model);
  Packing packing(*model);
  ASSERT_TRUE(packing.take(option(8), {}, false, nodes));
  const std::vector<std::int32_t> taken = nodes;
  EXPECT_FALSE(packing.can_take(option(1), taken));
  packing.give_back(option(8), taken);
  EXPECT_TRUE(packing.can_take(option(8), taken));
  packing.take_these(option(8), taken);
  EXPECT_EQ(packing.room(option(8), 10), 3);
}

}  // namespace
}  // namespace tidegate::scheduler::placement
