#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "base/price/local_windows.h"
#include "base/price/price_book.h"
#include "tests/unit/base/price/naive_rater.h"
#include "tests/unit/base/price/price_lists.h"

/// Price books over ten years of six zones: whatever the clocks do, an instant has one price.
namespace tidegate::price {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr PriceKey kKey = {"m", "USD", "local", "cpu"};

/// Both hemispheres, half-hour summer time, quarter-hour offset, no summer time, none at all.
const char* const kZones[] = {"America/New_York", "Europe/Berlin", "Australia/Lord_Howe",
                              "Asia/Kathmandu",   "Asia/Shanghai", "America/Santiago"};

/// Holidays in every year, each with a working weekend day near it.
Calendar calendar_of_years(int first, int last) {
  Calendar calendar{"H", 1, {}, {}};
  for (int year = first; year <= last; ++year) {
    for (const auto& [month, day] :
         {std::pair(1U, 1U), {3U, 9U}, {5U, 1U}, {10U, 1U}, {10U, 2U}, {11U, 2U}}) {
      const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                             std::chrono::day(day)};
      const std::chrono::local_days holiday(date);
      calendar.days.push_back(holiday);
      auto makeup = holiday + days(3);
      while (std::chrono::weekday(makeup).iso_encoding() < 6) makeup += days(1);
      calendar.workdays.push_back(makeup);
    }
  }
  auto is_holiday = [&](auto day) {
    return std::find(calendar.days.begin(), calendar.days.end(), day) != calendar.days.end();
  };
  std::erase_if(calendar.workdays, is_holiday);
  std::sort(calendar.workdays.begin(), calendar.workdays.end());
  calendar.workdays.erase(std::unique(calendar.workdays.begin(), calendar.workdays.end()),
                          calendar.workdays.end());
  return calendar;
}

/// Windows that start and end inside hours that summer time skips or repeats, and wrap midnight.
PriceVersion busy_version(const std::string& zone) {
  PriceVersion version = tide();
  version.effective_from = at("2020-01-01T00:00:00Z");
  version.effective_to = at("2030-01-01T00:00:00Z");
  version.schedules = {
      flat("standard", 100, 200, 400),
      windowed(flat("peak", 300, 600, 1200), zone, kWorkdays, {"09:00-12:00", "14:00-18:00"}),
      windowed(flat("night", 10, 20, 40), zone, {1, 3, 5, 7}, {"22:30-01:45:30"}),
      windowed(flat("small hours", 50, 70, 90), zone, kEveryDay, {"02:15-02:45", "03:00-03:20"})};
  version.schedules[1].exclude_calendar = "H";
  version.schedules[1].calendar_version = 1;
  return version;
}

class TenYears : public testing::TestWithParam<const char*> {
 protected:
  TenYears() : calendar_(calendar_of_years(2020, 2029)), version_(busy_version(GetParam())) {
    auto book = PriceBook::build({version_}, {calendar_});
    EXPECT_TRUE(book) << book.error().to_string();
    book_ = book.value_or(PriceBook());
    EXPECT_TRUE(naive_.load({version_}, {calendar_}));
  }

  const PriceVersion& version() const { return book_.versions().front(); }

  /// Every claim at one instant: one window at most, and the band is its.
  void expect_one_price(Wall instant) {
    int inside = 0;
    std::string band = "standard";
    for (std::size_t i = 1; i < version_.schedules.size(); ++i) {
      if (!naive_.is_inside(version_.schedules[i], {calendar_}, instant).value()) continue;
      ++inside;
      band = version_.schedules[i].name;
    }
    ASSERT_LE(inside, 1) << GetParam() << " " << format_rfc3339(instant);
    ASSERT_EQ(book_.schedule_at(version(), instant).name, band)
        << GetParam() << " " << format_rfc3339(instant);
    ++instants_;
  }

  Calendar calendar_;
  PriceVersion version_;
  PriceBook book_;
  NaiveRater naive_{Mistake::kNone};
  std::int64_t instants_ = 0;
};

TEST_P(TenYears, ExactlyOneWindowPerInstantAndTheSecondImplementationAgrees) {
  // 53 minutes and 1 second: every minute of the hour is met, and no pattern of the wall clock repeats soon.
  for (Wall t = version_.effective_from; t < *version_.effective_to; t += seconds(53 * 60 + 1))
    expect_one_price(t);
  fmt::print("[ property ] {}: {} instants have one price\n", GetParam(), instants_);
}

