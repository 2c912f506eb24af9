#include "gateway/core/fair_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "base/core/random.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway::fair_queue_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TenantId tenant(std::uint64_t n) { return TenantId{test::SequentialIds::make(n)}; }
Mono at(Duration since_start) { return Mono(seconds(1'000)) + since_start; }

/// A prompt of `input` tokens and no answer: its cost is known before it runs.
QueueAsk ask(std::uint64_t who, std::int64_t input, ServiceTier tier = ServiceTier::kDefault) {
  QueueAsk made;
  made.tenant = tenant(who);
  made.input = input;
  made.input_max = input;
  made.tier = tier;
  return made;
}

/// Serves what waits at `per_second` prompt tokens a second until `until`; `refill` is asked after every request.
template <typename Refill>
void serve(FairQueue& queue, Mono& now, Mono until, double per_second, Refill refill) {
  while (now < until) {
    const auto one = queue.pop(now);
    if (!one) return;
    now += std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(static_cast<double>(one->ask.input) / per_second));
    queue.accept(one->ticket, one->ask.input, now);
    queue.finish(one->ticket, now);
    refill(*one);
  }
}

TEST(FairQueue, ServesOneTenantInOrder) {
  FairQueue queue({});
  for (QueueTicket t = 1; t <= 3; ++t) EXPECT_EQ(queue.push(t, ask(1, 10), at({})).value(), t - 1);
  for (QueueTicket t = 1; t <= 3; ++t) EXPECT_EQ(queue.pop(at({}))->ticket, t);
  EXPECT_FALSE(queue.pop(at({})).has_value());
}

TEST(FairQueue, ATenantsBacklogDoesNotDelayAnother) {
  FairQueue queue({});
  for (QueueTicket t = 1; t <= 100; ++t) ASSERT_TRUE(queue.push(t, ask(1, 10), at({})));
  ASSERT_TRUE(queue.push(500, ask(2, 10), at({})));
  queue.pop(at({}));
  EXPECT_EQ(queue.pop(at({}))->ticket, 500U);
}

TEST(FairQueue, GapBetweenBackloggedTenantsStaysWithinTwiceTheLargestRequest) {
  FairQueue queue({.length_max = 10'000});
  Rng rng(7);
  constexpr std::int64_t kCostMost = 100;
  QueueTicket next = 1;
  std::map<Uuid, std::int64_t> served;
  const auto refill = [&](std::uint64_t t, std::int64_t cost) { ASSERT_TRUE(queue.push(next++, ask(t, cost), at({}))); };
  for (int i = 0; i < 20; ++i) {
    refill(1, kCostMost);
    refill(2, 1 + static_cast<std::int64_t>(rng.below(kCostMost)));
    refill(3, 1);
  }
  for (int step = 0; step < 5'000; ++step) {
    const auto one = queue.pop(at({}));
    ASSERT_TRUE(one);
    queue.accept(one->ticket, one->ask.input, at({}));
    queue.finish(one->ticket, at({}));
    const FairnessGap fairness = queue.fairness();
    ASSERT_LE(fairness.gap, 2 * kCostMost) << "the measured gap, too";
    ASSERT_LE(fairness.gap, fairness.bound);
    served[one->ask.tenant.uuid] += one->ask.input;
    const std::uint64_t who = one->ask.tenant == tenant(1) ? 1 : one->ask.tenant == tenant(2) ? 2 : 3;
    refill(who, who == 1 ? kCostMost : who == 2 ? 1 + static_cast<std::int64_t>(rng.below(kCostMost)) : 1);
    if (served.size() < 3) continue;
    for (const auto& [a, tokens_a] : served) {
      for (const auto& [b, tokens_b] : served) ASSERT_LE(tokens_a - tokens_b, 2 * kCostMost);
    }
  }
}

TEST(FairQueue, ChangedLimitsHoldForThoseWhoWaitAsWell) {
  FairQueue queue({.wait_max = seconds(60), .length_max = 2});
  ASSERT_TRUE(queue.push(1, ask(1, 10), at({})));
  ASSERT_TRUE(queue.push(2, ask(1, 10), at({})));
  EXPECT_FALSE(queue.push(3, ask(1, 10), at({})));
  queue.set_limits({.wait_max = seconds(5), .length_max = 3});
  EXPECT_TRUE(queue.push(3, ask(1, 10), at({})));
  EXPECT_EQ(queue.next_expiry(), at(seconds(5)));
  EXPECT_EQ(queue.take_expired(at(seconds(5))).size(), 3U);
}

TEST(FairQueue, TwiceTheWeightIsTwiceTheShare) {
  FairQueue queue({.length_max = 10'000});
  QueueTicket next = 1;
  const auto push = [&](std::uint64_t who) {
    QueueAsk one = ask(who, 10);
    one.weight = who;  // 1, 2, 3
    ASSERT_TRUE(queue.push(next++, one, at({})));
  };
  for (int i = 0; i < 10; ++i) {
    for (std::uint64_t who = 1; who <= 3; ++who) push(who);
  }
  std::map<Uuid, int> served;
  for (int i = 0; i < 600; ++i) {
    const auto one = queue.pop(at({}));
    ASSERT_TRUE(one);
    ++served[one->ask.tenant.uuid];
    push(one->ask.tenant == tenant(1) ? 1 : one->ask.tenant == tenant(2) ? 2 : 3);
  }
  EXPECT_NEAR(served[tenant(1).uuid], 100, 2);
  EXPECT_NEAR(served[tenant(2).uuid], 200, 2);
  EXPECT_NEAR(served[tenant(3).uuid], 300, 2);
}

TEST(FairQueue, TiersShareByTheirWeightsAndNoneStarves) {
  FairQueue queue({.length_max = 10'000});
  QueueTicket next = 1;
  const auto push = [&](ServiceTier tier) { ASSERT_TRUE(queue.push(next++, ask(1, 10, tier), at({}))); };
  const std::array kTiers = {ServiceTier::kFlex, ServiceTier::kDefault, ServiceTier::kPriority};
  for (int i = 0; i < 10; ++i) {
    for (const ServiceTier tier : kTiers) push(tier);
  }
  EXPECT_EQ(queue.peek()->ask.tier, ServiceTier::kPriority) << "of equals the higher tier";
  std::map<ServiceTier, int> served;
  for (int i = 0; i < 2'100; ++i) {
    const auto one = queue.pop(at({}));
    ASSERT_TRUE(one);
    ++served[one->ask.tier];
    push(one->ask.tier);
  }
  EXPECT_NEAR(served[ServiceTier::kFlex], 100, 2);
  EXPECT_NEAR(served[ServiceTier::kDefault], 400, 2);
  EXPECT_NEAR(served[ServiceTier::kPriority], 1'600, 2);
}

TEST(FairQueue, ATierThatWasIdleEarnedNoCredit) {
  FairQueue queue({.length_max = 10'000});
  for (QueueTicket t = 1; t <= 200; ++t) ASSERT_TRUE(queue.push(t, ask(1, 10), at({})));
  for (int i = 0; i < 100; ++i) queue.pop(at({}));
  for (QueueTicket t = 300; t < 400; ++t) ASSERT_TRUE(queue.push(t, ask(2, 10, ServiceTier::kFlex), at({})));
  int flex = 0;
  for (int i = 0; i < 50; ++i) flex += queue.pop(at({}))->ask.tier == ServiceTier::kFlex ? 1 : 0;
  EXPECT_NEAR(flex, 10, 1) << "1 of 5 from now on";
}

TEST(FairQueue, TheLastSlotsAreNotForACrowd) {
  FairQueue queue({.length_max = 10'000});
  for (QueueTicket t = 1; t <= 200; ++t) ASSERT_TRUE(queue.push(t, ask(1, 10), at({})));
  ASSERT_TRUE(queue.push(500, ask(2, 10), at({})));
  std::size_t slots_free = 64;
  const auto take = [&] {
    const auto one = queue.pop(at({}), slots_free);
    slots_free -= one ? 1 : 0;
    return one;
  };
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(take());
  EXPECT_FALSE(take()) << "four of 64 are headroom, and the crowd runs 59";
  ASSERT_TRUE(queue.push(501, ask(2, 10), at({})));
  EXPECT_EQ(take()->ticket, 501U);
  EXPECT_FALSE(take());
  queue.finish(1, at({}));
  slots_free += 2;
  EXPECT_EQ(take()->ask.tenant, tenant(1)) << "above the headroom the crowd may have everything";
}

TEST(FairQueue, OneTenantAloneHasNoHeadroomToLeave) {
  FairQueue queue({});
  for (QueueTicket t = 1; t <= 64; ++t) ASSERT_TRUE(queue.push(t, ask(1, 10), at({})));
  for (std::size_t slots_free = 64; slots_free > 0; --slots_free) ASSERT_TRUE(queue.pop(at({}), slots_free));
}

TEST(FairQueue, ItIsSharedWhileTwoTenantsWaitOrRun) {
  FairQueue queue({});
  ASSERT_TRUE(queue.push(1, ask(1, 10), at({})));
  ASSERT_TRUE(queue.push(2, ask(1, 10, ServiceTier::kFlex), at({})));
  EXPECT_FALSE(queue.is_shared()) << "one tenant in two tiers";
  ASSERT_TRUE(queue.push(3, ask(2, 10), at({})));
  EXPECT_TRUE(queue.is_shared());
  while (queue.pop(at({}))) {
  }
  EXPECT_TRUE(queue.is_shared()) << "both run";
  queue.finish(3, at({}));
  EXPECT_FALSE(queue.is_shared());
}

TEST(FairQueue, IdlenessEarnsNoCredit) {
  FairQueue queue({});
  ASSERT_TRUE(queue.push(1, ask(2, 1), at({})));
  queue.pop(at({}));  // tenant 2 was served little, long ago
  for (QueueTicket t = 10; t < 110; ++t) ASSERT_TRUE(queue.push(t, ask(1, 10), at({})));
  for (int i = 0; i < 50; ++i) queue.pop(at({}));
  for (QueueTicket t = 200; t < 300; ++t) ASSERT_TRUE(queue.push(t, ask(2, 10), at({})));
  int second = 0;
  for (int i = 0; i < 20; ++i) second += queue.pop(at({}))->ask.tenant == tenant(2) ? 1 : 0;
  EXPECT_NEAR(second, 10, 1);
}

TEST(FairQueue, DeliveredTokensCountAgainstTheirTenant) {
  FairQueue queue({});
  QueueAsk talker = ask(1, 1);
  talker.output_max = 1'000;
  ASSERT_TRUE(queue.push(50, talker, at({})));
  ASSERT_EQ(queue.pop(at({}))->ticket, 50U);
  for (QueueTicket t = 1; t <= 10; ++t) {
    ASSERT_TRUE(queue.push(t, ask(1, 1), at({})));
    ASSERT_TRUE(queue.push(100 + t, ask(2, 1), at({})));
  }
  queue.produce(50, 1'000, at({}));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(queue.pop(at({}))->ask.tenant, tenant(2));
}

TEST(FairQueue, ARequestHasCostWhatItUsedAndNoCachedToken) {
  FairQueue queue({});
  QueueAsk guessed = ask(1, 1'000);
  guessed.output_max = 8'192;
  ASSERT_TRUE(queue.push(1, guessed, at({})));
  ASSERT_TRUE(queue.push(2, ask(1, 1), at({})));
  ASSERT_TRUE(queue.push(3, ask(2, 300), at({})));
  ASSERT_TRUE(queue.push(4, ask(2, 1), at({})));
  ASSERT_EQ(queue.pop(at({}))->ticket, 1U);
  EXPECT_EQ(queue.peek()->ticket, 3U) << "what it was expected to cost counts at once";
  EXPECT_DOUBLE_EQ(queue.fairness().gap, 1'000 + 2 * 256);
  queue.accept(1, 40, at({}));
  EXPECT_DOUBLE_EQ(queue.fairness().gap, 40 + 2 * 256);
  queue.produce(1, 10, at({}));
  queue.finish(1, at({}));
  EXPECT_DOUBLE_EQ(queue.fairness().gap, 40 + 2 * 10);
  ASSERT_EQ(queue.pop(at({}))->ticket, 3U);
  EXPECT_EQ(queue.peek()->ticket, 2U) << "60 against 300";
}

TEST(FairQueue, WeightsOfInputAndOutputAreTheConfigurations) {
  FairQueue queue({.input_weight = 3, .output_weight = 5});
  QueueAsk first = ask(1, 10);
  first.output_max = 100;
  ASSERT_TRUE(queue.push(1, first, at({})));
  ASSERT_TRUE(queue.push(2, ask(1, 1), at({})));
  ASSERT_TRUE(queue.push(3, ask(2, 1), at({})));
  queue.pop(at({}));
  queue.accept(1, 10, at({}));
  queue.produce(1, 7, at({}));
  queue.finish(1, at({}));
  EXPECT_DOUBLE_EQ(queue.fairness().gap, 3 * 10 + 5 * 7);
  EXPECT_DOUBLE_EQ(queue.fairness().bound, 2 * 5 * 110) << "the answer might have had 100 tokens";
}

TEST(FairQueue, WhatIsGivenBackAfterIdlenessIsNoCredit) {
  FairQueue queue({});
  QueueAsk large = ask(1, 1);
  large.output_max = 1'000;
  ASSERT_TRUE(queue.push(1, large, at({})));
  queue.pop(at({}));  // 512 expected
  for (QueueTicket t = 10; t < 200; ++t) ASSERT_TRUE(queue.push(t, ask(2, 10), at({})));
  for (int i = 0; i < 100; ++i) queue.pop(at({}));
  for (QueueTicket t = 300; t < 400; ++t) ASSERT_TRUE(queue.push(t, ask(1, 10), at({})));
  queue.finish(1, at({}));  // nothing came: all of it goes back, to where the tenant came in and no further
  int first = 0;
  for (int i = 0; i < 20; ++i) first += queue.pop(at({}))->ask.tenant == tenant(1) ? 1 : 0;
  EXPECT_NEAR(first, 10, 1);
}

TEST(FairQueue, APlaceBehindMoreThanIsLookedAtIsToldByTheMean) {
  FairQueue queue({});
  constexpr QueueTicket kEach = 1'000;
  for (QueueTicket t = 1; t <= kEach; ++t) {
    ASSERT_TRUE(queue.push(t, ask(1, 10), at({})));
    ASSERT_TRUE(queue.push(kEach + t, ask(2, 10), at({})));
  }
  static_assert(kEach > FairQueue::kPlaceLooks);
  constexpr double kBoth = 2'000;
  EXPECT_EQ(queue.place(1, at({}))->position, 1U);
  EXPECT_NEAR(static_cast<double>(queue.place(kEach, at({}))->position), kBoth, 2);
  EXPECT_NEAR(static_cast<double>(queue.place(2 * kEach, at({}))->position), kBoth, 2);
  ASSERT_TRUE(queue.remove(500, at({})));
  EXPECT_FALSE(queue.place(500, at({})));
  EXPECT_NEAR(static_cast<double>(queue.place(kEach, at({}))->position), kBoth - 2, 3);
}

TEST(FairQueue, RemovedRequestIsNeverServed) {
  FairQueue queue({});
  ASSERT_TRUE(queue.push(1, ask(1, 10), at({})));
  ASSERT_TRUE(queue.push(2, ask(1, 10), at({})));
  EXPECT_TRUE(queue.remove(1, at({})));
  EXPECT_FALSE(queue.remove(1, at({})));
  EXPECT_EQ(queue.pop(at({}))->ticket, 2U);
  EXPECT_TRUE(queue.empty());
}

TEST(FairQueue, WaitIsBoundedInTime) {
  FairQueue queue({.wait_max = seconds(60)});
  ASSERT_TRUE(queue.push(1, ask(1, 10), at({})));
  ASSERT_TRUE(queue.push(2, ask(1, 10), at(seconds(30))));
  EXPECT_EQ(queue.next_expiry(), at(seconds(60)));
  EXPECT_TRUE(queue.take_expired(at(milliseconds(59'999))).empty());
  const auto expired = queue.take_expired(at(seconds(60)));
  ASSERT_EQ(expired.size(), 1U);
  EXPECT_EQ(expired[0].ticket, 1U);
  EXPECT_EQ(queue.next_expiry(), at(seconds(90)));
}

TEST(FairQueue, FullQueueRefusesWithAnEstimate) {
  FairQueue queue({.length_max = 2});
  ASSERT_TRUE(queue.push(1, ask(1, 10), at({})));
  ASSERT_TRUE(queue.push(2, ask(2, 10), at({})));
  const auto foretold = queue.refuse(ask(3, 10), at({}));
  ASSERT_TRUE(foretold);
  EXPECT_EQ(foretold->error.reason, "queue_full");
  const auto refused = queue.push(3, ask(3, 10), at({}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error.reason, "queue_full");
  EXPECT_GE(refused.error().retry_after.value(), seconds(1));
}

TEST(FairQueue, OneTenantCannotFillTheQueue) {
  FairQueue queue({.length_max = 90});
  QueueTicket next = 1;
  while (queue.push(next, ask(1, 10), at({}))) ++next;
  EXPECT_EQ(queue.size(), 80U) << "8 of 9 parts";
  EXPECT_TRUE(queue.push(1'000, ask(2, 10), at({})));
}

TEST(FairQueue, EstimateFollowsTheMeasuredRate) {
  FairQueue queue({.length_max = 10'000});
  for (QueueTicket t = 0; t < 1'000; ++t) ASSERT_TRUE(queue.push(t, ask(t % 5, 100), at({})));
  EXPECT_FALSE(queue.estimate(ask(1, 100), at({})).has_value()) << "nothing has left yet";
  Mono now = at({});
  serve(queue, now, at(seconds(60)), 1'000, [](const FairQueue::Waiting&) {});  // ten requests a second
  const auto last = queue.estimate(ask(1, 100), now);
  ASSERT_TRUE(last);
  EXPECT_NEAR(std::chrono::duration<double>(*last).count(), 40, 4) << "400 left, of all tenants alike";
  const auto stranger = queue.estimate(ask(77, 100), now);
  ASSERT_TRUE(stranger);
  EXPECT_LT(*stranger, seconds(1)) << "who has had nothing is served next";
  EXPECT_FALSE(queue.estimate(ask(1, 100), now + seconds(6)).has_value()) << "nothing leaves: nobody knows";
}

TEST(FairQueue, APlaceIsWhereFairnessPutsIt) {
  FairQueue queue({});
  for (QueueTicket t = 1; t <= 10; ++t) ASSERT_TRUE(queue.push(t, ask(1, 10), at({})));
  ASSERT_TRUE(queue.push(11, ask(2, 10), at({})));
  ASSERT_TRUE(queue.push(12, ask(2, 10), at({})));
  const auto position = [&](QueueTicket ticket) { return queue.place(ticket, at({}))->position; };
  EXPECT_EQ(position(1), 1U);
  EXPECT_EQ(position(11), 1U) << "side by side with the other tenant's first";
  EXPECT_EQ(position(12), 3U) << "behind one of each";
  EXPECT_EQ(position(10), 12U);
  EXPECT_FALSE(queue.place(1, at({}))->eta.has_value());
  EXPECT_FALSE(queue.place(99, at({})).has_value());
  std::vector<QueueTicket> order;
  while (const auto one = queue.pop(at({}))) order.push_back(one->ticket);
  EXPECT_EQ(order[1], 11U);
  EXPECT_EQ(order[11], 10U);
}

/// A queue that has been drained at 1000 prompt tokens a second for a while and is kept long.
class DrainedQueueTest : public testing::Test {
 protected:
  DrainedQueueTest() {
    for (int i = 0; i < 30; ++i) push(1);  // three seconds of work
    serve(queue_, now_, at(milliseconds(500)), 1'000, [this](const FairQueue::Waiting&) { push(1); });
  }
  void push(std::uint64_t who) { ASSERT_TRUE(queue_.push(++last_, ask(who, 100), now_)); }
  /// On for `span`, refilled.
  void keep(Duration span) {
    serve(queue_, now_, now_ + span, 1'000, [this](const FairQueue::Waiting&) { push(1); });
  }

  FairQueue queue_{FairQueueLimits{.wait_max = seconds(60), .wait_target = seconds(2)}};
  Mono now_ = at({});
  QueueTicket last_ = 0;
};

TEST_F(DrainedQueueTest, ABurstMayWaitAndAStandingQueueMayNot) {
  EXPECT_FALSE(queue_.refuse(ask(1, 100), now_)) << "three seconds, but it may be a burst";
  keep(milliseconds(1'500));
  EXPECT_TRUE(queue_.is_overloaded());
  const auto refused = queue_.refuse(ask(1, 100), now_);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error.reason, "queue_full");
  EXPECT_EQ(refused->error.code, Code::kResourceExhausted);
  EXPECT_NEAR(std::chrono::duration<double>(refused->queue_wait.value()).count(), 3.1, 0.3);
  EXPECT_GE(refused->retry_after.value(), seconds(1));
  EXPECT_LE(refused->retry_after.value(), seconds(4));
}

TEST_F(DrainedQueueTest, ATenantBelowItsShareIsTakenWhileOneAboveItIsRefused) {
  keep(milliseconds(1'500));
  EXPECT_TRUE(queue_.refuse(ask(1, 100), now_));
  EXPECT_FALSE(queue_.refuse(ask(2, 100), now_));
}

TEST_F(DrainedQueueTest, FlexIsRefusedFirstAndPriorityLast) {
  keep(milliseconds(1'500));
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(queue_.push(++last_, ask(3, 100, ServiceTier::kFlex), now_));
  EXPECT_TRUE(queue_.refuse(ask(3, 100, ServiceTier::kFlex), now_)) << "a fifth of what leaves is flex's";
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(queue_.push(++last_, ask(4, 100, ServiceTier::kPriority), now_));
  EXPECT_FALSE(queue_.refuse(ask(4, 100, ServiceTier::kPriority), now_));
}

TEST_F(DrainedQueueTest, OneThatComesBackWhenItWasToldFindsRoomThatOthersDoNot) {
  keep(milliseconds(1'500));
  const auto refused = queue_.refuse(ask(1, 100), now_);
  ASSERT_TRUE(refused);
  EXPECT_TRUE(queue_.refuse(ask(1, 100), now_)) << "too early";
  keep(refused->retry_after.value());
  EXPECT_FALSE(queue_.refuse(ask(1, 100), now_));
  EXPECT_TRUE(queue_.refuse(ask(1, 100), now_)) << "one promise is one return";
}

TEST_F(DrainedQueueTest, WhatWouldBeLateIsRefusedAtOnce) {
  QueueAsk hasty = ask(1, 100);
  hasty.deadline = Deadline::after(now_, seconds(2));
  const auto refused = queue_.refuse(hasty, now_);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error.reason, "would_be_late");
  EXPECT_NE(refused->error.message.find("deadline"), std::string::npos);
  hasty.deadline = Deadline::after(now_, seconds(10));
  EXPECT_FALSE(queue_.refuse(hasty, now_));
}

TEST_F(DrainedQueueTest, AnOutageIsNoOverload) {
  keep(milliseconds(1'500));
  ASSERT_TRUE(queue_.is_overloaded());
  EXPECT_FALSE(queue_.refuse(ask(1, 100), now_ + seconds(6))) << "it may wait until a worker is back";
}

TEST_F(DrainedQueueTest, TheOverloadEndsWithTheBacklog) {
  keep(milliseconds(1'500));
  ASSERT_TRUE(queue_.is_overloaded());
  serve(queue_, now_, now_ + milliseconds(2'500), 1'000, [](const FairQueue::Waiting&) {});
  EXPECT_FALSE(queue_.is_overloaded());
}

}  // namespace
}  // namespace tidegate::gateway::fair_queue_test
