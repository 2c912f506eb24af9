#include "base/price/price_book.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/price/meter.h"
#include "base/price/price_version.h"
#include "tests/unit/base/price/price_lists.h"

namespace tidegate::price::price_book_test {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr PriceKey kKey = {"m", "USD", "local", "cpu"};

PriceBook book_of(std::vector<PriceVersion> versions, std::vector<Calendar> calendars = {}) {
  auto book = PriceBook::build(std::move(versions), std::move(calendars));
  EXPECT_TRUE(book) << book.error().to_string();
  return book.value_or(PriceBook());
}

std::string band_at(const PriceBook& book, std::string_view instant) {
  return book.schedule_at(book.versions().front(), at(instant)).name;
}

TEST(PriceBook, AMissingPriceIsAnErrorNeverZero) {
  const PriceBook book = book_of({tide()});
  const auto rated = book.rate({"other", "USD", "", ""}, Instants::all_at(at("2026-11-20T02:00:00Z")), {1, 1, 1});
  ASSERT_FALSE(rated);
  EXPECT_EQ(rated.error().reason, "price_missing");
  EXPECT_EQ(book.rate(kKey, Instants::all_at(at("2025-12-31T23:59:59Z")), {1, 1, 1}).error().reason, "price_missing");
}

TEST(PriceBook, RatesEveryMeterExactly) {
  const auto rated = book_of({tide()}).rate(kKey, Instants::all_at(at("2026-11-20T02:00:00Z")), {7, 11, 13});
  ASSERT_TRUE(rated);
  EXPECT_EQ(rated->band, "peak");
  EXPECT_EQ(rated->price_version, 1);
  EXPECT_EQ(rated->total.pico(), 7 * 300 + 11 * 600 + 13 * 1200);
  EXPECT_EQ(rated->lines[2].amount.pico(), 13 * 1200);
}

TEST(PriceBook, TheMoreSpecificPoolPriceWins) {
  PriceVersion general = tide(1), region = tide(2), pool = tide(3), both = tide(4);
  region.region = "local";
  pool.pool = "cpu";
  both.region = "local";
  both.pool = "cpu";
  const Wall now = at("2026-11-20T02:00:00Z");
  auto chosen = [&](std::vector<PriceVersion> versions) { return book_of(std::move(versions)).version_at(kKey, now)->id; };
  EXPECT_EQ(chosen({general, region, pool, both}), 4);
  EXPECT_EQ(chosen({general, region, pool}), 2);
  EXPECT_EQ(chosen({general, pool}), 3);
  EXPECT_EQ(chosen({general}), 1);
  pool.pool = "h200";
  EXPECT_EQ(chosen({general, pool}), 1);
}

TEST(PriceBook, AdmissionDecidesWhereTheVersionSaysSo) {
  PriceVersion version = tide();
  version.basis = Basis::kAdmittedAt;
  const PriceBook book = book_of({version});
  const Instants across{at("2026-11-23T00:59:59Z"), at("2026-11-23T01:00:00Z"), at("2026-11-23T01:00:01Z")};
  EXPECT_EQ(book.rate(kKey, across, {0, 0, 1})->band, "offpeak");
  version.basis = Basis::kStartedAt;
  EXPECT_EQ(book_of({version}).rate(kKey, across, {0, 0, 1})->band, "peak");
}

TEST(PriceBook, AGivenVersionMustCoverItsInstant) {
  PriceVersion old = tide(1);
  old.effective_to = at("2026-06-01T00:00:00Z");
  const PriceBook book = book_of({old});
  const auto rated = book.rate(*book.find(1), Instants::all_at(at("2026-06-01T00:00:00Z")), {});
  ASSERT_FALSE(rated);
  EXPECT_EQ(rated.error().reason, "price_not_in_force");
  EXPECT_TRUE(book.rate(*book.find(1), Instants::all_at(at("2026-05-31T23:59:59.999999Z")), {}));
}

TEST(PriceBook, DoubtAboutTheClockFavoursTheCustomer) {
  const PriceBook book = book_of({tide()});
  Instants instants = Instants::all_at(at("2026-11-23T01:00:00.049Z"));
  instants.clock_error = std::chrono::milliseconds(50);
  const auto rated = book.rate(kKey, instants, {0, 0, 1});
  ASSERT_TRUE(rated);
  EXPECT_EQ(rated->band, "offpeak");
  EXPECT_EQ(rated->priced_at, at("2026-11-23T00:59:59.999Z"));
  instants.completed = at("2026-11-23T01:00:00.051Z");
  EXPECT_EQ(book.rate(kKey, instants, {0, 0, 1})->band, "peak");
  instants.clock_error = seconds(2);
  EXPECT_EQ(book.rate(kKey, instants, {0, 0, 1}).error().reason, "clock_error");
}

TEST(PriceBook, WorstCaseTakesTheDearestBandUntilTheDeadline) {
  const PriceBook book = book_of({tide()});
  const Wall before = at("2026-11-23T00:59:30Z");
  EXPECT_EQ(book.worst_case(kKey, before, before + seconds(29), 10, 5)->pico(), 10 * 200 + 5 * 400);
  EXPECT_EQ(book.worst_case(kKey, before, before + seconds(30), 10, 5)->pico(), 10 * 600 + 5 * 1200);
}

TEST(PriceBook, WorstCaseMatchesThePublishedHold) {
  // RV-083: 12,345 prompt tokens and 4,096 completion tokens, admitted 30 s before the peak of deepseek-flash.
  PriceVersion version = tide();
  version.schedules[0] = flat("offpeak", 3000, 150000, 600000);
  version.schedules[1] = windowed(flat("peak", 6000, 300000, 1200000), "Asia/Shanghai", kWorkdays, {"09:00-12:00"});
  const Wall admitted = at("2026-11-23T00:59:30Z");
  const auto hold = book_of({version}).worst_case(kKey, admitted, admitted + seconds(600), 12345, 4096);
  ASSERT_TRUE(hold);
  EXPECT_EQ(hold->to_string(), "0.0086187");
}

TEST(PriceBook, WorstCaseSeesScheduledVersions) {
  PriceVersion now = tide(1), next = tide(2);
  now.effective_to = next.effective_from = at("2026-11-22T12:00:00Z");
  next.schedules = {flat("standard", 9000, 9000, 9000)};
  const PriceBook book = book_of({now, next});
  const Wall from = at("2026-11-22T11:55:00Z");
  EXPECT_EQ(book.worst_case(kKey, from, from + minutes(4), 1, 0)->pico(), 200);
  EXPECT_EQ(book.worst_case(kKey, from, from + minutes(5), 1, 0)->pico(), 9000);
}

TEST(PriceBook, WorstCaseRefusesAPriceThatEndsBeforeTheDeadline) {
  PriceVersion version = tide();
  version.effective_to = at("2026-11-22T12:00:00Z");
  const PriceBook book = book_of({version});
  const Wall from = at("2026-11-22T11:55:00Z");
  EXPECT_TRUE(book.worst_case(kKey, from, from + minutes(4), 1, 1));
  EXPECT_EQ(book.worst_case(kKey, from, from + minutes(5), 1, 1).error().reason, "price_missing");
}

TEST(PriceBook, WorstCaseIsNeverBelowAnyCompletionWithin) {
  const PriceBook book = book_of({tide()});
  const Wall start = at("2026-11-20T00:00:00Z");
  for (int from_min = 0; from_min < 4 * 24 * 60; from_min += 37) {
    const Wall from = start + minutes(from_min);
    const Wall until = from + minutes(45);
    const Money bound = *book.worst_case(kKey, from, until, 1000, 1000);
    for (int s = 0; s <= 45 * 60; s += 300) {
      Instants instants{from, from, from + seconds(s)};
      EXPECT_LE(book.rate(kKey, instants, {500, 500, 1000})->total, bound) << format_rfc3339(instants.completed);
    }
  }
}

TEST(PriceBook, NextChangeWalksOverWeekendsAndHolidays) {
  PriceVersion version = tide();
  version.schedules[1].exclude_calendar = "CN-2026";
  Calendar holidays{"CN-2026", 0, {}};
  for (int day = 1; day <= 7; ++day) holidays.days.push_back(parse_date("2026-10-0" + std::to_string(day)).value());
  const PriceBook book = book_of({version}, {holidays});
  const PriceVersion& only = book.versions().front();
  EXPECT_EQ(book.next_change(only, at("2026-11-20T02:00:00Z")), at("2026-11-20T04:00:00Z"));  // 12:00 Beijing
  EXPECT_EQ(book.next_change(only, at("2026-11-20T10:00:00Z")), at("2026-11-23T01:00:00Z"));  // Friday 18:00 to Monday
  EXPECT_EQ(book.next_change(only, at("2026-09-30T10:00:00Z")), at("2026-10-08T01:00:00Z"));  // over National Day
}

TEST(PriceBook, NextChangeIsTheEndOfAFlatVersion) {
  PriceVersion version = tide();
  version.schedules = {flat("standard", 1, 2, 3)};
  const PriceBook open = book_of({version});
  EXPECT_EQ(open.next_change(open.versions().front(), version.effective_from), std::nullopt);
  version.effective_to = at("2027-01-01T00:00:00Z");
  const PriceBook book = book_of({version});
  EXPECT_EQ(book.next_change(book.versions().front(), version.effective_from), version.effective_to);
}

TEST(PriceBook, WindowsMayFillTheWeekWithoutADefault) {
  PriceVersion version = tide();
  version.schedules = {windowed(flat("day", 1, 2, 3), "Europe/Berlin", kEveryDay, {"06:00-22:00"}),
                       windowed(flat("night", 1, 1, 1), "Europe/Berlin", kEveryDay, {"22:00-06:00"})};
  const PriceBook book = book_of({version});
  EXPECT_EQ(band_at(book, "2026-10-25T04:59:59Z"), "night");
  EXPECT_EQ(band_at(book, "2026-10-25T05:00:00Z"), "day");
}

TEST(PriceBook, ScheduleAtIsCheap) {
  const PriceBook book = book_of({tide()});
  const PriceVersion& version = book.versions().front();
  const SystemClock clock;
  const Mono start = clock.mono();
  int peaks = 0;
  constexpr int kRounds = 100'000;
  for (int i = 0; i < kRounds; ++i) peaks += book.schedule_at(version, version.effective_from + minutes(i)).name == "peak";
  const auto each = (clock.mono() - start) / kRounds;
  RecordProperty("schedule_at_ns", static_cast<int>(each.count()));
  EXPECT_GT(peaks, 0);
  EXPECT_LT(each, std::chrono::microseconds(50));  // generous: sanitizers and busy machines; Release needs about 0.1 us
}

TEST(Meter, NamesRoundTrip) {
  for (const Meter meter : kMeters) EXPECT_EQ(parse_meter(meter_name(meter)), meter);
  EXPECT_FALSE(parse_meter("input"));
}

TEST(Meter, UsageMustAddUp) {
  EXPECT_EQ(TokenCounts::from_usage(10, 4, 3, 3).value(), (TokenCounts{4, 6, 3}));
  EXPECT_EQ(TokenCounts::from_usage(100, 101, 1, 0).error().field, "cached_tokens");
  EXPECT_EQ(TokenCounts::from_usage(1, 0, 10, 11).error().field, "reasoning_tokens");
  EXPECT_FALSE(TokenCounts::from_usage(-1, -1, 0, 0));
  EXPECT_FALSE(TokenCounts::from_usage(0, 0, -1, -1));
}

TEST(Basis, NamesRoundTrip) {
  for (const Basis basis : {Basis::kCompletedAt, Basis::kAdmittedAt, Basis::kStartedAt}) {
    EXPECT_EQ(parse_basis(basis_name(basis)), basis);
  }
}

}  // namespace
}  // namespace tidegate::price::price_book_test
