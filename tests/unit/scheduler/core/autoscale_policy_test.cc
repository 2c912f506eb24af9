#include "scheduler/core/autoscale_policy.h"

#include <gtest/gtest.h>

namespace tidegate::scheduler {
namespace {

AutoscalePolicy policy(std::int32_t least, std::int32_t most) {
  AutoscalePolicy out;
  out.is_on = true;
  out.replicas_min = least;
  out.replicas_max = most;
  return out;
}

std::int32_t at(int day, int hour, int minute = 0) { return day * kMinutesPerDay + hour * 60 + minute; }

TEST(AutoscalePolicy, EveryLimitIsNamedWithItsField) {
  const auto field_of = [](AutoscalePolicy bad) {
    const Status checked = check_autoscale(bad, 64);
    return checked ? std::string("accepted") : checked.error().field;
  };
  AutoscalePolicy bad = policy(1, 65);
  EXPECT_EQ(field_of(bad), "autoscale.replicas_max");
  bad = policy(5, 4);
  EXPECT_EQ(field_of(bad), "autoscale.replicas_min");
  bad = policy(1, 4);
  bad.target_utilisation_percent = 96;
  EXPECT_EQ(field_of(bad), "autoscale.target_utilisation_percent");
  bad = policy(1, 4);
  bad.down_after_s = 59;
  EXPECT_EQ(field_of(bad), "autoscale.down_after_s");
  bad = policy(1, 4);
  bad.windows.push_back({.end_minute = 60, .replicas_min = 5});
  EXPECT_EQ(field_of(bad), "autoscale.windows[0].replicas_min");
  EXPECT_EQ(field_of(policy(0, 64)), "accepted");
}

TEST(AutoscalePolicy, ABudgetNeedsAPriceAndPaysForWholeReplicasOnly) {
  AutoscalePolicy paid = policy(1, 10);
  paid.budget_micros_per_hour = 7'900'000;
  EXPECT_EQ(check_autoscale(paid, 64).error().reason, "budget_without_price");
  paid.price_micros_per_hour = 2'000'000;
  EXPECT_TRUE(check_autoscale(paid, 64));
  EXPECT_EQ(replicas_ceiling(paid), 3);
  paid.replicas_min = 4;
  EXPECT_EQ(check_autoscale(paid, 64).error().reason, "budget_too_small");
}

TEST(AutoscalePolicy, AWindowIsOpenFromItsStartToJustBeforeItsEnd) {
  AutoscalePolicy day = policy(1, 10);
  day.windows.push_back(*parse_autoscale_window("mon-fri 08:30-20:00 min=6"));
  EXPECT_EQ(replicas_floor(day, at(0, 8, 29)), 1);
  EXPECT_EQ(replicas_floor(day, at(0, 8, 30)), 6);
  EXPECT_EQ(replicas_floor(day, at(4, 19, 59)), 6);
  EXPECT_EQ(replicas_floor(day, at(4, 20)), 1);
  EXPECT_EQ(replicas_floor(day, at(5, 12)), 1) << "Saturday";
}

TEST(AutoscalePolicy, AWindowOverMidnightBelongsToTheDayItStartsOn) {
  AutoscalePolicy night = policy(1, 10);
  night.windows.push_back(*parse_autoscale_window("sun 22:00-06:00 min=3"));
  EXPECT_EQ(replicas_floor(night, at(6, 23)), 3);
  EXPECT_EQ(replicas_floor(night, at(0, 5, 59)), 3) << "Monday morning";
  EXPECT_EQ(replicas_floor(night, at(0, 6)), 1);
  EXPECT_EQ(replicas_floor(night, at(6, 5)), 1) << "Sunday morning is Saturday's night";
}

TEST(AutoscalePolicy, TheFloorLooksAheadOverTheEndOfTheWeek) {
  AutoscalePolicy monday = policy(1, 10);
  monday.windows.push_back(*parse_autoscale_window("mon 00:00-01:00 min=4"));
  EXPECT_EQ(replicas_floor_until(monday, at(6, 23, 50), 9), 1);
  EXPECT_EQ(replicas_floor_until(monday, at(6, 23, 50), 10), 4);
}

TEST(AutoscalePolicy, WindowsThatMakeNoSenseAreRefused) {
  for (const char* text : {"", "mon", "08:00-20:00", "mon-xyz 08:00-20:00 min=1", "08:00-25:00 min=1", "8-20 min=1",
                           "08:00-20:00 min=-1", "24:00-01:00 min=1", "08:00-20:00 max=1", "08:61-20:00 min=1"}) {
    EXPECT_FALSE(parse_autoscale_window(text)) << text;
  }
  EXPECT_EQ(parse_autoscale_window("10:00-24:00 min=2")->weekdays, 0x7f);
  EXPECT_EQ(parse_autoscale_window("sat-mon 10:00-11:00 min=2")->weekdays, 0x61);
}

}  // namespace
}  // namespace tidegate::scheduler
