#include "base/core/clock.h"

#include <gtest/gtest.h>

#include "base/core/random.h"

namespace tidegate {
namespace {

TEST(Rfc3339, PrintsUtcWithSixDigits) {
  EXPECT_EQ(format_rfc3339(wall_from_unix_micros(0)), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(format_rfc3339(wall_from_unix_micros(1795248000000001)), "2026-11-21T08:00:00.000001Z");
  EXPECT_EQ(format_rfc3339(wall_from_unix_micros(-1)), "1969-12-31T23:59:59.999999Z");
}

TEST(Rfc3339, ReadsOffsetsAndFractions) {
  const Wall instant = wall_from_unix_micros(1795248000000000);
  for (const char* text : {"2026-11-21T08:00:00Z", "2026-11-21T16:00:00+08:00", "2026-11-21T02:30:00-05:30",
                           "2026-11-21T08:00:00.0Z", "2026-11-21T08:00:00.000000999Z"}) {
    const auto parsed = parse_rfc3339(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, instant) << text;
  }
  EXPECT_EQ(unix_micros(*parse_rfc3339("1970-01-01T00:00:00.5Z")), 500'000);
}

TEST(Rfc3339, RefusesWhatIsNoInstant) {
  for (const char* text : {"", "2026-11-21", "2026-11-21T08:00:00", "2026-11-21 08:00", "2026-13-01T00:00:00Z",
                           "2026-02-29T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T08:60:00Z",
                           "2026-11-21T08:00:00.Z", "2026-11-21T08:00:00+8", "2026-11-21T08:00:00Zx",
                           "2026-11-21T08:00:00.0123456789Z"}) {
    const auto parsed = parse_rfc3339(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().reason, "bad_timestamp");
  }
}

TEST(Rfc3339, EveryInstantReadsBackAsItself) {
  Rng rng(3);
  for (int i = 0; i < 5'000; ++i) {
    const Wall wall = wall_from_unix_micros(static_cast<std::int64_t>(rng.below(4'102'444'800'000'000)));
    EXPECT_EQ(*parse_rfc3339(format_rfc3339(wall)), wall);
  }
}

TEST(SystemClock, MonoNeverGoesBackAndWallIsThisCentury) {
  const SystemClock clock;
  Mono last = clock.mono();
  for (int i = 0; i < 1000; ++i) {
    const Mono now = clock.mono();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_GT(clock.wall(), *parse_rfc3339("2025-01-01T00:00:00Z"));
}

}  // namespace
}  // namespace tidegate
