#include "scheduler/sim/sim_pool.h"

#include <gtest/gtest.h>

namespace tidegate::scheduler {
namespace {

/// One request a second of 1,000 tokens in, ten out.
const std::vector<TraceRequest>& trace() {
  static const std::vector<TraceRequest> kTrace = [] {
    std::vector<TraceRequest> all;
    for (int i = 0; i < 100; ++i) all.push_back({static_cast<double>(i), 1'000, 10});
    return all;
  }();
  return kTrace;
}

SimPool pool_of(double per_s, ReplicaSpeed speed = {
                                  .slots = 4, .prefill_tokens_per_s = 10'000, .itl_ms = 10, .itl_ms_per_sequence = 0}) {
  return SimPool(speed, {.ttft_slo_s = 0.5, .wait_max_s = 10},
                 Traffic(trace(), {.peak_per_s = per_s, .noise = 0, .is_flat = true}, 0, 1));
}

TEST(SimPool, WithoutAReplicaRequestsWaitAndAreRefusedInTheEnd) {
  SimPool pool = pool_of(1);
  pool.advance(5);
  EXPECT_GE(pool.demand(5).waiting, 4);
  EXPECT_GT(pool.demand(5).oldest_wait, std::chrono::seconds(3));
  pool.advance(60);
  EXPECT_GT(pool.counts().refused, 40);
  EXPECT_EQ(pool.counts().served, 0);
}

TEST(SimPool, AReplicaThatLoadsServesFromTheInstantItIsReady) {
  SimPool pool = pool_of(1);
  pool.add("a-0", 8);
  pool.advance(7.9);
  EXPECT_EQ(pool.counts().served, 0);
  pool.advance(20);
  EXPECT_EQ(pool.demand(20).waiting, 0);
  EXPECT_EQ(pool.counts().refused, 0);
  EXPECT_GT(pool.counts().served, 15);
}

TEST(SimPool, AnIdleReplicaAnswersInThePromptsTime) {
  SimPool pool = pool_of(1);
  pool.add("a-0", 0);
  pool.advance(100);
  EXPECT_EQ(pool.counts().in_time, pool.counts().served);
  EXPECT_NEAR(pool.counts().ttft_sum_s / static_cast<double>(pool.counts().served), 0.1, 0.01);
}

TEST(SimPool, PromptsAreReadOneAfterAnotherSoTooManyMissTheTarget) {
  SimPool pool = pool_of(12);  // reads ten a second
  pool.add("a-0", 0);
  pool.advance(100);
  EXPECT_LT(pool.counts().in_time, pool.counts().served / 2);
}

TEST(SimPool, NoMoreThanTheSlotsRunAndADrainingOneTakesNothing) {
  SimPool pool = pool_of(50);
  pool.add("a-0", 0);
  for (int t = 1; t < 20; ++t) {
    pool.advance(t);
    EXPECT_LE(pool.replicas().at("a-0").running, 4);
  }
  pool.drain("a-0");
  const auto served = pool.counts().served;
  pool.advance(40);
  EXPECT_EQ(pool.counts().served, served);
  EXPECT_EQ(pool.replicas().at("a-0").running, 0);
}

}  // namespace
}  // namespace tidegate::scheduler
