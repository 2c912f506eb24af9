#include "gateway/core/service_rate.h"

#include <gtest/gtest.h>

namespace tidegate::gateway::service_rate_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Mono at(Duration since_start) { return Mono(seconds(1'000)) + since_start; }

TEST(ServiceRate, IsMeasuredWhileSomethingWaitsOnly) {
  ServiceRate rate;
  Mono now = at({});
  rate.pass(false, now);
  for (int i = 0; i < 100; ++i) {
    rate.pass(false, now += milliseconds(10));
    rate.serve(1, false);
  }
  EXPECT_FALSE(rate.per_second().has_value()) << "what clients ask for is not what workers can do";
  for (int i = 0; i < 1'000; ++i) {
    rate.pass(true, now += milliseconds(10));
    rate.serve(5, true);
  }
  EXPECT_NEAR(rate.per_second().value(), 500, 5);
  rate.pass(false, now += seconds(29));
  EXPECT_TRUE(rate.per_second().has_value()) << "frozen";
  rate.pass(false, now += seconds(2));
  EXPECT_FALSE(rate.per_second().has_value()) << "forgotten";
}

TEST(ServiceRate, ALostWorkerShowsWithinSeconds) {
  ServiceRate rate;
  Mono now = at({});
  rate.pass(true, now);
  const auto run = [&](Duration span, double per_step) {
    for (const Mono until = now + span; now < until;) {
      rate.pass(true, now += milliseconds(10));
      rate.serve(per_step, true);
    }
  };
  run(seconds(30), 10);
  run(seconds(9), 5);
  EXPECT_NEAR(rate.per_second().value(), 500, 30);
}

}  // namespace
}  // namespace tidegate::gateway::service_rate_test
