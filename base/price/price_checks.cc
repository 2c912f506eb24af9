#include "base/price/price_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "base/price/meter.h"

namespace tidegate::price {

namespace {

constexpr std::int32_t kDaySeconds = 86400;
constexpr std::int32_t kWeekSeconds = 7 * kDaySeconds;
constexpr auto kOverlapHorizon = std::chrono::days(800);
/// A million currency units per million tokens. Any int64 count times this stays far inside Money.
constexpr std::int64_t kRateMicroMax = 1'000'000'000'000;
constexpr std::size_t kTiersMax = 16;
/// A thousand currency units a request: above that a "minimum" is a mistake in the unit.
constexpr Money kMinimumMost = Money::from_pico(Int128{1'000'000'000'000} * 1000);
constexpr std::size_t kModifiersMax = 1000;

std::unexpected<Error> refuse(const PriceVersion& version, std::string field, std::string message) {
  return fail(Code::kInvalidArgument, "bad_price",
              fmt::format("price book \"{}\" ({} {}): {}", version.book, version.model, version.currency, message),
              std::move(field));
}

std::string path(const Schedule& schedule, std::string_view member) {
  return fmt::format("schedules[{}].{}", schedule.name, member);
}

bool is_currency(std::string_view text) {
  return text.size() == 3 && std::all_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

Status check_rates(const PriceVersion& version, const Schedule& schedule, const MeterRates& rates,
                   const std::string& member = "rates") {
  if (rates.empty()) {
    return refuse(version, path(schedule, member), "rates are empty; a missing price is not a free one");
  }
  for (const auto& [meter, rate] : rates) {
    if (!parse_meter(meter)) {
      return refuse(
          version, path(schedule, member + "." + meter),
          fmt::format("meter \"{}\" is unknown; use input_cache_hit, input_cache_miss or output", meter));
    }
    if (rate.micro_per_million() < 0) {
      return refuse(version, path(schedule, member + "." + meter), "the rate is negative; use 0 or more");
    }
    if (rate.micro_per_million() > kRateMicroMax) {
      return refuse(version, path(schedule, member + "." + meter),
                    "the rate is above 1000000 per million tokens; check the unit");
    }
  }
  for (const Meter meter : kMeters) {
    if (!rates.contains(meter_name(meter))) {
      return refuse(version, path(schedule, fmt::format("{}.{}", member, meter_name(meter))),
                    fmt::format("meter {} has no rate; write \"0\" if it is free", meter_name(meter)));
    }
  }
  return {};
}

Status check_tiers(const PriceVersion& version, const Schedule& schedule) {
  if (schedule.long_prompts.size() >= kTiersMax) {
    return refuse(version, path(schedule, "prompt_tiers"),
                  fmt::format("more than {} prompt tiers", kTiersMax));
  }
  std::int64_t before = 0;
  for (const auto& tier : schedule.long_prompts) {
    if (tier.over <= before) {
      return refuse(
          version, path(schedule, "prompt_tiers"),
          fmt::format(
              "a tier ends at {} tokens and the next at {}; up_to must be positive and grow from tier to "
              "tier",
              before, tier.over));
    }
    before = tier.over;
    TG_TRY(check_rates(version, schedule, tier.rates, fmt::format("prompt_tiers[over {}].rates", tier.over)));
  }
  return {};
}

Status check_windows(const PriceVersion& version, const Schedule& schedule, const CalendarIndex& calendars) {
  if (const auto zone = load_zone(schedule.tz); !zone) {
    return refuse(version, path(schedule, "tz"), zone.error().message);
  }
  if (schedule.days.empty()) return refuse(version, path(schedule, "days"), "no weekday; list 1 (Monday) to 7 (Sunday)");
  std::set<int> seen;
  for (const int day : schedule.days) {
    if (day < 1 || day > 7) {
      return refuse(version, path(schedule, "days"), fmt::format("weekday {} does not exist; use 1 (Monday) to 7", day));
    }
    if (!seen.insert(day).second) return refuse(version, path(schedule, "days"), fmt::format("weekday {} is listed twice", day));
  }
  if (schedule.windows.empty()) {
    return refuse(version, path(schedule, "windows"), "no window; add one or make the schedule the default");
  }
  for (const auto& window : schedule.windows) {
    if (window.start_s < 0 || window.start_s >= kDaySeconds || window.end_s < 0 || window.end_s > kDaySeconds) {
      return refuse(version, path(schedule, "windows"),
                    fmt::format("window {}..{} s is outside the day; use 00:00 to 24:00", window.start_s, window.end_s));
    }
  }
  if (!schedule.exclude_calendar.empty() &&
      !calendars.contains({schedule.exclude_calendar, schedule.calendar_version})) {
    return refuse(version, path(schedule, "exclude_calendar"),
                  fmt::format("calendar \"{}\" version {} is unknown; publish it with the prices",
                              schedule.exclude_calendar, schedule.calendar_version));
  }
  return {};
}

/// [start, end) within a week that starts on Monday 00:00, split where it passes the week's end.
struct WeekSpan {
  std::int32_t start;
  std::int32_t end;
  const Schedule* owner;
};

std::vector<WeekSpan> week_spans(const PriceVersion& version) {
  std::vector<WeekSpan> spans;
  for (const auto& schedule : version.schedules) {
    if (schedule.is_default) continue;
    for (const int day : schedule.days) {
      for (const auto& window : schedule.windows) {
        std::int32_t start = (day - 1) * kDaySeconds;
        std::int32_t length = kDaySeconds;
        if (window.start_s != window.end_s) {
          start += window.start_s;
          length = (window.end_s - window.start_s + kDaySeconds) % kDaySeconds;
          if (length == 0) length = kDaySeconds;  // 00:00-24:00
        }
        const std::int32_t end = start + length;
        spans.push_back({start, std::min(end, kWeekSeconds), &schedule});
        if (end > kWeekSeconds) spans.push_back({0, end - kWeekSeconds, &schedule});
      }
    }
  }
  std::sort(spans.begin(), spans.end(), [](const auto& a, const auto& b) { return a.start < b.start; });
  return spans;
}

std::set<std::string> zones_of(const PriceVersion& version) {
  std::set<std::string> zones;
  for (const auto& schedule : version.schedules) {
    if (!schedule.is_default) zones.insert(schedule.tz);
  }
  return zones;
}

std::unexpected<Error> overlap(const PriceVersion& version, const Schedule& a, const Schedule& b, std::string when) {
  return refuse(version, path(b, "windows"),
                fmt::format("bands \"{}\" and \"{}\" overlap {}; an instant has one price: shorten one of them", a.name,
                            b.name, when));
}

Status check_default(const PriceVersion& version) {
  int defaults = 0;
  bool has_calendar = false;
  for (const auto& schedule : version.schedules) {
    defaults += schedule.is_default ? 1 : 0;
    has_calendar |= !schedule.exclude_calendar.empty();
  }
  if (defaults == 1) return {};
  if (defaults > 1) return refuse(version, "schedules", "two schedules are the default; keep one");
  std::int32_t covered = 0;
  for (const auto& span : week_spans(version)) covered += span.end - span.start;
  if (has_calendar || zones_of(version).size() != 1 || covered < kWeekSeconds) {
    return refuse(version, "schedules", "the windows leave gaps and no schedule is the default; add \"default\": true");
  }
  return {};
}

/// When in a request's life a basis decides.
int order_of(Basis basis) {
  switch (basis) {
    case Basis::kAdmittedAt: return 0;
    case Basis::kStartedAt: return 1;
    case Basis::kCompletedAt: return 2;
  }
  return 0;
}

}  // namespace

Status check_version(const PriceVersion& version, const CalendarIndex& calendars) {
  if (version.book.empty()) return refuse(version, "id", "the price book has no id");
  if (version.model.empty()) return refuse(version, "models", "the model's name is empty");
  if (!is_currency(version.currency)) {
    return refuse(version, "currency", fmt::format("currency \"{}\" is not three capital letters", version.currency));
  }
  if (version.effective_to && *version.effective_to <= version.effective_from) {
    return refuse(version, "effective_to", "effective_to must be after effective_from");
  }
  if (version.minimum_charge.is_negative() || kMinimumMost < version.minimum_charge) {
    return refuse(version, "minimum_charge",
                  fmt::format("minimum_charge {} is outside 0 to {} a request; check the unit",
                              version.minimum_charge.to_string(), kMinimumMost.to_string()));
  }
  if (version.schedules.empty()) return refuse(version, "schedules", "there is no schedule; add a default one with rates");
  std::set<std::string_view> names;
  for (const auto& schedule : version.schedules) {
    if (schedule.name.empty()) return refuse(version, "schedules.name", "a schedule has no name");
    if (!names.insert(schedule.name).second) {
      return refuse(version, path(schedule, "name"), "two schedules have this name");
    }
    TG_TRY(check_rates(version, schedule, schedule.rates));
    TG_TRY(check_tiers(version, schedule));
    if (!schedule.is_default) {
      TG_TRY(check_windows(version, schedule, calendars));
    } else if (!schedule.windows.empty() || !schedule.days.empty() || !schedule.exclude_calendar.empty()) {
      return refuse(version, path(schedule, "windows"), "the default schedule applies when nothing else does and has no windows, days or calendar");
    }
  }
  return check_default(version);
}

Status check_overlaps(const PriceVersion& version, const std::vector<LocalWindows>& windows) {
  auto check_between = [&](Wall from, Wall last) -> Status {
    from = std::max(from, version.effective_from);
    last = std::min(last, version.effective_to.value_or(Wall::max()));
    if (last < from) return {};
    std::vector<Wall> boundaries{from};
    for (std::size_t i = 0; i < windows.size(); ++i) {
      if (!version.schedules[i].is_default) windows[i].append_boundaries(from, last, boundaries);
    }
    for (const Wall instant : boundaries) {
      const Schedule* claimed = nullptr;
      for (std::size_t i = 0; i < windows.size(); ++i) {
        if (version.schedules[i].is_default || !windows[i].contains(instant)) continue;
        if (claimed != nullptr)
          return overlap(version, *claimed, version.schedules[i], "at " + format_rfc3339(instant));
        claimed = &version.schedules[i];
      }
    }
    return {};
  };
  // A working day breaks the rhythm of the week wherever it lies; three days around it see every window it
  // moves.
  for (const auto& schedule : windows) {
    for (const std::int64_t day : schedule.workdays()) {
      const Wall midnight{std::chrono::days(day)};
      TG_TRY(check_between(midnight - std::chrono::days(2), midnight + std::chrono::days(3)));
    }
  }
  if (zones_of(version).size() <= 1) {
    const auto spans = week_spans(version);
    for (std::size_t i = 1; i < spans.size(); ++i) {
      const auto& before = spans[i - 1];
      if (spans[i].start < before.end) {
        return overlap(version, *before.owner, *spans[i].owner, fmt::format("on weekday {}", spans[i].start / kDaySeconds + 1));
      }
    }
    return {};
  }
  // Different zones shift against each other with summer time: look at every boundary there is.
  return check_between(version.effective_from, version.effective_from + kOverlapHorizon);
}

Status check_calendar(const Calendar& calendar) {
  auto refuse_calendar = [&](std::string message) {
    return fail(Code::kInvalidArgument, "bad_price", fmt::format("calendar \"{}\": {}", calendar.id, message),
                "calendars." + calendar.id);
  };
  if (calendar.id.empty()) return refuse_calendar("has no id");
  if (calendar.days.size() + calendar.workdays.size() > kCalendarDaysMax) {
    return refuse_calendar(fmt::format("more than {} dates; split it by years", kCalendarDaysMax));
  }
  std::set<std::chrono::local_days> seen(calendar.days.begin(), calendar.days.end());
  for (const auto day : calendar.workdays) {
    if (!seen.insert(day).second) {
      return refuse_calendar(
          fmt::format("{} is listed as a working day and again; a day is one of both", format_date(day)));
    }
  }
  return {};
}

Status check_modifiers(const std::vector<Modifier>& modifiers) {
  auto refuse_modifier = [](const Modifier& modifier, std::string field, std::string_view message) {
    return fail(Code::kInvalidArgument, "bad_price",
                fmt::format("modifier \"{}\": {}", modifier.name, message), std::move(field));
  };
  if (modifiers.size() > kModifiersMax) {
    return refuse_modifier(modifiers.front(), "modifiers",
                           fmt::format("more than {} modifiers", kModifiersMax));
  }
  std::set<std::int64_t> ids;
  for (const auto& modifier : modifiers) {
    const Ratio& factor = modifier.factor;
    if (modifier.name.empty()) return refuse_modifier(modifier, "modifiers.name", "has no name");
    if (modifier.id != 0 && !ids.insert(modifier.id).second)
      return refuse_modifier(modifier, "modifiers", "its id is used twice");
    if (modifier.effective_to && *modifier.effective_to <= modifier.effective_from) {
      return refuse_modifier(modifier, "modifiers.effective_to", "effective_to must be after effective_from");
    }
    if (factor.den < 1 || factor.num < 0 || factor.num > kRatioTermMax || factor.den > kRatioTermMax ||
        factor.num > kRatioMost * factor.den) {
      return refuse_modifier(
          modifier, "modifiers.factor",
          fmt::format("factor {} must lie between 0 and {}, with terms up to {} and a denominator above 0",
                      factor.to_string(), kRatioMost, kRatioTermMax));
    }
    // Whatever meets at some instant meets where the last of them begins.
    int at_once = 0;
    for (const auto& other : modifiers) {
      const bool may_meet =
          (other.tenant.empty() || modifier.tenant.empty() || other.tenant == modifier.tenant) &&
          (other.model.empty() || modifier.model.empty() || other.model == modifier.model);
      if (may_meet && other.covers(modifier.effective_from)) ++at_once;
    }
    if (at_once > kModifiersAtOnceMax) {
      return refuse_modifier(modifier, "modifiers.effective_from",
                             fmt::format("{} modifiers would meet here, at most {} may; end one first",
                                         at_once, kModifiersAtOnceMax));
    }
  }
  return {};
}

Status check_timeline(const std::vector<PriceVersion>& versions) {
  std::set<std::int64_t> ids;
  std::vector<const PriceVersion*> sorted;
  for (const auto& version : versions) {
    if (version.id != 0 && !ids.insert(version.id).second) {
      return refuse(version, "id", fmt::format("version id {} is used twice", version.id));
    }
    sorted.push_back(&version);
  }
  auto key = [](const PriceVersion& v) { return std::tie(v.model, v.currency, v.region, v.pool, v.tenant); };
  std::sort(sorted.begin(), sorted.end(), [&](const auto* a, const auto* b) {
    return key(*a) != key(*b) ? key(*a) < key(*b) : a->effective_from < b->effective_from;
  });
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    const auto& before = *sorted[i - 1];
    const auto& after = *sorted[i];
    if (key(before) != key(after)) continue;
    if (!before.effective_to || *before.effective_to > after.effective_from) {
      return refuse(after, "effective_from",
                    fmt::format("overlaps price book \"{}\", which is in force until {}; end that one first",
                                before.book,
                                before.effective_to ? format_rfc3339(*before.effective_to) : "further notice"));
    }
    if (*before.effective_to == after.effective_from && order_of(after.basis) < order_of(before.basis)) {
      return refuse(after, "basis",
                    fmt::format("\"{}\" decides by {} and this one by {}: a request across the switch would be priced by "
                                "neither; keep the basis",
                                before.book, basis_name(before.basis), basis_name(after.basis)));
    }
  }
  return {};
}

}  // namespace tidegate::price
