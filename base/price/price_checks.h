#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/core/result.h"
#include "base/price/local_windows.h"
#include "base/price/modifier.h"
#include "base/price/price_version.h"

/// What makes a price list unfit to publish. Every Error is invalid_argument/bad_price and names book, field and fix.
namespace tidegate::price {

using CalendarIndex = std::map<std::pair<std::string, std::int32_t>, const Calendar*>;

/// No date both a holiday and a working day, none twice, at most kCalendarDaysMax.
Status check_calendar(const Calendar& calendar);
inline constexpr std::size_t kCalendarDaysMax = 4000;

/// Names, ids and ranges; at most kModifiersAtOnceMax that may meet in one request.
Status check_modifiers(const std::vector<Modifier>& modifiers);

/// Fields of a version taken one by one: names, range, days, windows, rates, calendars, at most one default, and a
/// default unless the windows of a single zone fill the whole week without holidays.
Status check_version(const PriceVersion& version, const CalendarIndex& calendars);

/// No instant of the effective range (of its first 800 days when the schedules are in different zones) is
/// claimed by two schedules, nor any around a working day of a calendar. `windows[i]` belongs to
/// `version.schedules[i]`.
Status check_overlaps(const PriceVersion& version, const std::vector<LocalWindows>& windows);

/// Between versions: unique ids, no two in force at once for the same (model, currency, region, pool,
/// tenant), no switch from a late-deciding basis to an earlier-deciding one without a gap: a request that
/// spans such a switch would be priced by neither.
Status check_timeline(const std::vector<PriceVersion>& versions);

}  // namespace tidegate::price
