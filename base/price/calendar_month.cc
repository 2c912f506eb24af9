#include "base/price/calendar_month.h"

#include <absl/time/civil_time.h>
#include <absl/time/time.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/price/local_windows.h"

namespace tidegate::price {

namespace {

constexpr int kYearMin = 1970;
constexpr int kYearMax = 9998;

/// FromCivil gives the transition for a skipped midnight and the first one for a repeated one: order is kept.
Wall first_instant(absl::CivilMonth month, const absl::TimeZone& zone) {
  return wall_from_unix_micros(absl::ToUnixMicros(absl::FromCivil(absl::CivilSecond(month), zone)));
}

CalendarMonth month_in(const absl::TimeZone& zone, absl::CivilMonth month) {
  return {fmt::format("{:04d}-{:02d}", month.year(), month.month()), first_instant(month, zone),
          first_instant(month + 1, zone)};
}

}  // namespace

Result<CalendarMonth> month_of(std::string_view zone_name, Wall instant) {
  TG_ASSIGN(const absl::TimeZone zone, load_zone(zone_name));
  return month_in(zone, absl::ToCivilMonth(absl::FromUnixMicros(unix_micros(instant)), zone));
}

Result<CalendarMonth> month_labelled(std::string_view zone_name, std::string_view label) {
  TG_ASSIGN(const absl::TimeZone zone, load_zone(zone_name));
  auto digits = [&](std::size_t from, std::size_t count) {
    int value = 0;
    for (const char c : label.substr(from, count)) value = value * 10 + (c - '0');
    return value;
  };
  const bool is_shaped =
      label.size() == 7 && label[4] == '-' &&
      std::all_of(label.begin(), label.end(),
                  [](char c) { return c == '-' || std::isdigit(static_cast<unsigned char>(c)) != 0; }) &&
      std::count(label.begin(), label.end(), '-') == 1;
  const int year = is_shaped ? digits(0, 4) : 0;
  const int month = is_shaped ? digits(5, 2) : 0;
  if (year < kYearMin || year > kYearMax || month < 1 || month > 12) {
    return fail(Code::kInvalidArgument, "bad_month", fmt::format("month \"{}\" must look like 2026-11", label),
                "month");
  }
  return month_in(zone, absl::CivilMonth(year, month));
}

Result<DayRange> day_range(std::string_view zone_name, std::int64_t day) {
  TG_ASSIGN(const absl::TimeZone zone, load_zone(zone_name));
  const absl::CivilDay date = absl::CivilDay(1970, 1, 1) + day;
  const auto first = [&](absl::CivilDay which) {
    return wall_from_unix_micros(absl::ToUnixMicros(absl::FromCivil(absl::CivilSecond(which), zone)));
  };
  return DayRange{first(date), first(date + 1)};
}

std::string day_text(std::int64_t day) {
  const absl::CivilDay date = absl::CivilDay(1970, 1, 1) + day;
  return fmt::format("{:04d}-{:02d}-{:02d}", date.year(), date.month(), date.day());
}

}  // namespace tidegate::price
