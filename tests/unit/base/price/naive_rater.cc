#include "tests/unit/base/price/naive_rater.h"

#include <absl/time/time.h>

#include <algorithm>

namespace tidegate::price {

namespace {

int iso_weekday(absl::CivilDay day) {
  return static_cast<int>(absl::GetWeekday(day)) + 1;  // absl counts from Monday = 0
}

using DatesOf = std::vector<std::chrono::local_days> Calendar::*;

bool is_listed(const Schedule& schedule, const std::vector<Calendar>& calendars, absl::CivilDay day,
               DatesOf dates) {
  const auto number = day - absl::CivilDay(1970, 1, 1);
  for (const auto& calendar : calendars) {
    if (calendar.id != schedule.exclude_calendar) continue;
    for (const auto date : calendar.*dates) {
      if (date.time_since_epoch().count() == number) return true;
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

std::string_view mistake_name(Mistake mistake) {
  switch (mistake) {
    case Mistake::kNone:
      return "none";
    case Mistake::kEffectiveToInclusive:
      return "effective_to inclusive";
    case Mistake::kWindowEndInclusive:
      return "window end inclusive";
    case Mistake::kStartDecides:
      return "the start decides";
    case Mistake::kLatestBookForAll:
      return "latest book for history";
    case Mistake::kNoWeekdays:
      return "no weekday";
    case Mistake::kNoHolidays:
      return "no holidays";
    case Mistake::kDateFromUtc:
      return "weekday and holiday from UTC";
    case Mistake::kWholeHours:
      return "hour-granular windows";
    case Mistake::kNoWrap:
      return "no midnight wrap";
    case Mistake::kWrapBelongsToEndDay:
      return "wrap counted to the wrong day";
    case Mistake::kFixedOffset:
      return "fixed offset instead of zone";
    case Mistake::kMultiplier:
      return "multiplier instead of rates";
    case Mistake::kYuanFromDollars:
      return "CNY = USD x 6.8182";
    case Mistake::kNanoLedger:
      return "nano ledger";
    case Mistake::kDoubles:
      return "double";
    case Mistake::kDoubleModifiers:
      return "modifiers in double";
    case Mistake::kTruncatedModifiers:
      return "modifiers truncate";
    case Mistake::kFirstModifierOnly:
      return "only the first modifier";
    case Mistake::kTierByMissesOnly:
      return "prompt tier by misses only";
    case Mistake::kTierForTheRestOnly:
      return "prompt tier for the rest only";
    case Mistake::kMinimumForNothing:
      return "minimum for a failed request";
    case Mistake::kErrorTwiceAsWide:
      return "clock error twice as wide";
    case Mistake::kHoldAtAdmissionPrice:
      return "hold at the admission price";
    case Mistake::kUncheckedCounts:
      return "counts unchecked";
  }
  return "";
}

Result<TokenCounts> NaiveRater::counts(std::int64_t prompt, std::int64_t cached, std::int64_t completion,
                                       std::int64_t reasoning) {
  if (mistake_ == Mistake::kUncheckedCounts) return TokenCounts{cached, prompt - cached, completion};
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
    const int weekday = is_listed(schedule, calendars, day, &Calendar::workdays) ? 1 : iso_weekday(day);
    const bool is_day = std::find(days.begin(), days.end(), weekday) != days.end();
    return (is_day || mistake_ == Mistake::kNoWeekdays) &&
           (mistake_ == Mistake::kNoHolidays || !is_listed(schedule, calendars, day, &Calendar::days));
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

Result<const Schedule*> NaiveRater::band_at(const PriceVersion& version, Wall instant) {
  const Schedule* schedule = nullptr;
  for (const auto& candidate : version.schedules) {
    if (candidate.is_default) {
      if (schedule == nullptr) schedule = &candidate;
      continue;
    }
    TG_ASSIGN(const bool inside, is_inside(candidate, calendars_, instant));
    if (inside) schedule = &candidate;
  }
  return schedule;
}

MeterRates NaiveRater::rates_of(const PriceKey& key, const PriceVersion& version, const Schedule& schedule,
                                Wall instant, const TokenCounts& tokens) const {
  const std::int64_t prompt = mistake_ == Mistake::kTierByMissesOnly ? tokens.miss : tokens.hit + tokens.miss;
  MeterRates rates = schedule.rates;
  for (const auto& tier : schedule.long_prompts) {
    if (prompt > tier.over) rates = tier.rates;
  }
  const Schedule& list = version.schedules.front();
  if (mistake_ == Mistake::kMultiplier && &schedule != &list) {
    // "75 % off": the yuan list gives the factor for the dollar one.
    const PriceVersion* yuan = find({key.model, "CNY", "", ""}, instant);
    for (std::size_t i = 0; yuan != nullptr && i < version.schedules.size(); ++i) {
      if (version.schedules[i].name != schedule.name) continue;
      for (auto& [meter, rate] : rates) {
        const auto off = yuan->schedules[i].rates.find(meter)->second.micro_per_million();
        const auto full = yuan->schedules.front().rates.find(meter)->second.micro_per_million();
        rate = Rate::from_micro_per_million(list.rates.find(meter)->second.micro_per_million() * off / full);
      }
    }
  }
  if (mistake_ == Mistake::kYuanFromDollars && key.currency == "CNY") {
    const PriceVersion* dollars = find({key.model, "USD", "", ""}, instant);
    for (std::size_t i = 0; dollars != nullptr && i < dollars->schedules.size(); ++i) {
      const auto& from = dollars->schedules[i];
      if (from.name != schedule.name) continue;
      for (auto& [meter, rate] : rates) {
        rate = Rate::from_micro_per_million(from.rates.find(meter)->second.micro_per_million() * 68182 / 10000);
      }
    }
  }
  return rates;
}

Money NaiveRater::line_amount(std::int64_t quantity, Rate rate) const {
  Int128 num = static_cast<Int128>(quantity) * rate.micro_per_million();
  Int128 den = 1;
  double factor = 1;
  for (std::size_t i = 0; i < modifiers_.size(); ++i) {
    if (mistake_ == Mistake::kFirstModifierOnly && i > 0) break;
    num *= modifiers_[i].factor.num;
    den *= modifiers_[i].factor.den;
    factor = factor * static_cast<double>(modifiers_[i].factor.num) /
             static_cast<double>(modifiers_[i].factor.den);
  }
  if (mistake_ == Mistake::kDoubleModifiers) {
    const double price = static_cast<double>(rate.micro_per_million()) / 1e6 * factor / 1e6;
    return Money::from_pico(static_cast<Int128>(price * static_cast<double>(quantity) * 1e12));
  }
  Int128 pico = num / den;
  const Int128 rest = num % den;
  const bool is_up = 2 * rest > den || (2 * rest == den && pico % 2 == 1);
  if (is_up && mistake_ != Mistake::kTruncatedModifiers) ++pico;
  if (mistake_ == Mistake::kNanoLedger) pico = pico / 1000 * 1000;
  if (mistake_ == Mistake::kDoubles) {
    pico = static_cast<Int128>(static_cast<double>(quantity) * static_cast<double>(rate.micro_per_million()));
  }
  return Money::from_pico(pico);
}

Result<RatedRequest> NaiveRater::rate_at(const PriceKey& key, Wall instant, const TokenCounts& tokens) {
  const PriceVersion* version = find(key, instant);
  if (version == nullptr) return fail(Code::kFailedPrecondition, "price_missing", "none");
  TG_ASSIGN(const Schedule* schedule, band_at(*version, instant));
  const MeterRates rates = rates_of(key, *version, *schedule, instant, tokens);
  RatedRequest rated{version->id, version->book, schedule->name, instant};
  for (std::size_t i = 0; i < kMeterCount; ++i) {
    auto& line = rated.lines[i];
    const Rate rate = rates.find(meter_name(kMeters[i]))->second;
    line = {kMeters[i], tokens.of(kMeters[i]), rate, line_amount(tokens.of(kMeters[i]), rate)};
    if (mistake_ == Mistake::kTierForTheRestOnly && !schedule->long_prompts.empty() &&
        kMeters[i] == Meter::kInputCacheMiss) {
      const std::int64_t first = std::min(line.quantity, schedule->long_prompts.front().over);
      line.amount = line_amount(first, schedule->rates.find("input_cache_miss")->second) +
                    line_amount(line.quantity - first, rate);
    }
    rated.total += line.amount;
  }
  const bool is_used =
      tokens.hit + tokens.miss + tokens.output > 0 || mistake_ == Mistake::kMinimumForNothing;
  if (is_used) rated.total = std::max(rated.total, version->minimum_charge);
  return rated;
}

Result<RatedRequest> NaiveRater::rate(const PriceKey& key, Basis basis, const Instants& instants,
                                      const TokenCounts& tokens) {
  const Wall instant = mistake_ == Mistake::kStartDecides ? instants.started : instants.at(basis);
  auto best = rate_at(key, instant, tokens);
  const auto error = instants.clock_error * (mistake_ == Mistake::kErrorTwiceAsWide ? 2 : 1);
  for (const auto shift : {-error, error}) {
    auto other = rate_at(key, instant + shift, tokens);
    if (other && (!best || other->total < best->total)) best = std::move(other);
  }
  return best;
}

Result<RatedRequest> NaiveRater::rate_with(std::vector<PriceVersion> versions,
                                           std::vector<Modifier> modifiers, const PriceKey& key,
                                           const Instants& instants, const TokenCounts& tokens) {
  NaiveRater other(mistake_);
  other.versions_ = std::move(versions);
  other.modifiers_ = std::move(modifiers);
  return other.rate(key, Basis::kCompletedAt, instants, tokens);
}

Result<Money> NaiveRater::worst_case(const PriceKey& key, Wall from, Wall until,
                                     std::int64_t prompt_tokens_max, std::int64_t completion_tokens_max) {
  Money most;
  if (mistake_ == Mistake::kHoldAtAdmissionPrice) until = from;
  for (Wall instant = from; instant <= until; instant += std::chrono::seconds(1)) {
    TG_ASSIGN(const auto rated, rate_at(key, instant, {0, prompt_tokens_max, completion_tokens_max}));
    most = std::max(most, rated.total);
  }
  return most;
}

}  // namespace tidegate::price
