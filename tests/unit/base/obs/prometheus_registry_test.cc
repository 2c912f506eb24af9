#include "base/obs/prometheus_registry.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/obs/process_metrics.h"

namespace tidegate {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return text.find("\n" + line + "\n") != std::string::npos || text.starts_with(line + "\n");
}

TEST(PrometheusRegistry, ExposesWhatWasRecorded) {
  PrometheusRegistry registry;
  registry.counter("tidegate_test_requests_total", "Requests", {{"status", "2xx"}}).add(3);
  registry.gauge("tidegate_test_depth", "Depth").set(7);
  registry.gauge("tidegate_test_depth", "Depth").add(-2);
  Histogram& seconds = registry.histogram("tidegate_test_seconds", "Time", {0.1, 1});
  seconds.observe(0.05);
  seconds.observe(0.5);
  seconds.observe(5);
  const std::string text = registry.serialize();
  EXPECT_TRUE(has_line(text, "# HELP tidegate_test_requests_total Requests")) << text;
  EXPECT_TRUE(has_line(text, "# TYPE tidegate_test_requests_total counter"));
  EXPECT_TRUE(has_line(text, R"(tidegate_test_requests_total{status="2xx"} 3)")) << text;
  EXPECT_TRUE(has_line(text, "tidegate_test_depth 5"));
  EXPECT_TRUE(has_line(text, R"(tidegate_test_seconds_bucket{le="0.1"} 1)"));
  EXPECT_TRUE(has_line(text, R"(tidegate_test_seconds_bucket{le="1"} 2)"));
  EXPECT_TRUE(has_line(text, R"(tidegate_test_seconds_bucket{le="+Inf"} 3)"));
  EXPECT_TRUE(has_line(text, "tidegate_test_seconds_count 3"));
}

TEST(PrometheusRegistry, TheSameNameAndLabelsAreTheSameHandle) {
  PrometheusRegistry registry;
  Counter& first = registry.counter("tidegate_test_a_total", "A", {{"k", "v"}});
  EXPECT_EQ(&first, &registry.counter("tidegate_test_a_total", "A", {{"k", "v"}}));
  EXPECT_NE(&first, &registry.counter("tidegate_test_a_total", "A", {{"k", "w"}}));
}

TEST(PrometheusRegistryDeathTest, ANameHasOneKindAndOneHelp) {
  PrometheusRegistry registry;
  registry.counter("tidegate_test_a_total", "A");
  EXPECT_DEATH(registry.gauge("tidegate_test_a_total", "A"), "check failed");
  EXPECT_DEATH(registry.counter("tidegate_test_a_total", "B"), "check failed");
}

TEST(PrometheusRegistry, ConcurrentUpdatesAreAllCounted) {
  PrometheusRegistry registry;
  Counter& counter = registry.counter("tidegate_test_a_total", "A");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) counter.add();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(has_line(registry.serialize(), "tidegate_test_a_total 40000"));
}

TEST(ProcessMetrics, AreThoseOfThisProcess) {
  const std::string text = render_process_metrics();
  const auto value = [&](const std::string& name) {
    const auto at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1.0 : std::stod(text.substr(at + name.size() + 2));
  };
  EXPECT_GT(value("process_resident_memory_bytes"), 1e6);
  EXPECT_GE(value("process_cpu_seconds_total"), 0);
  EXPECT_GE(value("process_open_fds"), 3);
  EXPECT_GE(value("process_threads"), 1);
  EXPECT_GT(value("process_start_time_seconds"), 1.6e9);
}

}  // namespace
}  // namespace tidegate
