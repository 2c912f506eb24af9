#pragma once

#include <string>
#include <vector>

#include "base/price/price_book.h"
#include "base/price/price_file.h"

/// Small price lists for tests.
namespace tidegate::price {

inline Wall at(std::string_view text) { return parse_rfc3339(text).value(); }

inline Schedule flat(std::string name, std::int64_t hit, std::int64_t miss, std::int64_t output) {
  Schedule schedule;
  schedule.name = std::move(name);
  schedule.is_default = true;
  schedule.rates = {{"input_cache_hit", Rate::from_micro_per_million(hit)},
                    {"input_cache_miss", Rate::from_micro_per_million(miss)},
                    {"output", Rate::from_micro_per_million(output)}};
  return schedule;
}

inline Schedule windowed(Schedule rates, std::string tz, std::vector<int> days, std::vector<std::string> windows) {
  rates.is_default = false;
  rates.tz = std::move(tz);
  rates.days = std::move(days);
  for (const auto& window : windows) rates.windows.push_back(parse_local_window(window).value());
  return rates;
}

inline const std::vector<int> kEveryDay = {1, 2, 3, 4, 5, 6, 7};
inline const std::vector<int> kWorkdays = {1, 2, 3, 4, 5};

/// Off-peak 100/200/400 micro, peak 300/600/1200 on Shanghai working days 09-12 and 14-18; from 2026 on.
inline PriceVersion tide(std::int64_t id = 1) {
  PriceVersion version;
  version.id = id;
  version.book = "tide";
  version.model = "m";
  version.currency = "USD";
  version.effective_from = at("2026-01-01T00:00:00Z");
  version.schedules = {flat("offpeak", 100, 200, 400),
                       windowed(flat("peak", 300, 600, 1200), "Asia/Shanghai", kWorkdays, {"09:00-12:00", "14:00-18:00"})};
  return version;
}

}  // namespace tidegate::price
