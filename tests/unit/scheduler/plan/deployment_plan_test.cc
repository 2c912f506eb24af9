#include "scheduler/core/plan/deployment_plan.h"

#include <gmock/gmock.h>

#include "scheduler/catalogue/accelerator_file.h"
#include "scheduler/catalogue/catalogue_file.h"
#include "scheduler/catalogue/pool_file.h"

namespace tidegate::scheduler {
namespace {

using ::testing::HasSubstr;

class DeploymentPlanTest : public ::testing::Test {
 protected:
  static PlannedPool pool(const std::string& region, const std::string& accelerator, int nodes) {
    static const AcceleratorTable table = *load_accelerators(std::string(TG_SOURCE_DIR) + "/models/accelerators");
    const std::string text = R"({"pools": [{"region": ")" + region + R"(", "pool": ")" + accelerator +
                             R"(", "accelerator": ")" + accelerator + R"(", "load_mib_per_s": 1024, "nodes": )" +
                             std::to_string(nodes) + "}]}";
    return read_pools(text, table)->front();
  }
  static PlannedPool machine() {
    PlannedPool local;
    local.name = "cpu";
    local.region = "local";
    local.is_local = true;
    local.accelerator.name = "local";
    local.accelerator.memory_bytes = std::int64_t{16} << 30;
    return local;
  }
  Result<DeploymentPlan> plan(PlanRequest request, const MeasuredSpeeds& measured = {}) {
    return DeploymentPlanner(catalogue, pools).plan(request, measured);
  }

  const Catalogue catalogue = *load_catalogue(std::string(TG_SOURCE_DIR) + "/models/catalogue");
  std::vector<PlannedPool> pools{machine()};
};

TEST_F(DeploymentPlanTest, WhatIsHeldHereCanStartHere) {
  const auto made = plan({.model = "tang-moe", .context = 512});
  ASSERT_TRUE(made) << made.error().to_string();
  ASSERT_EQ(made->options.size(), 1u);
  const PlanOption& option = made->options[0];
  EXPECT_TRUE(option.can_deploy);
  EXPECT_EQ(option.context_max, 1024);
  EXPECT_GE(option.concurrency, 16);
  EXPECT_GT(option.kv_tokens, 0);
  EXPECT_EQ(option.ready_s, -1) << "nobody has measured it";
  EXPECT_THAT(option.notes, ::testing::Contains(HasSubstr("costs is not known")));
}

TEST_F(DeploymentPlanTest, ProcessesShareTheMemoryOfTheMachineAndPodsHaveTheirOwn) {
  const auto one = plan({.model = "tang-moe"});
  ASSERT_TRUE(one) << one.error().to_string();
  ASSERT_FALSE(one->options.empty());
  pools[0].accelerator.memory_bytes = one->options[0].weights_bytes * 2;
  const PlanRequest three{.model = "tang-moe", .variant = one->options[0].variant, .replicas = 3};
  const auto shared = plan(three);
  ASSERT_TRUE(shared) << shared.error().to_string();
  ASSERT_EQ(shared->refusals.size(), 1u);
  EXPECT_EQ(shared->refusals[0].reason, "does_not_fit");
  pools[0].is_pod = true;
  const auto pods = plan(three);
  ASSERT_TRUE(pods) << pods.error().to_string();
  ASSERT_EQ(pods->options.size(), 1u);
  EXPECT_EQ(pods->options[0].layout, "pod");
  pools[0].accelerator.memory_bytes = one->options[0].weights_bytes - 1;
  const auto small = plan(three);
  ASSERT_EQ(small->refusals.size(), 1u);
  EXPECT_THAT(small->refusals[0].message, HasSubstr("a pod of this pool"));
}

TEST_F(DeploymentPlanTest, WhatWasMeasuredGoesBeforeWhatIsEstimated) {
  const MeasuredSpeeds measured{{SpeedKey("tang-moe", "fp8", "local", "cpu"),
                                 {.prefill_tokens_per_s = 900, .decode_tokens_per_s = 300, .load_ms = 1500}}};
  const auto made = plan({.model = "tang-moe"}, measured);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->options[0].speed_from, "measured");
  EXPECT_EQ(made->options[0].decode_tokens_per_s, 300);
  EXPECT_EQ(made->options[0].ready_s, 2);
  EXPECT_EQ(made->options[0].ready_from, "measured");
}

TEST_F(DeploymentPlanTest, MoreContextThanTheModelHasIsRefusedWithWhatItHas) {
  const auto made = plan({.model = "tang-moe", .context = 4096});
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->options.empty());
  ASSERT_EQ(made->refusals.size(), 1u);
  EXPECT_EQ(made->refusals[0].reason, "context_too_long");
  EXPECT_THAT(made->refusals[0].message, HasSubstr("1024"));
}

