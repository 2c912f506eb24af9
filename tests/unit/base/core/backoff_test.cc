#include "base/core/backoff.h"

#include <gtest/gtest.h>

namespace tidegate {
namespace {

using std::chrono::milliseconds;

TEST(Backoff, GrowsTwofoldAndStaysWithinItsBounds) {
  Duration highest[12] = {};
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Backoff backoff(milliseconds(10), milliseconds(1000), seed);
    Duration ceiling = milliseconds(10);
    for (auto& top : highest) {
      const Duration delay = backoff.next();
      ASSERT_GE(delay, milliseconds(10));
      ASSERT_LE(delay, ceiling);
      top = std::max(top, delay);
      ceiling = std::min<Duration>(milliseconds(1000), ceiling * 2);
    }
  }
  EXPECT_GT(highest[5], milliseconds(250)) << "the jitter uses its room";
  EXPECT_GT(highest[11], milliseconds(900));
}

TEST(Backoff, ResetStartsAnew) {
  Backoff backoff(milliseconds(10), milliseconds(1000), 1);
  for (int i = 0; i < 20; ++i) backoff.next();
  backoff.reset();
  EXPECT_EQ(backoff.next(), milliseconds(10));
}

TEST(Backoff, SeedsSpreadAHerd) {
  Backoff a(milliseconds(10), milliseconds(1000), 1), b(milliseconds(10), milliseconds(1000), 2);
  bool differ = false;
  for (int i = 0; i < 8; ++i) differ = a.next() != b.next() || differ;
  EXPECT_TRUE(differ);
}

}  // namespace
}  // namespace tidegate
