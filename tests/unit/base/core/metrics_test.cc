#include "base/core/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tidegate {
namespace {

TEST(MemoryRegistry, KeepsValuesByNameAndLabels) {
  MemoryRegistry registry;
  registry.counter("tidegate_test_a_total", "A", {{"k", "v"}}).add(2);
  registry.counter("tidegate_test_a_total", "A", {{"k", "v"}}).add();
  registry.gauge("tidegate_test_b", "B").set(5);
  registry.gauge("tidegate_test_b", "B").add(-1);
  registry.histogram("tidegate_test_c_seconds", "C", latency_bounds_seconds()).observe(0.1);
  EXPECT_EQ(registry.value("tidegate_test_a_total", {{"k", "v"}}), 3);
  EXPECT_EQ(registry.value("tidegate_test_a_total", {{"k", "w"}}), 0);
  EXPECT_EQ(registry.value("tidegate_test_b"), 4);
  EXPECT_EQ(registry.value("tidegate_test_c_seconds"), 1);
}

TEST(MemoryRegistry, ListsFamiliesForTheGoldenFile) {
  MemoryRegistry registry;
  registry.gauge("tidegate_test_b", "B");
  registry.counter("tidegate_test_a_total", "A things", {{"x", "1"}, {"k", "v"}});
  registry.counter("tidegate_test_a_total", "A things", {{"x", "2"}, {"k", "v"}});
  EXPECT_EQ(registry.names(), (std::vector<std::string>{"counter tidegate_test_a_total{k,x} A things", "gauge tidegate_test_b{} B"}));
}

TEST(Latency, BoundsRise) {
  const auto& bounds = latency_bounds_seconds();
  EXPECT_TRUE(std::is_sorted(bounds.begin(), bounds.end()));
  EXPECT_EQ(bounds.front(), 0.0001);
  EXPECT_EQ(bounds.back(), 60);
}

}  // namespace
}  // namespace tidegate
