#include "gateway/core/rate_limiter.h"

#include "tests/unit/gateway/core/rate_house.h"

namespace tidegate::gateway::rate_limiter_test {
namespace {

using test::rate_demand;
using test::requests_rule;
using test::slots_rule;
using test::tokens_rule;
using std::chrono::milliseconds;

constexpr std::int64_t kMinute = 60'000;

class RateLimiterTest : public test::RateHouse {
 protected:
  static RateKey key_of(std::uint64_t rule, RateMeter meter) {
    return {.rule = tidegate::test::SequentialIds::make(rule), .meter = meter};
  }
};

TEST_F(RateLimiterTest, AWindowAdmitsItsLimitAndSaysWhenToComeBack) {
  const auto gateway = open("a");
  const auto demand = rate_demand({requests_rule(5)});
  advance(milliseconds(20'500));
  for (int i = 0; i < 5; ++i) {
    const RateDecision decision = gateway->ask(demand, now);
    ASSERT_EQ(decision.verdict, RateVerdict::kAdmitted);
    EXPECT_EQ(decision.status.requests->limit, 5);
    EXPECT_EQ(decision.status.requests->remaining, 4 - i);
    EXPECT_EQ(decision.status.requests->reset, milliseconds(39'500));
    EXPECT_FALSE(decision.status.tokens) << "no limit, no header";
  }
  const RateDecision refused = gateway->ask(demand, now);
  ASSERT_EQ(refused.verdict, RateVerdict::kRefused);
  EXPECT_EQ(refused.refused_by, RateMeter::kRequests);
  EXPECT_EQ(refused.refusal.error.reason, "rate_limit_exceeded");
  EXPECT_EQ(refused.refusal.retry_after, milliseconds(39'500));
  EXPECT_EQ(refused.refusal.error.message,
            "Rate limit reached: requests per minute of this tenant: limit 5, left 0, needed 1. Try again in 40 s.");
  EXPECT_EQ(refused.status.requests->remaining, 0);
}

TEST_F(RateLimiterTest, TheNextWindowBeginsWithTheServersMinute) {
  const auto gateway = open("a");
  const auto demand = rate_demand({requests_rule(1)});
  ASSERT_TRUE(gateway->admits(demand, now));
  advance(milliseconds(kMinute - 1));
  EXPECT_FALSE(gateway->admits(demand, now));
  advance(milliseconds(1));
  EXPECT_TRUE(gateway->admits(demand, now)) << "also within the memory of the denial";
  EXPECT_FALSE(gateway->admits(demand, now));
}

TEST_F(RateLimiterTest, ARequestTakesFromEveryLimitOrFromNone) {
  const auto gateway = open("a");
  const auto both = rate_demand({requests_rule(10), tokens_rule(100)}, 60);
  ASSERT_TRUE(gateway->admits(both, now));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(gateway->ask(both, now).refused_by, RateMeter::kTokens);
  int admitted = 0;
  for (int i = 0; i < 20; ++i) admitted += gateway->admits(rate_demand({requests_rule(10)}), now) ? 1 : 0;
  EXPECT_EQ(admitted, 9) << "the refused ones took no request";
  EXPECT_EQ(server.used(key_of(1, RateMeter::kRequests), kMinute), 10);
}

TEST_F(RateLimiterTest, AllRulesThatFitBindAtOnce) {
  const auto gateway = open("a");
  RateRule of_model = requests_rule(3, 7);
  of_model.model = "m";
  RateRule of_other = requests_rule(1, 8);
  of_other.model = "other";
  const auto demand = rate_demand({requests_rule(10), of_model, of_other});
  int admitted = 0;
  for (int i = 0; i < 10; ++i) admitted += gateway->admits(demand, now) ? 1 : 0;
  EXPECT_EQ(admitted, 3);
  const RateDecision refused = gateway->ask(demand, now);
  EXPECT_NE(refused.refusal.error.message.find("of this tenant for m: limit 3"), std::string::npos)
      << refused.refusal.error.message;
  EXPECT_EQ(refused.status.requests->limit, 3) << "the headers tell of the narrowest";
}

TEST_F(RateLimiterTest, TokensAreHeldAtTheirBoundAndCorrectedToWhatWasUsed) {
  const auto gateway = open("a");
  const auto demand = rate_demand({tokens_rule(1'000)}, 600);
  RateDecision first = gateway->ask(demand, now);
  ASSERT_EQ(first.verdict, RateVerdict::kAdmitted);
  EXPECT_EQ(first.status.tokens->remaining, 400);
  EXPECT_FALSE(gateway->admits(demand, now));
  gateway->limiter.shrink(first.hold, 450);
  gateway->limiter.shrink(first.hold, 500);  // never grows
  advance(milliseconds(100));
  EXPECT_FALSE(gateway->admits(demand, now)) << "550 are free";
  gateway->limiter.settle(first.hold, 100);
  advance(milliseconds(200));
  RateDecision second = gateway->ask(demand, now);
  ASSERT_EQ(second.verdict, RateVerdict::kAdmitted);
  EXPECT_EQ(second.status.tokens->remaining, 300);

  advance(milliseconds(kMinute));
  gateway->limiter.settle(second.hold, 0);
  const RateDecision third = gateway->ask(demand, now);
  EXPECT_EQ(third.status.tokens->remaining, 400) << "a window that is over gives nothing back";
}

TEST_F(RateLimiterTest, ARequestLargerThanTheLimitNeedsAllOfItAndIsCountedWithWhatItUsed) {
  const auto gateway = open("a");
  const auto large = rate_demand({tokens_rule(1'000)}, 9'000);
  const auto small = rate_demand({tokens_rule(1'000)}, 10);
  ASSERT_TRUE(gateway->admits(small, now));
  EXPECT_FALSE(gateway->admits(large, now));
  advance(milliseconds(kMinute));
  RateDecision decision = gateway->ask(large, now);
  ASSERT_EQ(decision.verdict, RateVerdict::kAdmitted);
  EXPECT_FALSE(gateway->admits(small, now));
  gateway->limiter.settle(decision.hold, 1'400);
  advance(milliseconds(1'000));
  gateway->talk(now);
  EXPECT_EQ(server.used(key_of(2, RateMeter::kTokens), kMinute), 1'400);
}

TEST_F(RateLimiterTest, ADaysTokensComeBackTomorrow) {
  const auto gateway = open("a");
  RateRule rule = test::rate_rule(4);
  rule.tokens_per_day = 100;
  rule.requests_per_minute = 1;
  const auto demand = rate_demand({rule}, 100);
  ASSERT_TRUE(gateway->admits(demand, now));
  const RateDecision refused = gateway->ask(demand, now);
  EXPECT_EQ(refused.refused_by, RateMeter::kDailyTokens) << "of two, the one that lasts longer";
  EXPECT_EQ(refused.refusal.retry_after, std::chrono::hours(16)) << "it is eight in the morning, UTC";
  EXPECT_EQ(refused.status.daily_tokens->reset, std::chrono::hours(16));
  advance(std::chrono::hours(16));
  EXPECT_TRUE(gateway->admits(demand, now));
}

TEST_F(RateLimiterTest, WhileASharesLastsNobodyIsAsked) {
  const auto gateway = open("a");
  const auto demand = rate_demand({requests_rule(60'000)});
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(gateway->admits(demand, now));
    advance(milliseconds(10));
  }
  const int warm = server.calls;
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_TRUE(gateway->admits(demand, now));
    advance(milliseconds(10));
  }
  EXPECT_LT(server.calls - warm, 250) << "a thousand requests in ten seconds";
}

TEST_F(RateLimiterTest, ADeniedLimitIsNotAskedForByEveryRequest) {
  const auto gateway = open("a");
  const auto demand = rate_demand({requests_rule(1)});
  ASSERT_TRUE(gateway->admits(demand, now));
  const int before = server.calls;
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_FALSE(gateway->admits(demand, now));
    advance(milliseconds(1));
  }
  EXPECT_LT(server.calls - before, 20) << "ten times a second, and the beats";
}

TEST_F(RateLimiterTest, SlotsAreHeldUntilTheRequestEndsOverAllGateways) {
  const auto a = open("a"), b = open("b");
  const auto demand = rate_demand({slots_rule(2)});
  RateDecision first = a->ask(demand, now), second = b->ask(demand, now);
  ASSERT_EQ(first.verdict, RateVerdict::kAdmitted);
  ASSERT_EQ(second.verdict, RateVerdict::kAdmitted);
  const RateDecision refused = b->ask(demand, now);
  EXPECT_EQ(refused.refused_by, RateMeter::kConcurrency);
  EXPECT_EQ(refused.refusal.retry_after, std::chrono::seconds(1));
  EXPECT_EQ(refused.status.concurrency->limit, 2);

  for (int i = 0; i < 600; ++i) {  // ten minutes: held as long as it takes
    advance(milliseconds(1'000));
    a->talk(now);
    b->talk(now);
  }
  EXPECT_FALSE(b->admits(demand, now));
  a->limiter.release(first.hold, now);
  a->limiter.release(first.hold, now);  // once is enough
  a->talk(now);
  advance(milliseconds(200));
  EXPECT_TRUE(b->admits(demand, now)) << "the other gateway's slot came back";
  EXPECT_FALSE(a->admits(demand, now));
}

TEST_F(RateLimiterTest, SlotsOfADeadGatewayLapse) {
  auto a = open("a");
  const auto b = open("b");
  const auto demand = rate_demand({slots_rule(2)});
  ASSERT_TRUE(a->admits(demand, now));
  ASSERT_TRUE(a->admits(demand, now));
  a.reset();  // without a word
  EXPECT_FALSE(b->admits(demand, now));
  advance(kRateSlotsLife - milliseconds(100));
  EXPECT_FALSE(b->admits(demand, now));
  advance(milliseconds(200));
  EXPECT_TRUE(b->admits(demand, now));
}

TEST_F(RateLimiterTest, SlotsOfAnEarlierLifeAreFreeWhenTheNextOneIsHeardOf) {
  auto a = open("a", 1, 1);
  const auto b = open("b");
  const auto demand = rate_demand({slots_rule(1)});
  ASSERT_TRUE(a->admits(demand, now));
  a = open("a", 1, 2);
  EXPECT_TRUE(b->admits(demand, now));
}

TEST_F(RateLimiterTest, WithoutRedisEachGatewayKeepsToItsPartAndNobodyWaits) {
  test::RateGateway gateway("a", server, now, 3);
  gateway.is_cut = true;
  gateway.talk(now);
  const auto demand = rate_demand({requests_rule(30), slots_rule(6)});
  std::vector<RateDecision> admitted;
  for (int i = 0; i < 20; ++i) {
    RateDecision decision = gateway.limiter.admit(demand, now);
    ASSERT_NE(decision.verdict, RateVerdict::kShort) << "decided at once";
    if (decision.verdict == RateVerdict::kAdmitted) admitted.push_back(std::move(decision));
  }
  EXPECT_EQ(admitted.size(), 2u) << "a third of six slots";
  int more = 0;
  for (int i = 0; i < 20; ++i) {
    for (auto& decision : admitted) gateway.limiter.release(decision.hold, now);
    admitted.clear();
    RateDecision decision = gateway.limiter.admit(demand, now);
    if (decision.verdict != RateVerdict::kAdmitted) break;
    admitted.push_back(std::move(decision));
    ++more;
  }
  EXPECT_EQ(more, 8) << "and a third of thirty requests";
  EXPECT_EQ(gateway.limiter.admit(demand, now + milliseconds(kMinute)).verdict, RateVerdict::kAdmitted)
      << "a new minute, a new part";
}

TEST_F(RateLimiterTest, GatewaysAreCountedWhileRedisIsThereAndRememberedWhenItIsGone) {
  const auto a = open("a"), b = open("b"), c = open("c");
  advance(milliseconds(1'000));
  a->talk(now);
  EXPECT_EQ(a->limiter.gateways(), 3);
  a->is_cut = true;
  const auto demand = rate_demand({requests_rule(30)});
  int admitted = 0;
  for (int i = 0; i < 60; ++i) admitted += a->admits(demand, now) ? 1 : 0;
  EXPECT_FALSE(a->limiter.is_shared());
  EXPECT_EQ(admitted, 10);
  EXPECT_EQ(a->limiter.gateways(), 3);
}

TEST_F(RateLimiterTest, ARedisWithoutItsMemoryDoesNotMakeOneGatewayOfThree) {
  const auto a = open("a"), b = open("b"), c = open("c");
  advance(milliseconds(1'000));
  a->talk(now);
  a->is_cut = true;
  const auto demand = rate_demand({requests_rule(30)});
  int admitted = 0;
  for (int i = 0; i < 60; ++i) admitted += a->admits(demand, now) ? 1 : 0;
  server.forget_everything();
  a->is_cut = false;
  advance(milliseconds(1'500));
  a->talk(now);
  for (int i = 0; i < 60; ++i) admitted += a->admits(demand, now) ? 1 : 0;
  EXPECT_EQ(admitted, 10);
  EXPECT_EQ(a->limiter.gateways(), 3);
}

TEST_F(RateLimiterTest, WhatWasAdmittedWithoutRedisIsToldWhenItIsBack) {
  const auto a = open("a", 2), b = open("b", 2);
  const auto demand = rate_demand({requests_rule(30)});
  a->is_cut = true;
  int admitted = 0;
  for (int i = 0; i < 60; ++i) admitted += a->admits(demand, now) ? 1 : 0;
  EXPECT_EQ(admitted, 15);
  a->is_cut = false;
  advance(milliseconds(1'500));
  a->talk(now);
  EXPECT_EQ(server.used(key_of(1, RateMeter::kRequests), kMinute), 15);
  EXPECT_FALSE(a->limiter.is_shared()) << "others may not have told yet";
  EXPECT_FALSE(a->admits(demand, now));
  advance(milliseconds(2'000));
  a->talk(now);
  EXPECT_TRUE(a->limiter.is_shared());
  for (int i = 0; i < 60; ++i) admitted += b->admits(demand, now) ? 1 : 0;
  EXPECT_EQ(admitted, 30) << "the minute's limit over both";
}

TEST_F(RateLimiterTest, AWaiterIsDecidedByTheStaticPartWhenItsTimeIsUp) {
  const auto gateway = open("a", 3);
  const auto demand = rate_demand({requests_rule(3)});
  const Mono give_up = now + milliseconds(50);
  ASSERT_EQ(gateway->limiter.admit_or_wait(1, demand, give_up, now).verdict, RateVerdict::kShort);
  ASSERT_EQ(gateway->limiter.admit_or_wait(2, demand, give_up, now).verdict, RateVerdict::kShort);
  ASSERT_TRUE(gateway->limiter.next_call(now)) << "under way, and not answered";
  EXPECT_FALSE(gateway->limiter.next_call(now));
  EXPECT_EQ(gateway->limiter.next_give_up(), give_up);
  EXPECT_TRUE(gateway->limiter.expire(give_up - milliseconds(1)).empty());
  const auto wakes = gateway->limiter.expire(give_up);
  ASSERT_EQ(wakes.size(), 2u);
  EXPECT_EQ(wakes[0].second.verdict, RateVerdict::kAdmitted);
  EXPECT_EQ(wakes[1].second.verdict, RateVerdict::kRefused) << "a third of three is one";
  EXPECT_EQ(gateway->limiter.next_give_up(), Mono::max());
}

TEST_F(RateLimiterTest, ManyWaitersOfOneLimitTravelInOneCall) {
  const auto gateway = open("a");
  const auto demand = rate_demand({requests_rule(1'000)});
  for (RateTicket ticket = 1; ticket <= 100; ++ticket) {
    ASSERT_EQ(gateway->limiter.admit_or_wait(ticket, demand, now + milliseconds(50), now).verdict, RateVerdict::kShort);
  }
  const int before = server.calls;
  gateway->talk(now);
  EXPECT_EQ(gateway->decided.size(), 100u);
  for (const auto& [ticket, decision] : gateway->decided) EXPECT_EQ(decision.verdict, RateVerdict::kAdmitted);
  EXPECT_LE(server.calls - before, 2);
}

TEST_F(RateLimiterTest, AClosedLimiterDecidesAloneAndAsksNothing) {
  const auto gateway = open("a");
  const auto demand = rate_demand({requests_rule(3)});
  ASSERT_EQ(gateway->limiter.admit_or_wait(1, demand, now + milliseconds(50), now).verdict, RateVerdict::kShort);
  EXPECT_EQ(gateway->limiter.close(now).size(), 1u);
  EXPECT_EQ(gateway->limiter.admit(demand, now).verdict, RateVerdict::kAdmitted);
  advance(milliseconds(10'000));
  EXPECT_FALSE(gateway->limiter.next_call(now));
}

TEST_F(RateLimiterTest, AServerThatForgotEverythingCostsAtMostTheWindowAgain) {
  const auto gateway = open("a");
  const auto demand = rate_demand({requests_rule(10)});
  int admitted = 0;
  for (int i = 0; i < 20; ++i) admitted += gateway->admits(demand, now) ? 1 : 0;
  server.forget_everything();
  advance(milliseconds(200));
  for (int i = 0; i < 20; ++i) admitted += gateway->admits(demand, now) ? 1 : 0;
  EXPECT_EQ(admitted, 20);
}

TEST_F(RateLimiterTest, AServerWhoseClockWentBackIsFollowed) {
  const auto gateway = open("a");
  const auto demand = rate_demand({requests_rule(2)});
  ASSERT_TRUE(gateway->admits(demand, now));
  ASSERT_TRUE(gateway->admits(demand, now));
  ASSERT_FALSE(gateway->admits(demand, now));
  server.now_ms -= 3'600'000;
  advance(milliseconds(2'000));
  gateway->talk(now);
  EXPECT_TRUE(gateway->admits(demand, now)) << "another window, an hour ago";
  EXPECT_EQ(gateway->ask(demand, now).status.requests->reset, milliseconds(58'000));
}

TEST_F(RateLimiterTest, AChangedLimitCountsFromTheNextRequestOn) {
  const auto gateway = open("a");
  int admitted = 0;
  for (int i = 0; i < 20; ++i) admitted += gateway->admits(rate_demand({requests_rule(5)}), now) ? 1 : 0;
  EXPECT_EQ(admitted, 5);
  advance(milliseconds(200));
  for (int i = 0; i < 20; ++i) admitted += gateway->admits(rate_demand({requests_rule(8)}), now) ? 1 : 0;
  EXPECT_EQ(admitted, 8) << "what was used stays used";
  advance(milliseconds(200));
  EXPECT_FALSE(gateway->admits(rate_demand({requests_rule(3)}), now));
}

}  // namespace
}  // namespace tidegate::gateway::rate_limiter_test
