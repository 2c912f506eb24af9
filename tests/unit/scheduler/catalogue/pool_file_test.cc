#include "scheduler/catalogue/pool_file.h"

#include <gtest/gtest.h>

#include "scheduler/catalogue/accelerator_file.h"

namespace tidegate::scheduler {
namespace {

const AcceleratorTable& known_accelerators() {
  static const AcceleratorTable table = *load_accelerators(std::string(TG_SOURCE_DIR) + "/models/accelerators");
  return table;
}

TEST(PoolFile, ReadsPoolsWithTheirKindsPriceAndNodes) {
  const auto pools = read_pools(R"({"pools": [
      {"region": "cn-1", "pool": "h20", "accelerator": "h20", "nodes": 3, "load_mib_per_s": 2},
      {"region": "cn-1", "pool": "own", "accelerator": "H200", "tenant": "acme", "per_node": 4, "price_micros_per_hour": 7,
       "nodes": [{"name": "a", "domain": "rack1", "free": 2}, {"name": "b"}]},
      {"region": "local", "pool": "cpu", "accelerator": "local", "price_micros_per_hour": 50000}]})",
                                known_accelerators());
  ASSERT_TRUE(pools) << pools.error().to_string();
  ASSERT_EQ(pools->size(), 3u);
  const PlannedPool& h20 = (*pools)[0];
  EXPECT_EQ(h20.accelerator.name, "h20-96");
  EXPECT_EQ(h20.per_node, 8);
  EXPECT_EQ(h20.nodes.size(), 3u);
  EXPECT_EQ(h20.price_micros_per_hour, h20.accelerator.price_micro_usd_per_hour)
      << "the typical one, when it has none of its own";
  EXPECT_EQ(h20.load_bytes_per_s, 2 << 20);
  const PlannedPool& own = (*pools)[1];
  EXPECT_EQ(own.tenant, "acme");
  EXPECT_EQ(own.price_micros_per_hour, 7);
  EXPECT_EQ(own.nodes[0].gpus_free, 2);
  EXPECT_EQ(own.nodes[1].gpus_free, 4);
  EXPECT_EQ(own.nodes[1].domain, "b") << "on its own, unless it is said what it fails with";
  EXPECT_TRUE((*pools)[2].is_local);
}

TEST(PoolFile, MistakesAreRefusedByTheirPlace) {
  const auto error = [](std::string_view pool) {
    return read_pools(R"({"pools": [)" + std::string(pool) + "]}", known_accelerators()).error();
  };
  EXPECT_EQ(error(R"({"region": "r", "pool": "p"})").reason, "missing_field");
  EXPECT_EQ(error(R"({"region": "r", "pool": "p", "accelerator": "abacus"})").reason, "unknown_accelerator");
  EXPECT_EQ(error(R"({"region": "r", "pool": "p", "accelerator": "h20", "per_node": 0})").field, "pools[0].per_node");
  EXPECT_EQ(error(R"({"region": "r", "pool": "p", "accelerator": "h20", "color": "red"})").field, "pools[0].color");
  EXPECT_EQ(error(R"({"region": "r", "pool": "p", "accelerator": "h20", "nodes": [{"name": "a", "free": 9}]})").field,
            "pools[0].nodes[0].free");
  EXPECT_EQ(
      error(
          R"({"region": "r", "pool": "p", "accelerator": "local"}, {"region": "r", "pool": "p", "accelerator": "local"})")
          .reason,
      "duplicate_pool");
}

}  // namespace
}  // namespace tidegate::scheduler
