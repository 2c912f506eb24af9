#include "gateway/core/fair_queue.h"

#include <gtest/gtest.h>

#include <map>

#include "base/core/random.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TenantId tenant(std::uint64_t n) { return TenantId{test::SequentialIds::make(n)}; }
Mono at(Duration since_start) { return Mono(seconds(1'000)) + since_start; }

TEST(FairQueue, ServesOneTenantInOrder) {
  FairQueue queue({});
  for (QueueTicket t = 1; t <= 3; ++t) EXPECT_EQ(queue.push(t, tenant(1), 10, at({})).value(), t - 1);
  for (QueueTicket t = 1; t <= 3; ++t) EXPECT_EQ(queue.pop(at({}))->ticket, t);
  EXPECT_FALSE(queue.pop(at({})).has_value());
}

TEST(FairQueue, ATenantsBacklogDoesNotDelayAnother) {
  FairQueue queue({});
  for (QueueTicket t = 1; t <= 100; ++t) ASSERT_TRUE(queue.push(t, tenant(1), 10, at({})));
  ASSERT_TRUE(queue.push(500, tenant(2), 10, at({})));
  queue.pop(at({}));
  EXPECT_EQ(queue.pop(at({}))->ticket, 500U);
}

TEST(FairQueue, GapBetweenBackloggedTenantsStaysWithinTwiceTheLargestRequest) {
  FairQueue queue({.length_max = 10'000});
  Rng rng(7);
  constexpr std::int64_t kCostMost = 100;
  QueueTicket next = 1;
  std::map<Uuid, std::int64_t> served;
  const auto refill = [&](std::uint64_t t, std::int64_t cost) { ASSERT_TRUE(queue.push(next++, tenant(t), cost, at({}))); };
  for (int i = 0; i < 20; ++i) {
    refill(1, kCostMost);
    refill(2, 1 + static_cast<std::int64_t>(rng.below(kCostMost)));
    refill(3, 1);
  }
  for (int step = 0; step < 5'000; ++step) {
    const auto one = queue.pop(at({}));
    ASSERT_TRUE(one);
    served[one->tenant.uuid] += one->cost;
    const std::uint64_t who = one->tenant == tenant(1) ? 1 : one->tenant == tenant(2) ? 2 : 3;
    refill(who, who == 1 ? kCostMost : who == 2 ? 1 + static_cast<std::int64_t>(rng.below(kCostMost)) : 1);
    if (served.size() < 3) continue;
    for (const auto& [a, tokens_a] : served) {
      for (const auto& [b, tokens_b] : served) ASSERT_LE(tokens_a - tokens_b, 2 * kCostMost);
    }
  }
}

TEST(FairQueue, ChangedLimitsHoldForThoseWhoWaitAsWell) {
  FairQueue queue({.wait_max = seconds(60), .length_max = 2});
  ASSERT_TRUE(queue.push(1, tenant(1), 10, at({})));
  ASSERT_TRUE(queue.push(2, tenant(1), 10, at({})));
  EXPECT_FALSE(queue.push(3, tenant(1), 10, at({})));
  queue.set_limits({.wait_max = seconds(5), .length_max = 3});
  EXPECT_TRUE(queue.push(3, tenant(1), 10, at({})));
  EXPECT_EQ(queue.next_expiry(), at(seconds(5)));
  EXPECT_EQ(queue.take_expired(at(seconds(5))).size(), 3U);
}

TEST(FairQueue, IdlenessEarnsNoCredit) {
  FairQueue queue({});
  ASSERT_TRUE(queue.push(1, tenant(2), 1, at({})));
  queue.pop(at({}));  // tenant 2 was served little, long ago
  for (QueueTicket t = 10; t < 110; ++t) ASSERT_TRUE(queue.push(t, tenant(1), 10, at({})));
  for (int i = 0; i < 50; ++i) queue.pop(at({}));
  for (QueueTicket t = 200; t < 300; ++t) ASSERT_TRUE(queue.push(t, tenant(2), 10, at({})));
  int second = 0;
  for (int i = 0; i < 20; ++i) second += queue.pop(at({}))->tenant == tenant(2) ? 1 : 0;
  EXPECT_NEAR(second, 10, 1);
}

TEST(FairQueue, DeliveredTokensCountAgainstTheirTenant) {
  FairQueue queue({});
  for (QueueTicket t = 1; t <= 10; ++t) {
    ASSERT_TRUE(queue.push(t, tenant(1), 1, at({})));
    ASSERT_TRUE(queue.push(100 + t, tenant(2), 1, at({})));
  }
  queue.charge(tenant(1), 1'000);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(queue.pop(at({}))->tenant, tenant(2));
}

TEST(FairQueue, RestoredRequestIsServedNextAndCostsOnce) {
  FairQueue queue({});
  ASSERT_TRUE(queue.push(1, tenant(1), 10, at({})));
  ASSERT_TRUE(queue.push(2, tenant(1), 10, at({})));
  ASSERT_TRUE(queue.push(3, tenant(2), 15, at({})));
  const auto first = queue.pop(at({}));
  queue.restore(*first);
  EXPECT_EQ(queue.size(), 3U);
  EXPECT_EQ(queue.pop(at({}))->ticket, 1U);
  EXPECT_EQ(queue.pop(at({}))->ticket, 3U);
}

TEST(FairQueue, RemovedRequestIsNeverServed) {
  FairQueue queue({});
  ASSERT_TRUE(queue.push(1, tenant(1), 10, at({})));
  ASSERT_TRUE(queue.push(2, tenant(1), 10, at({})));
  EXPECT_TRUE(queue.remove(1));
  EXPECT_FALSE(queue.remove(1));
  EXPECT_EQ(queue.pop(at({}))->ticket, 2U);
  EXPECT_TRUE(queue.empty());
}

TEST(FairQueue, WaitIsBoundedInTime) {
  FairQueue queue({.wait_max = seconds(60)});
  ASSERT_TRUE(queue.push(1, tenant(1), 10, at({})));
  ASSERT_TRUE(queue.push(2, tenant(1), 10, at(seconds(30))));
  EXPECT_EQ(queue.next_expiry(), at(seconds(60)));
  EXPECT_TRUE(queue.take_expired(at(milliseconds(59'999))).empty());
  const auto expired = queue.take_expired(at(seconds(60)));
  ASSERT_EQ(expired.size(), 1U);
  EXPECT_EQ(expired[0].ticket, 1U);
  EXPECT_EQ(queue.next_expiry(), at(seconds(90)));
}

TEST(FairQueue, FullQueueRefusesWithAnEstimate) {
  FairQueue queue({.length_max = 2});
  ASSERT_TRUE(queue.push(1, tenant(1), 10, at({})));
  ASSERT_TRUE(queue.push(2, tenant(2), 10, at({})));
  const auto refused = queue.push(3, tenant(3), 10, at({}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error.reason, "queue_full");
  EXPECT_GE(refused.error().retry_after.value(), seconds(1));
}

TEST(FairQueue, EstimateFollowsTheMeasuredRate) {
  FairQueue queue({.length_max = 10'000});
  for (QueueTicket t = 0; t < 1'000; ++t) ASSERT_TRUE(queue.push(t, tenant(t % 5), 1, at({})));
  Mono now = at({});
  for (int i = 0; i < 600; ++i) queue.pop(now += milliseconds(100));  // ten a second for a minute
  const double estimate = std::chrono::duration<double>(queue.wait_estimate(now)).count();
  EXPECT_NEAR(estimate, 40, 4);  // 400 left
  // A pool that stopped looks slower and slower, up to the longest wait there is.
  EXPECT_EQ(queue.wait_estimate(now + seconds(60)), seconds(60));
}

}  // namespace
}  // namespace tidegate::gateway
