#include "gateway/money/price_wire.h"

#include <fmt/format.h>

#include <charconv>

namespace tidegate::gateway {
namespace {

Result<price::Basis> basis_from_wire(v1::PriceBasis basis) {
  switch (basis) {
    case v1::PRICE_BASIS_COMPLETED_AT: return price::Basis::kCompletedAt;
    case v1::PRICE_BASIS_ADMITTED_AT: return price::Basis::kAdmittedAt;
    case v1::PRICE_BASIS_STARTED_AT: return price::Basis::kStartedAt;
    default: return fail(Code::kInvalidArgument, "bad_price", fmt::format("unknown basis {}", static_cast<int>(basis)));
  }
}

price::MeterRates rates_from_wire(const google::protobuf::RepeatedPtrField<v1::PriceRate>& wire) {
  price::MeterRates rates;
  for (const v1::PriceRate& rate : wire) rates[rate.meter()] = Rate::from_micro_per_million(rate.micro_per_million());
  return rates;
}

price::Schedule schedule_from_wire(const v1::PriceSchedule& wire) {
  price::Schedule schedule{.name = wire.name(),
                           .is_default = wire.is_default(),
                           .tz = wire.tz(),
                           .days = {wire.days().begin(), wire.days().end()},
                           .windows = {},
                           .exclude_calendar = wire.exclude_calendar(),
                           .calendar_version = wire.calendar_version(),
                           .rates = {}};
  for (const v1::PriceWindow& window : wire.windows()) {
    schedule.windows.push_back({.start_s = window.start_s(), .end_s = window.end_s()});
  }
  schedule.rates = rates_from_wire(wire.rates());
  for (const v1::PriceTier& tier : wire.long_prompts()) {
    schedule.long_prompts.push_back({.over = tier.over(), .rates = rates_from_wire(tier.rates())});
  }
  return schedule;
}

bool parse_number(std::string_view text, int& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

Result<std::chrono::local_days> day_from_wire(const std::string& calendar, std::string_view day) {
  int year = 0;
  int month = 0;
  int date = 0;
  const bool is_shaped = day.size() == 10 && day[4] == '-' && day[7] == '-' && parse_number(day.substr(0, 4), year) &&
                         parse_number(day.substr(5, 2), month) && parse_number(day.substr(8, 2), date);
  const std::chrono::year_month_day when{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(date))};
  if (!is_shaped || !when.ok()) {
    return fail(Code::kInvalidArgument, "bad_price", fmt::format("calendar {} has the day '{}'", calendar, day));
  }
  return std::chrono::local_days(when);
}

}  // namespace

Result<price::PriceVersion> price_version_from_wire(const v1::PriceVersion& wire) {
  TG_ASSIGN(const price::Basis basis, basis_from_wire(wire.basis()));
  price::PriceVersion version{.id = wire.id(),
                              .book = wire.book(),
                              .model = wire.model(),
                              .currency = wire.currency(),
                              .region = wire.region(),
                              .pool = wire.pool(),
                              .effective_from = wall_from_unix_micros(wire.effective_from_us()),
                              .effective_to = std::nullopt,
                              .basis = basis,
                              .schedules = {},
                              .tenant = wire.tenant(),
                              .minimum_charge = {}};
  if (!wire.minimum_charge().empty()) {
    TG_ASSIGN(version.minimum_charge, Money::parse(wire.minimum_charge()));
  }
  if (wire.effective_to_us() != 0) version.effective_to = wall_from_unix_micros(wire.effective_to_us());
  for (const v1::PriceSchedule& schedule : wire.schedules()) version.schedules.push_back(schedule_from_wire(schedule));
  return version;
}

Result<price::Modifier> modifier_from_wire(const v1::PriceModifier& wire) {
  if (wire.num() < 0 || wire.den() <= 0 || wire.num() > price::kRatioTermMax || wire.den() > price::kRatioTermMax) {
    return fail(Code::kInvalidArgument, "bad_price",
                fmt::format("modifier {} has the factor {}/{}", wire.name(), wire.num(), wire.den()));
  }
  price::Modifier modifier{.id = wire.id(),
                           .name = wire.name(),
                           .factor = {.num = wire.num(), .den = wire.den()},
                           .tenant = wire.tenant(),
                           .model = wire.model(),
                           .effective_from = wall_from_unix_micros(wire.effective_from_us()),
                           .effective_to = std::nullopt};
  if (wire.effective_to_us() != 0) modifier.effective_to = wall_from_unix_micros(wire.effective_to_us());
  return modifier;
}

Result<price::Calendar> calendar_from_wire(const v1::HolidayCalendar& wire) {
  price::Calendar calendar{.id = wire.id(), .version = wire.version(), .days = {}};
  for (const std::string& text : wire.days()) {
    TG_ASSIGN(const auto day, day_from_wire(wire.id(), text));
    calendar.days.push_back(day);
  }
  for (const std::string& text : wire.workdays()) {
    TG_ASSIGN(const auto day, day_from_wire(wire.id(), text));
    calendar.workdays.push_back(day);
  }
  return calendar;
}

}  // namespace tidegate::gateway
