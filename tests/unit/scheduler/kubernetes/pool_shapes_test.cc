#include "scheduler/drivers/kubernetes/objects/pool_shapes.h"

#include <gtest/gtest.h>

namespace tidegate::scheduler::kube {
namespace {

std::string pools(const std::string& members) { return "{\"pools\": [{" + members + "}]}"; }
const std::string kCpu = R"("pool": "cpu", "accelerator": "cpu", "cpu_millis": 1000, "memory_mib": 1024)";
const std::string kGpu =
    R"("pool": "g", "accelerator": "h100-80", "per_node": 8, "cpu_millis": 1000, "memory_mib": 1024)";

std::string field_of(const std::string& text) {
  const auto parsed = PoolShapes::parse(text);
  return parsed ? "accepted" : parsed.error().field;
}

TEST(PoolShapes, ReadsEverything) {
  const auto shapes =
      PoolShapes::parse(pools(kGpu + R"(, "region": "eu", "nodes": 2, "peer_command": ["x"], "shm_mib": 64,
    "node_selector": {"a": "b"}, "tolerations": [{"key": "gpu", "effect": "NoSchedule"}], "extra_resources": {"rdma/hca": 1},
    "environment": {"NCCL_DEBUG": "WARN"}, "priority_class": "p", "runtime_class": "nvidia", "zone_spread": "hard",
    "exclusive_topology": "example.com/rail")"));
  ASSERT_TRUE(shapes) << shapes.error().to_string();
  const PoolShape& shape = shapes->all().front();
  EXPECT_EQ(shape.resource, "nvidia.com/gpu");
  EXPECT_EQ(shape.nodes, 2);
  EXPECT_EQ(shape.zone_spread, Spread::kHard);
  EXPECT_EQ(shape.tolerations.front().key, "gpu");
  EXPECT_EQ(shape.extra_resources.at("rdma/hca"), 1);
}

TEST(PoolShapes, PoolOfARegionComesBeforeOneOfAnyRegion) {
  const auto shapes =
      PoolShapes::parse("{\"pools\": [{" + kCpu + "}, {" + kCpu + R"(, "region": "eu", "image": "eu"}]})");
  ASSERT_TRUE(shapes);
  EXPECT_EQ((*shapes->find("cpu", "eu"))->image, "eu");
  EXPECT_EQ((*shapes->find("cpu", "us"))->image, "");
  const auto none = shapes->find("gpu", "eu");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().reason, "unknown_pool");
}

TEST(PoolShapes, ComplaintsNameTheMember) {
  EXPECT_EQ(field_of(pools(kCpu)), "accepted");
  EXPECT_EQ(field_of(pools(kCpu + R"(, "colour": "red")")), "pools[0].colour");
  EXPECT_EQ(field_of(pools(R"("accelerator": "cpu")")), "pools[0].pool");
  EXPECT_EQ(
      field_of(pools(R"("pool": "g", "accelerator": "kunlun-p800", "per_node": 8, "cpu_millis": 1, "memory_mib": 1)")),
      "pools[0].resource");
  EXPECT_EQ(field_of(pools(R"("pool": "g", "accelerator": "h100-80", "cpu_millis": 1, "memory_mib": 1)")),
            "pools[0].per_node");
  EXPECT_EQ(field_of(pools(kGpu + R"(, "nodes": 2)")), "pools[0].peer_command");
  EXPECT_EQ(field_of(pools(kGpu + R"(, "nodes": 65, "peer_command": ["x"])")), "pools[0].nodes");
  EXPECT_EQ(field_of(pools(kGpu + R"(, "shm_mib": 1024)")), "pools[0].shm_mib");
  EXPECT_EQ(field_of(pools(kGpu + R"(, "zone_spread": "maybe")")), "pools[0].zone_spread");
  EXPECT_EQ(field_of(pools(kGpu + R"(, "extra_resources": {"hca": 1})")), "pools[0].extra_resources");
  EXPECT_EQ(field_of(pools(kGpu + R"(, "tolerations": [{"key": "a", "effect": "x"}])")),
            "pools[0].tolerations[0].effect");
  EXPECT_EQ(field_of(R"({"pools": []})"), "pools");
  EXPECT_EQ(field_of(R"({"pools": [], "more": 1})"), "pools");
  EXPECT_EQ(field_of("{\"pools\": [{" + kCpu + "}, {" + kCpu + "}]}"), "pools[1]");
}

}  // namespace
}  // namespace tidegate::scheduler::kube
