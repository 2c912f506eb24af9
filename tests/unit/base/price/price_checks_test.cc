#include "base/price/price_checks.h"

#include <gtest/gtest.h>

#include "tests/unit/base/price/price_lists.h"

namespace tidegate::price::price_checks_test {
namespace {

Error refusal(std::vector<PriceVersion> versions, std::vector<Calendar> calendars = {}) {
  const auto book = PriceBook::build(std::move(versions), std::move(calendars));
  EXPECT_FALSE(book) << "accepted";
  if (book) return {};
  EXPECT_EQ(book.error().reason, "bad_price");
  return book.error();
}

TEST(PriceChecks, UnknownZone) {
  for (const auto* zone : {"Asia/Peking", "", "localtime", "/etc/localtime", "Fixed/UTC+08:00:00", "../zoneinfo/UTC"}) {
    PriceVersion version = tide();
    version.schedules[1].tz = zone;
    const Error error = refusal({version});
    EXPECT_EQ(error.field, "schedules[peak].tz");
    EXPECT_NE(error.message.find("use an IANA name"), std::string::npos);
  }
}

TEST(PriceChecks, OverlapOfTwoBands) {
  PriceVersion version = tide();
  version.schedules.push_back(windowed(flat("noon", 1, 1, 1), "Asia/Shanghai", {3}, {"11:59-13:00"}));
  EXPECT_NE(refusal({version}).message.find("overlap on weekday 3"), std::string::npos);
  version.schedules.back().windows = {parse_local_window("12:00-14:00").value()};
  EXPECT_TRUE(PriceBook::build({version}, {}));
}

TEST(PriceChecks, OverlapAcrossMidnightAndTheWeeksEnd) {
  PriceVersion version = tide();
  version.schedules = {flat("standard", 1, 1, 1), windowed(flat("night", 1, 1, 1), "UTC", {7}, {"22:00-06:00"}),
                       windowed(flat("dawn", 1, 1, 1), "UTC", {1}, {"05:00-07:00"})};
  EXPECT_NE(refusal({version}).message.find("overlap on weekday 1"), std::string::npos);
}

TEST(PriceChecks, OverlapOfOneBandWithItself) {
  PriceVersion version = tide();
  version.schedules[1].windows.push_back(parse_local_window("11:00-13:00").value());
  refusal({version});
}

TEST(PriceChecks, OverlapBetweenZonesShowsOnlyInSummer) {
  // 08:00-09:00 UTC is 09-10 in London in summer only.
  PriceVersion version = tide();
  version.schedules = {flat("standard", 1, 1, 1), windowed(flat("a", 1, 1, 1), "UTC", kEveryDay, {"08:00-09:00"}),
                       windowed(flat("b", 1, 1, 1), "Europe/London", kEveryDay, {"09:00-10:00"})};
  EXPECT_NE(refusal({version}).message.find("2026-03-29T08:00:00"), std::string::npos);
  version.effective_to = at("2026-03-29T00:00:00Z");
  EXPECT_TRUE(PriceBook::build({version}, {}));
}

TEST(PriceChecks, GapWithoutADefault) {
  PriceVersion version = tide();
  version.schedules.erase(version.schedules.begin());
  EXPECT_NE(refusal({version}).message.find("add \"default\": true"), std::string::npos);
}

TEST(PriceChecks, TwoDefaults) {
  PriceVersion version = tide();
  version.schedules.push_back(flat("other", 1, 1, 1));
  EXPECT_NE(refusal({version}).message.find("keep one"), std::string::npos);
}

TEST(PriceChecks, ADefaultHasNoWindows) {
  PriceVersion version = tide();
  version.schedules[1].is_default = true;
  version.schedules.erase(version.schedules.begin());
  EXPECT_EQ(refusal({version}).field, "schedules[peak].windows");
}

TEST(PriceChecks, Rates) {
  PriceVersion version = tide();
  version.schedules[0].rates["output"] = Rate::from_micro_per_million(-1);
  EXPECT_EQ(refusal({version}).field, "schedules[offpeak].rates.output");
  version = tide();
  version.schedules[0].rates["images"] = Rate::from_micro_per_million(1);
  EXPECT_EQ(refusal({version}).field, "schedules[offpeak].rates.images");
  version = tide();
  version.schedules[0].rates.erase("output");
  EXPECT_EQ(refusal({version}).field, "schedules[offpeak].rates.output");
  version = tide();
  version.schedules[0].rates.clear();
  EXPECT_EQ(refusal({version}).field, "schedules[offpeak].rates");
  version = tide();
  version.schedules[0].rates["output"] = Rate::from_micro_per_million(INT64_MAX);
  EXPECT_EQ(refusal({version}).field, "schedules[offpeak].rates.output");
}

TEST(PriceChecks, DaysAndWindows) {
  PriceVersion version = tide();
  version.schedules[1].days = {0};
  EXPECT_EQ(refusal({version}).field, "schedules[peak].days");
  version.schedules[1].days = {1, 1};
  EXPECT_EQ(refusal({version}).field, "schedules[peak].days");
  version.schedules[1].days = {};
  EXPECT_EQ(refusal({version}).field, "schedules[peak].days");
  version = tide();
  version.schedules[1].windows = {{-1, 10}};
  EXPECT_EQ(refusal({version}).field, "schedules[peak].windows");
  version.schedules[1].windows = {};
  EXPECT_EQ(refusal({version}).field, "schedules[peak].windows");
}

TEST(PriceChecks, UnknownCalendarAndVersion) {
  PriceVersion version = tide();
  version.schedules[1].exclude_calendar = "CN-2026";
  version.schedules[1].calendar_version = 2;
  EXPECT_EQ(refusal({version}, {{"CN-2026", 1, {}}}).field, "schedules[peak].exclude_calendar");
  EXPECT_TRUE(PriceBook::build({version}, {{"CN-2026", 2, {}}}));
}

TEST(PriceChecks, EffectiveRanges) {
  PriceVersion first = tide(1), second = tide(2);
  second.book = "next";
  second.effective_from = at("2026-06-01T00:00:00Z");
  EXPECT_NE(refusal({first, second}).message.find("overlaps price book \"tide\""), std::string::npos);
  first.effective_to = second.effective_from;
  EXPECT_TRUE(PriceBook::build({first, second}, {}));
  second.pool = "h200";
  first.effective_to.reset();
  EXPECT_TRUE(PriceBook::build({first, second}, {})) << "another pool is another list";
  first.effective_to = first.effective_from;
  EXPECT_EQ(refusal({first}).field, "effective_to");
}

TEST(PriceChecks, BasisMayNotMoveEarlierWithoutAGap) {
  PriceVersion first = tide(1), second = tide(2);
  first.effective_to = second.effective_from = at("2026-06-01T00:00:00Z");
  second.basis = Basis::kAdmittedAt;
  EXPECT_EQ(refusal({first, second}).field, "basis");
  std::swap(first.basis, second.basis);
  EXPECT_TRUE(PriceBook::build({first, second}, {}));
}

TEST(PriceChecks, NamesAndIds) {
  PriceVersion version = tide();
  version.schedules[1].name = "offpeak";
  refusal({version});
  version = tide();
  version.currency = "usd";
  EXPECT_EQ(refusal({version}).field, "currency");
  PriceVersion other = tide(1);
  other.model = "n";
  EXPECT_EQ(refusal({tide(1), other}).field, "id");
  EXPECT_EQ(refusal({}, {{"C", 1, {}}, {"C", 1, {}}}).field, "calendars");
}

TEST(PriceChecks, AWorkingDayMayNotOpenTwoBandsAtOnce) {
  // Saturday 2026-10-10 works: the peak of Mondays opens, and the weekend's band with it unless it knows the
  // calendar.
  const Calendar calendar{"CN", 1, {}, {parse_date("2026-10-10").value()}};
  PriceVersion version = tide();
  version.schedules[1].exclude_calendar = "CN";
  version.schedules[1].calendar_version = 1;
  version.schedules.push_back(windowed(flat("weekend", 1, 1, 1), "Asia/Shanghai", {6, 7}, {"08:00-20:00"}));
  const Error error = refusal({version}, {calendar});
  EXPECT_EQ(error.field, "schedules[weekend].windows");
  EXPECT_NE(error.message.find("2026-10-10T01:00:00"), std::string::npos) << error.message;
  version.schedules[2].exclude_calendar = "CN";
  version.schedules[2].calendar_version = 1;
  const auto book = PriceBook::build({version}, {calendar});
  ASSERT_TRUE(book) << book.error().to_string();
  EXPECT_EQ(book->schedule_at(book->versions()[0], at("2026-10-10T02:00:00Z")).name, "peak");
  EXPECT_EQ(book->schedule_at(book->versions()[0], at("2026-10-11T02:00:00Z")).name, "weekend");
  version.effective_to = at("2026-10-09T00:00:00Z");
  version.schedules[2].exclude_calendar.clear();
  EXPECT_TRUE(PriceBook::build({version}, {calendar})) << "over before the day comes";
}

TEST(PriceChecks, ADateIsAHolidayOrAWorkingDay) {
  const auto day = parse_date("2026-10-10").value();
  EXPECT_EQ(refusal({}, {{"CN", 1, {day}, {day}}}).field, "calendars.CN");
  EXPECT_EQ(refusal({}, {{"CN", 1, {}, {day, day}}}).field, "calendars.CN");
  std::vector<std::chrono::local_days> many(kCalendarDaysMax + 1, day);
  EXPECT_EQ(refusal({}, {{"CN", 1, many, {}}}).field, "calendars.CN");
}

}  // namespace
}  // namespace tidegate::price::price_checks_test
