#include "tests/unit/base/price/naive_rater.h"

#include <absl/time/time.h>

#include <algorithm>
#include <cmath>

namespace tidegate::price {

namespace {

int iso_weekday(absl::CivilDay day) {
  return static_cast<int>(absl::GetWeekday(day)) + 1;  // absl counts from Monday = 0
}

bool is_holiday(const Schedule& schedule, const std::vector<Calendar>& calendars, absl::CivilDay day) {
  const auto number = day - absl::CivilDay(1970, 1, 1);
  for (const auto& calendar : calendars) {
    if (calendar.id != schedule.exclude_calendar) continue;
    for (const auto holiday : calendar.days) {
      if (holiday.time_since_epoch().count() == number) return true;
    }
  }
  return false;
}

}  // namespace

Status NaiveRater::load(std::vector<PriceVersion> versions, std::vector<Calendar> calendars) {
  versions_ = std::move(versions);
  calendars_ = std::move(calendars);
  return {};
}

Result<TokenCounts> NaiveRater::counts(std::int64_t prompt, std::int64_t cached, std::int64_t completion,
                                       std::int64_t reasoning) {
  return TokenCounts::from_usage(prompt, cached, completion, reasoning);
}

const PriceVersion* NaiveRater::find(const PriceKey& key, Wall instant) const {
  const PriceVersion* latest = nullptr;
  for (const auto& version : versions_) {
    if (version.model != key.model || version.currency != key.currency) continue;
    if (mistake_ == Mistake::kLatestBookForAll) {
      if (latest == nullptr || version.effective_from > latest->effective_from) latest = &version;
      continue;
    }
    const bool is_before_end = !version.effective_to || instant < *version.effective_to ||
                               (mistake_ == Mistake::kEffectiveToInclusive && instant <= *version.effective_to);
    if (instant >= version.effective_from && is_before_end) return &version;
  }
  return latest;
}

Result<bool> NaiveRater::is_inside(const Schedule& schedule, const std::vector<Calendar>& calendars, Wall instant) {
  absl::TimeZone zone;
  if (!absl::LoadTimeZone(schedule.tz, &zone)) return fail(Code::kInvalidArgument, "bad_price", "zone");
  const absl::Time time = absl::FromUnixMicros(unix_micros(instant));
  if (mistake_ == Mistake::kFixedOffset) {
    zone = absl::FixedTimeZone(zone.At(absl::FromUnixSeconds(1767225600)).offset);  // 2026-01-01
  }
  const absl::CivilSecond local = absl::ToCivilSecond(time, zone);
  const absl::CivilDay date(mistake_ == Mistake::kDateFromUtc ? absl::ToCivilSecond(time, absl::UTCTimeZone()) : local);
  int second = local.hour() * 3600 + local.minute() * 60 + local.second();
  if (mistake_ == Mistake::kWholeHours) second = local.hour() * 3600;
  auto opens_on = [&](absl::CivilDay day) {
    const auto& days = schedule.days;
    const bool is_day = std::find(days.begin(), days.end(), iso_weekday(day)) != days.end();
    return (is_day || mistake_ == Mistake::kNoWeekdays) &&
           (mistake_ == Mistake::kNoHolidays || !is_holiday(schedule, calendars, day));
  };
  for (const auto& window : schedule.windows) {
    const int start = window.start_s;
    const int end = window.end_s;
    const bool is_before = mistake_ == Mistake::kWindowEndInclusive ? second <= end : second < end;
    if (start == end) {
      if (opens_on(date)) return true;
    } else if (start < end) {
      if (second >= start && is_before && opens_on(date)) return true;
    } else if (mistake_ != Mistake::kNoWrap) {
      const bool is_evening = second >= start;
      const int shift = mistake_ == Mistake::kWrapBelongsToEndDay ? (is_evening ? -1 : 0) : (is_evening ? 0 : 1);
      if ((is_evening || is_before) && opens_on(date - shift)) return true;
    }
  }
  return false;
}

Result<RatedRequest> NaiveRater::rate(const PriceKey& key, Basis basis, const Instants& instants,
                                      const TokenCounts& tokens) {
  const Wall instant = mistake_ == Mistake::kStartDecides ? instants.started : instants.at(basis);
  const PriceVersion* version = find(key, instant);
  if (version == nullptr) return fail(Code::kFailedPrecondition, "price_missing", "none");
  const Schedule* schedule = nullptr;
  for (const auto& candidate : version->schedules) {
    if (candidate.is_default) {
      if (schedule == nullptr) schedule = &candidate;
      continue;
    }
    TG_ASSIGN(const bool inside, is_inside(candidate, calendars_, instant));
    if (inside) schedule = &candidate;
  }
  std::map<std::string, Rate, std::less<>> rates = schedule->rates;
  if (mistake_ == Mistake::kYuanFromDollars && key.currency == "CNY") {
    const PriceVersion* dollars = find({key.model, "USD", "", ""}, instant);
    for (const auto& from : dollars->schedules) {
      if (from.name != schedule->name) continue;
      for (auto& [meter, rate] : rates) {
        rate = Rate::from_micro_per_million(from.rates.find(meter)->second.micro_per_million() * 68182 / 10000);
      }
    }
  }
  RatedRequest rated{version->id, version->book, schedule->name, instant};
  for (std::size_t i = 0; i < kMeterCount; ++i) {
    auto& line = rated.lines[i];
    line = {kMeters[i], tokens.of(kMeters[i]), rates.find(meter_name(kMeters[i]))->second, {}};
    Int128 pico = static_cast<Int128>(line.quantity) * line.rate.micro_per_million();
    if (mistake_ == Mistake::kNanoLedger) pico = pico / 1000 * 1000;
    if (mistake_ == Mistake::kDoubles) {
      pico = static_cast<Int128>(static_cast<double>(line.quantity) * static_cast<double>(line.rate.micro_per_million()));
    }
    line.amount = Money::from_pico(pico);
    rated.total += line.amount;
  }
  return rated;
}

}  // namespace tidegate::price
