#include "gateway/money/clock_error.h"

#include <gtest/gtest.h>

namespace tidegate::gateway {
namespace {

TEST(ClockError, ALateHeartbeatIsNotAWrongClock) {
  ClockError error;
  for (int i = 0; i < 7; ++i) error.observe(5'000'000, 0);  // seven heartbeats held up for five seconds
  error.observe(200, 0);
  EXPECT_EQ(error.bound(), ClockError::kLeast);
}

TEST(ClockError, AClockThatIsAheadShowsOnEveryHeartbeat) {
  ClockError error;
  for (int i = 0; i < 20; ++i) error.observe(2'000'000 + i, 0);
  EXPECT_GE(error.bound(), std::chrono::seconds(2));
}

TEST(ClockError, AClockThatIsBehindShowsAtOnce) {
  ClockError error;
  error.observe(0, 3'000'000);
  EXPECT_EQ(error.bound(), std::chrono::seconds(3));
}

TEST(ClockError, ACorrectedClockIsBelievedAfterEightHeartbeats) {
  ClockError error;
  error.observe(0, 3'000'000);
  for (int i = 0; i < 8; ++i) error.observe(100, 0);
  EXPECT_EQ(error.bound(), ClockError::kLeast);
}

}  // namespace
}  // namespace tidegate::gateway
