#include "base/price/calendar_month.h"

#include <gtest/gtest.h>

namespace tidegate::price::calendar_month_test {
namespace {

Wall at(const char* text) { return parse_rfc3339(text).value(); }
std::int64_t hours(const CalendarMonth& month) {
  return std::chrono::duration_cast<std::chrono::hours>(month.end - month.begin).count();
}

TEST(CalendarMonth, BeginsAndEndsAtLocalMidnight) {
  const auto shanghai = month_of("Asia/Shanghai", at("2026-10-31T16:00:00Z")).value();
  EXPECT_EQ(shanghai.label, "2026-11");
  EXPECT_EQ(shanghai.begin, at("2026-10-31T16:00:00Z"));
  EXPECT_EQ(shanghai.end, at("2026-11-30T16:00:00Z"));
  EXPECT_EQ(month_of("Asia/Shanghai", at("2026-10-31T15:59:59.999999Z"))->label, "2026-10");
}

TEST(CalendarMonth, SummerTimeMakesItAnHourLongerOrShorter) {
  EXPECT_EQ(hours(month_labelled("America/New_York", "2026-11").value()), 30 * 24 + 1);
  EXPECT_EQ(hours(month_labelled("America/New_York", "2026-03").value()), 31 * 24 - 1);
  EXPECT_EQ(hours(month_labelled("Europe/Berlin", "2026-10").value()), 31 * 24 + 1);
  EXPECT_EQ(hours(month_labelled("Asia/Shanghai", "2026-11").value()), 30 * 24);
}

TEST(CalendarMonth, TwoYearsOfMonthsMeetInEveryZone) {
  for (const char* zone : {"UTC", "Asia/Shanghai", "America/New_York", "Europe/London", "Australia/Lord_Howe",
                           "Asia/Kathmandu", "Pacific/Apia", "America/Sao_Paulo", "Asia/Beirut", "Africa/Cairo"}) {
    auto month = month_of(zone, at("2011-06-15T00:00:00Z")).value();
    for (int i = 0; i < 24; ++i) {
      const auto next = month_of(zone, month.end).value();
      EXPECT_EQ(next.begin, month.end) << zone << " " << month.label;
      EXPECT_LT(next.begin, next.end) << zone << " " << next.label;
      EXPECT_EQ(month_labelled(zone, month.label).value(), month);
      month = next;
    }
  }
}

TEST(CalendarMonth, ADayThatNeverWasDoesNotBreakTheMonth) {
  // Samoa had no 30 December 2011.
  EXPECT_EQ(hours(month_labelled("Pacific/Apia", "2011-12").value()), 30 * 24);
}

TEST(CalendarMonth, MidnightThatTheClockSkippedBeginsAtTheNextInstant) {
  // Amman went from 00:00 to 01:00 on 1 April 2011.
  const auto april = month_labelled("Asia/Amman", "2011-04").value();
  EXPECT_EQ(april.begin, at("2011-03-31T22:00:00Z"));
  EXPECT_EQ(month_labelled("Asia/Amman", "2011-03")->end, april.begin);
}

TEST(CalendarMonth, RefusesWhatIsNoMonthAndWhatIsNoZone) {
  for (const char* label :
       {"", "2026", "2026-13", "2026-00", "2026-1", "26-01-1", "2026/01", "2026-011", "-026-01", "1969-12"}) {
    EXPECT_EQ(month_labelled("UTC", label).error().reason, "bad_month") << label;
  }
  EXPECT_EQ(month_of("+08:00", at("2026-11-01T00:00:00Z")).error().field, "tz");
}

TEST(DayRange, FollowsTheClockOfItsZone) {
  const auto fall = day_range("America/New_York", 20758).value();
  EXPECT_EQ(day_text(20758), "2026-11-01");
  EXPECT_EQ(fall.begin, at("2026-11-01T04:00:00Z"));
  EXPECT_EQ(fall.end, at("2026-11-02T05:00:00Z")) << "25 hours: the clock is set back";
  EXPECT_EQ(day_range("America/New_York", 20759)->begin, fall.end);
  EXPECT_FALSE(day_range("Nowhere", 0));
}

}  // namespace
}  // namespace tidegate::price::calendar_month_test
