#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/result.h"

namespace tidegate::price {

/// A half-open range of instants that begins and ends at local midnight of the first of a month.
struct CalendarMonth {
  std::string label;  ///< "2026-11", on the zone's calendar
  Wall begin;
  Wall end;
  bool operator==(const CalendarMonth&) const = default;
};

/// The month of `zone` that holds `instant`. Midnight is found by the zone's rules of that day, so a month with a
/// change to or from summer time is an hour shorter or longer; where the change skips midnight itself, the month
/// begins at the first instant that exists. Consecutive months meet without gap or overlap.
/// Fails: invalid_argument/bad_price for an unknown zone.
Result<CalendarMonth> month_of(std::string_view zone, Wall instant);

/// The month with a label such as "2026-11". Fails: invalid_argument/{bad_month, bad_price}.
Result<CalendarMonth> month_labelled(std::string_view zone, std::string_view label);

/// A local day, named by its number since 1970-01-01, as instants: 23 to 25 hours long where the clock changes.
struct DayRange {
  Wall begin;
  Wall end;
};
/// Fails: invalid_argument/bad_price for an unknown zone.
Result<DayRange> day_range(std::string_view zone, std::int64_t day);

/// "2026-11-03" of a day number.
std::string day_text(std::int64_t day);

}  // namespace tidegate::price
