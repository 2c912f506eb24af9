#include "base/core/deadline.h"

#include <gtest/gtest.h>

namespace tidegate {
namespace {

using std::chrono::seconds;
const Mono kNow{seconds(100)};

TEST(Deadline, ExpiresExactlyAtItsInstant) {
  const Deadline deadline = Deadline::after(kNow, seconds(5));
  EXPECT_EQ(deadline.remaining(kNow), seconds(5));
  EXPECT_FALSE(deadline.is_expired(kNow + seconds(5) - Duration(1)));
  EXPECT_TRUE(deadline.is_expired(kNow + seconds(5)));
  EXPECT_EQ(deadline.remaining(kNow + seconds(9)), Duration::zero());
}

TEST(Deadline, AnExhaustedBudgetMeansNowAndNotNever) {
  EXPECT_TRUE(Deadline::after(kNow, Duration::zero()).is_expired(kNow));
  EXPECT_TRUE(Deadline::after(kNow, seconds(-5)).is_expired(kNow));
  EXPECT_FALSE(Deadline::after(kNow, seconds(-5)).is_never());
}

TEST(Deadline, HugeBudgetsDoNotWrap) {
  EXPECT_TRUE(Deadline::after(kNow, Duration::max()).is_never());
  EXPECT_FALSE(Deadline::never().is_expired(kNow + std::chrono::hours(24 * 365)));
}

TEST(Deadline, TheEarlierOneWins) {
  const Deadline soon = Deadline::after(kNow, seconds(1)), late = Deadline::after(kNow, seconds(2));
  EXPECT_EQ(soon.earlier(late).instant(), soon.instant());
  EXPECT_EQ(late.earlier(soon).instant(), soon.instant());
  EXPECT_EQ(Deadline::never().earlier(late).instant(), late.instant());
}

}  // namespace
}  // namespace tidegate
