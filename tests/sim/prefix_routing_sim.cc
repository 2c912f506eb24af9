#include <gtest/gtest.h>

#include "tests/support/gateway/prefix_sim.h"

namespace tidegate::gateway::test {
namespace {

/// One run of each policy over one trace.
struct Comparison {
  Comparison(const std::vector<TraceRequest>& trace, const PrefixSimOptions& options)
      : ceiling(hit_ceiling(trace)),
        round_robin(simulate_routing(trace, RoutingPolicy::kRoundRobin, options)),
        least_load(simulate_routing(trace, RoutingPolicy::kLeastLoad, options)),
        least_time(simulate_routing(trace, RoutingPolicy::kLeastTime, options)) {}
  double ceiling;
  PrefixSimResult round_robin;
  PrefixSimResult least_load;
  PrefixSimResult least_time;
};

void expect_good_routing(const Comparison& got) {
  EXPECT_GE(got.least_time.hit_share, 0.85 * got.ceiling);
  EXPECT_LE(got.least_time.work_max_over_mean, 1.25);
  EXPECT_GT(got.least_time.hit_share, 2 * got.least_load.hit_share);
  EXPECT_GT(got.least_time.hit_share, 2 * got.round_robin.hit_share);
  EXPECT_LT(got.least_time.ttft_mean_s, 0.8 * got.least_load.ttft_mean_s) << "a fifth less waiting at least";
  EXPECT_LT(got.least_time.ttft_mean_s, got.round_robin.ttft_mean_s);
}

TEST(PrefixRouting, FindsWhatIsCachedInASyntheticTrace) {
  expect_good_routing(Comparison(synthetic_trace(3'000, 1), {}));
}

TEST(PrefixRouting, FindsWhatIsCachedInTheMooncakeTrace) {
  const std::string path = mooncake_trace_path(TG_SOURCE_DIR);
  const auto trace = load_mooncake_trace(path);
  if (!trace && trace.error().code == Code::kNotFound) {
    GTEST_SKIP() << trace.error().message << "; see tests/sim/README.md for where it comes from";
  }
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_GT(trace->size(), 10'000U);
  expect_good_routing(Comparison(*trace, {}));

  // Caches an eighth as large: the ceiling is out of reach, the advantage is not.
  const PrefixSimOptions small{.cache_tokens = 500'000};
  const auto least_load = simulate_routing(*trace, RoutingPolicy::kLeastLoad, small);
  const auto least_time = simulate_routing(*trace, RoutingPolicy::kLeastTime, small);
  EXPECT_GT(least_time.hit_share, 2 * least_load.hit_share);
  EXPECT_LE(least_time.work_max_over_mean, 1.25);
}

TEST(PrefixRouting, BeliefInCachesThatAreNotThereCostsLittle) {
  const auto trace = synthetic_trace(2'000, 2);
  const PrefixSimOptions none{.has_cache = false};
  const auto least_load = simulate_routing(trace, RoutingPolicy::kLeastLoad, none);
  const auto least_time = simulate_routing(trace, RoutingPolicy::kLeastTime, none);
  EXPECT_EQ(least_time.hit_share, 0);
  EXPECT_LE(least_time.work_max_over_mean, 1.25);
  EXPECT_LT(least_time.ttft_mean_s, 1.2 * least_load.ttft_mean_s);
}

TEST(PrefixRouting, AnIndexThatIsTooSmallFindsLessAndStaysInItsBound) {
  const auto trace = synthetic_trace(2'000, 3);
  const auto small = simulate_routing(trace, RoutingPolicy::kLeastTime, {.entries_max = 4'000});
  const auto large = simulate_routing(trace, RoutingPolicy::kLeastTime, {});
  EXPECT_LE(small.entries, 4'000U);
  EXPECT_LT(small.hit_share, large.hit_share);
  EXPECT_LE(small.work_max_over_mean, 1.25);
}

TEST(PrefixRouting, TheSameTraceGivesTheSameResult) {
  const auto once = simulate_routing(synthetic_trace(500, 4), RoutingPolicy::kLeastTime, {});
  const auto again = simulate_routing(synthetic_trace(500, 4), RoutingPolicy::kLeastTime, {});
  EXPECT_EQ(once.hit_share, again.hit_share);
  EXPECT_EQ(once.ttft_mean_s, again.ttft_mean_s);
}

}  // namespace
}  // namespace tidegate::gateway::test
