#include "base/price/local_windows.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/base/price/naive_rater.h"
#include "tests/unit/base/price/price_lists.h"

namespace tidegate::price {
namespace {

LocalWindows windows_of(const Schedule& schedule, const Calendar* calendar = nullptr) {
  return LocalWindows(schedule, load_zone(schedule.tz).value(), calendar);
}

/// Every instant of two years, at a stride that meets every boundary, agrees with the direct implementation; and
/// membership changes only at announced boundaries.
void expect_agreement(const Schedule& schedule, const std::vector<Calendar>& calendars, Wall from, int days) {
  NaiveRater naive(Mistake::kNone);
  const LocalWindows windows = windows_of(schedule, calendars.empty() ? nullptr : &calendars.front());
  std::vector<Wall> boundaries;
  const Wall until = from + std::chrono::days(days);
  windows.append_boundaries(from, until, boundaries);
  std::sort(boundaries.begin(), boundaries.end());
  bool before = windows.contains(from);
  for (Wall t = from; t <= until; t += std::chrono::minutes(15)) {
    const bool inside = windows.contains(t);
    ASSERT_EQ(inside, naive.is_inside(schedule, calendars, t).value()) << schedule.tz << " " << format_rfc3339(t);
    if (inside != before) {
      ASSERT_TRUE(std::binary_search(boundaries.begin(), boundaries.end(), t)) << schedule.tz << " " << format_rfc3339(t);
    }
    before = inside;
  }
}

TEST(LocalWindows, AgreeWithTheDirectReadingInEveryKindOfZone) {
  const std::vector<Calendar> calendars = {{"C", 0, {parse_date("2026-10-25").value(), parse_date("2026-03-08").value()}}};
  for (const auto* zone : {"UTC", "Asia/Shanghai", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe",
                           "America/Havana", "Asia/Kathmandu", "Pacific/Apia"}) {
    for (const auto* window : {"09:00-17:00", "22:00-06:00", "00:00-00:00", "01:30-01:45", "23:30-00:30", "02:00-03:00"}) {
      Schedule schedule = windowed(flat("w", 1, 1, 1), zone, {1, 3, 6, 7}, {window});
      schedule.exclude_calendar = "C";
      expect_agreement(schedule, calendars, at("2026-02-20T00:00:00Z"), 40);
      expect_agreement(schedule, calendars, at("2026-10-10T00:00:00Z"), 30);
    }
  }
}

TEST(LocalWindows, EndOfDayMayBeWrittenAs24) {
  const auto windows = windows_of(windowed(flat("w", 1, 1, 1), "UTC", kEveryDay, {"18:00-24:00"}));
  EXPECT_TRUE(windows.contains(at("2026-11-20T23:59:59.999Z")));
  EXPECT_FALSE(windows.contains(at("2026-11-21T00:00:00Z")));
}

TEST(LocalWindows, TimesBefore1970AreDaysToo) {
  const auto windows = windows_of(windowed(flat("w", 1, 1, 1), "UTC", {3}, {"23:00-24:00"}));
  EXPECT_TRUE(windows.contains(at("1969-12-31T23:59:59.5Z")));  // a Wednesday
}

}  // namespace
}  // namespace tidegate::price
