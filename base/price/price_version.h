#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/money.h"

/// The data of a price list, as published. Plain values: PriceBook::build() judges them.
namespace tidegate::price {

std::string format_date(std::chrono::local_days day);  ///< "2026-10-01"

/// Two sets of dates, read in the zone of the schedule that names them. On a holiday its windows do not open;
/// a working day (a weekend day that makes up for a holiday) counts as a Monday, whatever it is.
struct Calendar {
  std::string id;  ///< "CN-2026"
  std::int32_t version = 0;
  std::vector<std::chrono::local_days> days;           ///< holidays
  std::vector<std::chrono::local_days> workdays = {};  ///< none of them a holiday
  bool operator==(const Calendar&) const = default;
};

/// Wall-clock seconds after local midnight, half-open. end < start wraps into the next day and belongs to the day it
/// starts on; start == end is the whole local day; end may be 86400.
struct LocalWindow {
  std::int32_t start_s = 0;
  std::int32_t end_s = 0;
  bool operator==(const LocalWindow&) const = default;
};

using MeterRates = std::map<std::string, Rate, std::less<>>;  ///< by meter's wire name

/// Rates of prompts longer than `over` tokens, cached ones included. The whole request takes them.
struct PromptTier {
  std::int64_t over = 0;  ///< exclusive: a prompt of exactly `over` tokens is in the tier before
  MeterRates rates;
  bool operator==(const PromptTier&) const = default;
};

/// A band and its rates. Weekday, holiday and hour all come from `tz`: 16 hours a week differ between "Monday" in
/// Beijing and "Monday" in UTC.
struct Schedule {
  std::string name;         ///< the band: "peak"
  bool is_default = false;  ///< applies when no window matches; has no windows of its own
  std::string tz;           ///< IANA zone
  std::vector<int> days;    ///< 1 = Monday .. 7 = Sunday
  std::vector<LocalWindow> windows;
  std::string exclude_calendar;  ///< holidays and working days, or ""
  std::int32_t calendar_version = 0;
  MeterRates rates;                           ///< every meter must be there
  std::vector<PromptTier> long_prompts = {};  ///< ascending; none = `rates` hold for every length
  bool operator==(const Schedule&) const = default;
};

/// The instant of a request that decides its price.
enum class Basis : std::uint8_t { kCompletedAt, kAdmittedAt, kStartedAt };
std::string_view basis_name(Basis basis);  ///< "completed_at"
std::optional<Basis> parse_basis(std::string_view name);

/// One model's absolute rates in one currency over one range of instants.
struct PriceVersion {
  std::int64_t id = 0;  ///< given by billing when published; 0 in files
  std::string book;     ///< "ds-r1-tou"
  std::string model;
  std::string currency;  ///< "USD"
  std::string region;    ///< "" = every region
  std::string pool;      ///< "" = every pool
  Wall effective_from;
  std::optional<Wall> effective_to;  ///< exclusive; nullopt = open
  Basis basis = Basis::kCompletedAt;
  std::vector<Schedule> schedules;
  std::string tenant = {};  ///< "" = everyone; else a contract that wins over the list. Its id once published
  Money minimum_charge = {};  ///< of a request that used any token; after modifiers

  bool covers(Wall instant) const {
    return instant >= effective_from && (!effective_to || instant < *effective_to);
  }
  bool operator==(const PriceVersion&) const = default;
};

}  // namespace tidegate::price
