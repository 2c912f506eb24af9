#include "gateway/core/rate_share.h"

#include <gtest/gtest.h>

#include "gateway/core/rate_clock.h"
#include "gateway/core/rate_slots.h"

namespace tidegate::gateway::rate_share_test {
namespace {

constexpr std::int64_t kMinute = 60'000;
constexpr RateFleet kShared{.is_shared = true, .gateways = 3};
constexpr RateFleet kAlone{.is_shared = false, .gateways = 3};

class RateShareTest : public testing::Test {
 protected:
  RateShareTest() {
    share.set_limit(90);
    share.roll(10 * kMinute);
  }
  void grant(std::int64_t granted, std::int64_t left, std::int64_t window = 10, std::int64_t need = 0) {
    share.ask(need, kShared, now);
    share.on_answer({window, granted, left}, now, now);
  }
  Mono now{std::chrono::seconds(100)};
  RateShare share{kMinute};
};

TEST_F(RateShareTest, RoomIsWhatWasGrantedLessWhatWasTaken) {
  EXPECT_EQ(share.room(kShared, now), 0) << "nothing is here before Redis gave it";
  grant(10, 80);
  EXPECT_EQ(share.room(kShared, now), 10);
  EXPECT_EQ(share.take(4, now), 10) << "the window it was taken in";
  EXPECT_EQ(share.room(kShared, now), 6);
}

TEST_F(RateShareTest, AWindowTakesItsShareAlongWhenItEnds) {
  grant(10, 80);
  share.take(4, now);
  share.roll(10 * kMinute + kMinute - 1);
  EXPECT_EQ(share.room(kShared, now), 6);
  share.roll(11 * kMinute);
  EXPECT_EQ(share.room(kShared, now), 0);
  share.roll(11 * kMinute - 1);
  grant(10, 80, 11);
  EXPECT_EQ(share.room(kShared, now), 10) << "never back by the clock alone";
}

TEST_F(RateShareTest, AnAnswerOfAnEndedWindowIsWorthNothingAndOneOfTheNextBeginsIt) {
  share.ask(5, kShared, now);
  share.roll(11 * kMinute);
  share.on_answer({10, 5, 50}, now, now);
  EXPECT_EQ(share.room(kShared, now), 0);
  share.ask(5, kShared, now);
  share.on_answer({12, 5, 50}, now, now);
  EXPECT_EQ(share.room(kShared, now), 5);
  EXPECT_EQ(share.take(1, now), 12);
}

TEST_F(RateShareTest, ARequestThatNeedsMorePutsTheRestBackInTheSameStep) {
  grant(10, 80);
  share.take(8, now);
  const RateAsk ask = share.ask(20, kShared, now);
  EXPECT_EQ(ask.adjust, -2);
  EXPECT_EQ(ask.least, 20);
  EXPECT_EQ(ask.mark, 10);
  EXPECT_EQ(share.room(kShared, now), 0) << "it is on its way";
  share.on_answer({10, 20, 0}, now, now);
  EXPECT_EQ(share.room(kShared, now), 20);
}

TEST_F(RateShareTest, WhatIsOnItsWayComesBackOnlyWhenNothingWasSent) {
  for (const bool is_unsent : {true, false}) {
    RateShare one(kMinute);
    one.set_limit(90);
    one.roll(10 * kMinute);
    one.ask(0, kShared, now);
    one.on_answer({10, 10, 80}, now, now);
    one.ask(20, kShared, now);
    one.on_failure(is_unsent);
    EXPECT_EQ(one.room(kShared, now), is_unsent ? 10 : 0);
  }
}

TEST_F(RateShareTest, ADenialIsRememberedForAsMuchAndMoreAndNotForLong) {
  grant(0, 4, 10, 5);
  EXPECT_TRUE(share.is_denied(5, now));
  EXPECT_TRUE(share.is_denied(50, now));
  EXPECT_FALSE(share.is_denied(4, now));
  EXPECT_FALSE(share.is_denied(5, now + kRateDeniedMemory));
  share.roll(11 * kMinute);
  EXPECT_FALSE(share.is_denied(5, now)) << "a new window has it all again";
}

TEST_F(RateShareTest, ACorrectionGivesBackInItsOwnWindowOnly) {
  grant(50, 40);
  share.take(50, now);
  share.correct(10, 50, 20);
  EXPECT_EQ(share.room(kShared, now), 30);
  share.roll(11 * kMinute);
  share.correct(10, 20, 5);
  EXPECT_EQ(share.room(kShared, now), 0);
  share.correct(10, 5, 12);
  EXPECT_EQ(share.room(kShared, now), -7) << "what was used beyond its bound falls on the present window";
  EXPECT_TRUE(share.is_low(kShared, now));
  EXPECT_EQ(share.ask(0, kShared, now).adjust, 7) << "and is told";
}

TEST_F(RateShareTest, WithoutRedisThePartIsWhatWasGrantedAndAThirdOfWhatWasLeft) {
  EXPECT_EQ(share.room(kAlone, now), 30) << "never heard in this window: a third of the limit";
  grant(10, 60);
  EXPECT_EQ(share.room(kAlone, now), 30);
  share.take(25, now);
  EXPECT_EQ(share.room(kAlone, now), 5);
  EXPECT_EQ(share.room(kShared, now), -15) << "used without having been asked for";
  share.roll(11 * kMinute);
  EXPECT_EQ(share.room(kAlone, now), 30);
}

TEST_F(RateShareTest, TellingWhatWasUsedWithoutRedisMakesNoNewRoom) {
  grant(10, 60);
  share.take(30, now);
  ASSERT_EQ(share.room(kAlone, now), 0);
  ASSERT_TRUE(share.must_tell(now));
  const RateAsk ask = share.ask(0, kAlone, now);
  EXPECT_EQ(ask.adjust, 20);
  EXPECT_EQ(ask.want, 0);
  share.on_answer({10, 0, 60}, now, now);  // the others have not told yet
  EXPECT_EQ(share.room(kAlone, now), 0);
  EXPECT_FALSE(share.must_tell(now));
}

TEST_F(RateShareTest, AStaticPartIsNeverNothing) {
  share.set_limit(2);
  EXPECT_EQ(share.room(kAlone, now), 1);
  EXPECT_EQ(share.need_of(5, kAlone), 1) << "what alone exceeds the part needs all of it";
  EXPECT_EQ(share.need_of(5, kShared), 2);
}

TEST_F(RateShareTest, AnIdleStoreGoesBack) {
  share.set_limit(9'000);
  grant(100, 8'900);
  EXPECT_TRUE(share.has_surplus(kShared, now)) << "nobody asked for any of it lately";
  const RateAsk ask = share.ask(0, kShared, now);
  EXPECT_EQ(ask.adjust, -100);
  EXPECT_EQ(ask.want, 0);
}

TEST_F(RateShareTest, ABusyStoreIsFilledUpBeforeItIsEmptyAndStaysUsableMeanwhile) {
  share.set_limit(90'000);
  grant(200, 89'800);
  share.take(199, now);  // 199 a second: 40 within the horizon
  ASSERT_TRUE(share.is_low(kShared, now));
  const RateAsk ask = share.ask(0, kShared, now);
  EXPECT_EQ(ask.adjust, 0);
  EXPECT_EQ(ask.least, 0);
  EXPECT_EQ(ask.want, 39);
  EXPECT_EQ(share.room(kShared, now), 1);
}

TEST_F(RateShareTest, TheGaugeSaysWhatAllGatewaysHaveLeftAndWhenTheWindowEnds) {
  grant(10, 60);
  share.take(4, now);
  const RateGauge gauge = share.gauge(kShared, 10 * kMinute + 15'500, now);
  EXPECT_EQ(gauge.limit, 90);
  EXPECT_EQ(gauge.remaining, 66);
  EXPECT_EQ(gauge.reset, std::chrono::milliseconds(44'500));
}

class RateSlotsTest : public testing::Test {
 protected:
  RateSlotsTest() { slots.set_limit(6); }
  Mono now{std::chrono::seconds(100)};
  RateSlots slots;
};

TEST_F(RateSlotsTest, ASlotIsInUseUntilItIsReleased) {
  const RateAsk ask = slots.ask(1, kShared, now);
  EXPECT_EQ(ask.mark, 0);
  EXPECT_EQ(ask.least, 1);
  slots.on_answer({0, 1, 5}, now, now);
  ASSERT_EQ(slots.room(kShared, now), 1);
  slots.take(1, now);
  EXPECT_EQ(slots.room(kShared, now), 0);
  slots.release(1);
  EXPECT_EQ(slots.room(kShared, now), 1);
  EXPECT_TRUE(slots.has_surplus(kShared, now)) << "of so few slots none is kept in store";
  EXPECT_EQ(slots.ask(0, kShared, now).want, 0);
}

TEST_F(RateSlotsTest, AHoldingIsRenewedInTimeAndIsNobodysWhenItWasNot) {
  slots.ask(1, kShared, now);
  slots.on_answer({0, 1, 5}, now, now);
  slots.take(1, now);
  EXPECT_FALSE(slots.wants_care(kShared, now));
  EXPECT_TRUE(slots.wants_care(kShared, now + kRateSlotsLife / 2));
  const RateAsk renewal = slots.ask(0, kShared, now + kRateSlotsLife / 2);
  EXPECT_EQ(renewal.mark, 1);
  EXPECT_EQ(renewal.want, 1);
  slots.on_failure(true);
  EXPECT_EQ(slots.room(kShared, now + kRateSlotsLife), -1);
}

TEST_F(RateSlotsTest, ADenialIsRememberedAndLeavesWhatIsInUse) {
  slots.ask(1, kShared, now);
  slots.on_answer({0, 1, 0}, now, now);
  slots.take(1, now);
  const RateAsk ask = slots.ask(1, kShared, now);
  EXPECT_EQ(ask.mark, 1) << "in use whatever the answer";
  EXPECT_EQ(ask.least, 2);
  slots.on_answer({0, 1, 0}, now, now);
  EXPECT_TRUE(slots.is_denied(1, now));
  EXPECT_EQ(slots.in_use(), 1);
  EXPECT_FALSE(slots.is_denied(1, now + kRateDeniedMemory));
}

TEST_F(RateSlotsTest, WithoutRedisAThirdOfTheSlotsIsOurs) {
  EXPECT_EQ(slots.room(kAlone, now), 2);
  slots.take(2, now);
  EXPECT_EQ(slots.room(kAlone, now), 0);
  EXPECT_TRUE(slots.is_low(kShared, now)) << "Redis is told of them when it is back";
  EXPECT_EQ(slots.ask(0, kShared, now).mark, 2);
}

TEST(RateClock, FollowsTheServerBeyondTheNetworksJitter) {
  const Mono start{std::chrono::seconds(5)};
  RateClock clock(wall_from_unix_micros(1'000'000'000), start);
  EXPECT_EQ(clock.at(start), 1'000'000);
  EXPECT_EQ(clock.at(start + std::chrono::microseconds(1'999)), 1'000'001);
  EXPECT_FALSE(clock.observe(1'000'010, start, start));
  EXPECT_EQ(clock.at(start), 1'000'000) << "ten milliseconds are the network's";
  EXPECT_FALSE(clock.observe(1'000'300, start, start + std::chrono::milliseconds(100)));
  EXPECT_EQ(clock.at(start), 1'000'250) << "the server spoke half way";
  EXPECT_FALSE(clock.observe(999'800, start, start));
  EXPECT_TRUE(clock.observe(990'000, start, start)) << "ten seconds back is another clock";
  EXPECT_EQ(clock.at(start), 990'000);
}

}  // namespace
}  // namespace tidegate::gateway::rate_share_test