TEST_F(DeploymentPlanTest, TheFullModelIsPlannedOverPoolsOfAccelerators) {
  pools.push_back(pool("cn-1", "h20-141", 4));
  pools.push_back(pool("cn-2", "h200-141", 4));
  const auto made = plan({.model = "deepseek-r1", .variant = "fp8_e4m3_128x128", .context = 32'768, .replicas = 2});
  ASSERT_TRUE(made) << made.error().to_string();
  ASSERT_EQ(made->options.size(), 2u) << (made->refusals.empty() ? "" : made->refusals.back().message);
  const PlanOption& cheapest = made->options[0];
  EXPECT_EQ(cheapest.pool, "h20-141") << "the cheapest first";
  EXPECT_EQ(cheapest.accelerators, 8);
  EXPECT_EQ(cheapest.price_micros_per_hour, 2 * 8 * 1'400'000);
  EXPECT_GE(cheapest.context_max, 32'768);
  EXPECT_GT(cheapest.concurrency, 0);
  EXPECT_EQ(cheapest.speed_from, "estimate");
  EXPECT_GT(cheapest.decode_tokens_per_s, 0);
  EXPECT_GT(cheapest.ready_s, 600) << "627 GiB at a GiB a second";
  EXPECT_FALSE(cheapest.can_deploy);
  ASSERT_FALSE(made->refusals.empty()) << "and not on this machine";
}

TEST_F(DeploymentPlanTest, NoRoomIsSaid) {
  pools = {pool("cn-1", "h200-141", 1)};
  const auto made = plan({.model = "deepseek-r1", .variant = "fp8_e4m3_128x128", .replicas = 2});
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->options.empty());
  ASSERT_FALSE(made->refusals.empty());
  EXPECT_EQ(made->refusals[0].reason, "no_room");
  EXPECT_FALSE(made->refusals[0].message.empty());
}

TEST_F(DeploymentPlanTest, ADedicatedEndpointTakesNoSharedPool) {
  const auto made = plan({.model = "tang-moe", .is_dedicated = true});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->refusals[0].reason, "pool_is_shared");
  pools[0].tenant = "acme";
  EXPECT_EQ(plan({.model = "tang-moe", .is_dedicated = true})->options.size(), 1u);
}

TEST_F(DeploymentPlanTest, WhatDoesNotExistIsSaidWithWhatDoes) {
  EXPECT_EQ(plan({.model = "gpt"}).error().reason, "unknown_model");
  EXPECT_EQ(plan({.model = "tang-moe", .variant = "fp2"}).error().reason, "unknown_variant");
  const auto elsewhere = plan({.model = "tang-moe", .region = "moon"});
  EXPECT_EQ(elsewhere.error().reason, "unknown_pool");
  EXPECT_THAT(elsewhere.error().message, HasSubstr("local/cpu"));
  EXPECT_EQ(plan({.model = "tang-moe", .replicas = 65}).error().field, "replicas");
}

/// Which pool a deployment that may be moved is given.
class HomeForTest : public DeploymentPlanTest {
 protected:
  HomeForTest() {
    pools = {local_pool("eu-1", 0), local_pool("eu-2", 900), local_pool("us-1", 800), pool("eu-1", "h100-80", 4)};
    deployment.name = "chat";
    deployment.model = "tang-moe";
    deployment.variant = "fp8";
    deployment.placement.is_on = true;
  }
  static PlannedPool local_pool(const std::string& region, std::int64_t price) {
    PlannedPool local = machine();
    local.region = region;
    local.price_micros_per_hour = price;
    return local;
  }
  Result<PoolName> home() {
    return DeploymentPlanner(catalogue, pools)
        .home_for({.deployment = deployment, .replicas = replicas, .lost = lost, .replicas_in = replicas_in});
  }
  std::string region() {
    const auto found = home();
    return found ? found->region : found.error().reason;
  }

  Deployment deployment;
  std::int32_t replicas = 1;
  std::vector<PoolName> lost;
  std::map<PoolName, std::int32_t> replicas_in;
};

TEST_F(HomeForTest, TheCheapestThatIsKnownAndNeverOneThatCannotBeStarted) {
  EXPECT_EQ(region(), "us-1");
  lost = {{"us-1", "cpu"}};
  EXPECT_EQ(region(), "eu-2");
  lost.push_back({"eu-2", "cpu"});
  EXPECT_EQ(region(), "eu-1") << "what costs nobody knows what comes last";
}

TEST_F(HomeForTest, ResidencyAndNamesHoldWhateverItCosts) {
  deployment.placement.regions = {"eu-1", "eu-2"};
  EXPECT_EQ(region(), "eu-2");
  deployment.placement.pools = {"gpu"};
  const auto none = home();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().reason, "no_pool");
  EXPECT_EQ(none.error().field, "placement");
  EXPECT_THAT(none.error().message, HasSubstr("none of this installation's is in its regions and pools"));
}

TEST_F(HomeForTest, AmongEqualPricesTheOneWithTheFewestReplicas) {
  for (PlannedPool& each : pools) each.price_micros_per_hour = 100;
  replicas_in = {{{"eu-1", "cpu"}, 3}, {{"eu-2", "cpu"}, 1}, {{"us-1", "cpu"}, 2}};
  EXPECT_EQ(region(), "eu-2");
  replicas_in.erase({"us-1", "cpu"});
  EXPECT_EQ(region(), "us-1");
}

TEST_F(HomeForTest, SomebodysOwnPoolIsForThoseWhoNameIt) {
  pools[2].tenant = "acme";
  EXPECT_EQ(region(), "eu-2");
  pools[2].name = "acme";
  deployment.placement.pools = {"acme"};
  EXPECT_EQ(region(), "us-1");
}

TEST_F(HomeForTest, WhatSpeaksAgainstEachPoolIsSaid) {
  pools.resize(2);
  lost = {{"eu-1", "cpu"}};
  pools[1].accelerator.memory_bytes = 1 << 20;
  const auto none = home();
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("eu-1/cpu: lost; eu-2/cpu: the weights of"));
}

}  // namespace
}  // namespace tidegate::scheduler
