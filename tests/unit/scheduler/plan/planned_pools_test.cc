#include "scheduler/planned_pools.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace tidegate::scheduler {
namespace planned_pools_test {

class PlannedPoolsTest : public ::testing::Test {
 protected:
  PlannedPoolsTest() {
    config_.region = "eu";
    config_.accelerators_dir = std::string(TG_SOURCE_DIR) + "/models/accelerators";
  }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.file(name)) << text;
    return folder_.file(name);
  }
  void on_kubernetes() {
    config_.driver = "kubernetes";
    config_.kube.pools_file = write("kube.json", R"({"pools": [
      {"pool": "cpu", "accelerator": "cpu", "cpu_millis": 4000, "memory_mib": 1024},
      {"pool": "far", "region": "us", "accelerator": "cpu", "cpu_millis": 4000, "memory_mib": 2048},
      {"pool": "h100", "accelerator": "h100-80", "per_node": 8, "cpu_millis": 64000, "memory_mib": 800000}]})");
  }

  test::TempDir folder_;
  SchedulerConfig config_;
};

TEST_F(PlannedPoolsTest, OnThisMachineItIsTheMachine) {
  const auto pools = planned_pools(config_);
  ASSERT_TRUE(pools) << pools.error().to_string();
  ASSERT_EQ(pools->size(), 1u);
  EXPECT_EQ(pools->front().region + "/" + pools->front().name, "eu/cpu");
  EXPECT_FALSE(pools->front().is_pod);
  EXPECT_GT(pools->front().accelerator.memory_bytes, 0);
}

TEST_F(PlannedPoolsTest, OnAClusterItIsTheClustersPoolsAndNotThisMachine) {
  on_kubernetes();
  const auto pools = planned_pools(config_);
  ASSERT_TRUE(pools) << pools.error().to_string();
  ASSERT_EQ(pools->size(), 2u) << "pools of accelerators run other engines";
  EXPECT_EQ((*pools)[0].region + "/" + (*pools)[0].name, "eu/cpu");
  EXPECT_EQ((*pools)[0].accelerator.memory_bytes, std::int64_t{1} << 30) << "of a pod, not of the scheduler's machine";
  EXPECT_TRUE((*pools)[0].is_pod);
  EXPECT_EQ((*pools)[1].region + "/" + (*pools)[1].name, "us/far");
}

TEST_F(PlannedPoolsTest, PricesOfOwnPoolsComeFromPoolsFile) {
  on_kubernetes();
  config_.pools_file = write("pools.json", R"({"pools": [
    {"region": "us", "pool": "far", "accelerator": "local", "price_micros_per_hour": 90000, "load_mib_per_s": 400}]})");
  const auto pools = planned_pools(config_);
  ASSERT_TRUE(pools) << pools.error().to_string();
  ASSERT_EQ(pools->size(), 2u);
  const PlannedPool& far = (*pools)[1];
  EXPECT_EQ(far.name, "far");
  EXPECT_EQ(far.price_micros_per_hour, 90'000);
  EXPECT_TRUE(far.is_pod);
  EXPECT_EQ(far.accelerator.memory_bytes, std::int64_t{2} << 30);
}

TEST_F(PlannedPoolsTest, AnOwnPoolThatTheClusterDoesNotHaveIsRefused) {
  on_kubernetes();
  config_.pools_file = write("pools.json", R"({"pools": [{"region": "eu", "pool": "gone", "accelerator": "local"}]})");
  const auto pools = planned_pools(config_);
  ASSERT_FALSE(pools);
  EXPECT_EQ(pools.error().reason, "unknown_pool");
  EXPECT_EQ(pools.error().field, "pools.file");
}

}  // namespace planned_pools_test
}  // namespace tidegate::scheduler