TEST_P(TenYears, NothingChangesBeforeNextChangeSaysSo) {
  std::mt19937_64 random(7);
  std::int64_t changes = 0;
  Wall t = version_.effective_from;
  while (const auto next = book_.next_change(version(), t)) {
    ASSERT_GT(*next, t);
    const std::string before = book_.schedule_at(version(), t).name;
    const auto span = (*next - t).count();
    for (int i = 0; i < 3; ++i) {
      const Wall between = t + microseconds(std::uniform_int_distribution<std::int64_t>(0, span - 1)(random));
      ASSERT_EQ(book_.schedule_at(version(), between).name, before) << format_rfc3339(between);
    }
    expect_one_price(*next - microseconds(1));
    if (*next == version_.effective_to) break;
    ASSERT_NE(book_.schedule_at(version(), *next).name, before) << format_rfc3339(*next);
    expect_one_price(*next);
    t = *next;
    ++changes;
  }
  EXPECT_GT(changes, 20'000) << "about seven a day";
  fmt::print("[ property ] {}: {} changes foretold exactly\n", GetParam(), changes);
}

TEST_P(TenYears, NoRequestCostsMoreThanItsWorstCase) {
  std::mt19937_64 random(11);
  auto pick = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  PriceVersion tiered = version_;
  tiered.minimum_charge = Money::from_pico(50'000);
  tiered.schedules[2].long_prompts = {{500,
                                       {{"input_cache_hit", Rate::from_micro_per_million(1)},
                                        {"input_cache_miss", Rate::from_micro_per_million(2)},
                                        {"output", Rate::from_micro_per_million(3)}}}};
  std::vector<Modifier> modifiers;
  for (int year = 2020; year < 2030; ++year) {
    Modifier promo{0, "promo", {1, 3}};
    promo.effective_from = at(fmt::format("{}-06-01T00:00:30Z", year));
    promo.effective_to = at(fmt::format("{}-06-20T11:00:00Z", year));
    Modifier surcharge{0, "surcharge", {7, 6}};
    surcharge.effective_from = at(fmt::format("{}-06-10T05:00:00Z", year));
    surcharge.effective_to = at(fmt::format("{}-12-10T05:00:00Z", year));
    modifiers.push_back(promo);
    modifiers.push_back(surcharge);
  }
  const PriceBook book = PriceBook::build({tiered}, {calendar_}, modifiers).value();
  const std::int64_t span_s = (*version_.effective_to - version_.effective_from) / seconds(1) - 4000;
  int tight = 0;
  constexpr int kRequests = 20'000;
  for (int i = 0; i < kRequests; ++i) {
    const Wall admitted = version_.effective_from + seconds(pick(0, span_s));
    const Wall deadline = admitted + seconds(pick(1, 3600));
    const std::int64_t prompt_max = pick(0, 1000), output_max = pick(0, 1000);
    const std::int64_t prompt = pick(0, 3) == 0 ? prompt_max : pick(0, prompt_max);
    const std::int64_t hit = pick(0, 3) == 0 ? 0 : pick(0, prompt);
    const std::int64_t output = pick(0, 3) == 0 ? output_max : pick(0, output_max);
    const Wall completed = admitted + seconds(pick(0, (deadline - admitted) / seconds(1)));
    const auto worst = book.worst_case(kKey, admitted, deadline, prompt_max, output_max);
    const auto rated = book.rate(kKey, {admitted, admitted, completed}, {hit, prompt - hit, output});
    ASSERT_TRUE(worst && rated);
    ASSERT_LE(rated->total, *worst) << GetParam() << " " << format_rfc3339(admitted) << " to "
                                    << format_rfc3339(completed);
    if (rated->total + Money::from_pico(1) >= *worst) ++tight;
  }
  EXPECT_GT(tight, 100) << "a bound that is never met would hold too much of every wallet";
  fmt::print("[ property ] {}: {} requests within their worst case, {} meet it\n", GetParam(), kRequests,
             tight);
}

/// Every second of the days around each change of the clocks in ten years would be much; every second around
/// every boundary on those days is what can go wrong.
TEST_P(TenYears, DaysOfClockChangesAreRightAtEveryBoundary) {
  absl::TimeZone zone = load_zone(GetParam()).value();
  absl::CivilSecond year(2020, 1, 1);
  absl::Time t = absl::FromCivil(year, zone);
  const absl::Time end = absl::FromCivil(absl::CivilSecond(2029, 12, 28), zone);
  absl::TimeZone::CivilTransition transition;
  int transitions = 0;
  while (zone.NextTransition(t, &transition)) {
    t = zone.At(transition.to).trans;
    if (t >= end) break;
    ++transitions;
    const Wall change = wall_from_unix_micros(absl::ToUnixMicros(t));
    std::set<Wall> boundaries{change};
    for (Wall minute = change - days(1); minute < change + days(1); minute += minutes(5))
      boundaries.insert(minute);
    for (Wall from = change - days(1); from < change + days(1);) {
      const auto next = book_.next_change(version(), from);
      if (!next) break;
      boundaries.insert(*next);
      from = *next;
    }
    for (const Wall boundary : boundaries) {
      for (const auto offset : {microseconds(-1), microseconds(0), microseconds(1), microseconds(999'999),
                                microseconds(-1'000'000)}) {
        expect_one_price(boundary + offset);
      }
    }
  }
  const bool has_summer_time =
      GetParam() != std::string_view("Asia/Kathmandu") && GetParam() != std::string_view("Asia/Shanghai");
  EXPECT_EQ(transitions > 0, has_summer_time);
  fmt::print("[ property ] {}: {} clock changes, {} instants around them\n", GetParam(), transitions,
             instants_);
}

INSTANTIATE_TEST_SUITE_P(Price, TenYears, testing::ValuesIn(kZones));

}  // namespace
}  // namespace tidegate::price
