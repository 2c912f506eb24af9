#include "gateway/money/price_change.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace tidegate::gateway {
namespace {

constexpr std::int32_t kHour = 3'600;
const price::PriceKey kKey{.model = "m", .currency = "USD", .region = "local", .pool = "cpu", .tenant = "acme"};

price::Schedule band(std::string name) {
  price::Schedule schedule;
  schedule.name = std::move(name);
  schedule.is_default = true;
  for (const char* meter : {"input_cache_hit", "input_cache_miss", "output"}) {
    schedule.rates.emplace(meter, Rate::from_micro_per_million(100));
  }
  return schedule;
}

/// Peak on workdays from `hour` to `hour` + 3, Shanghai's time.
std::shared_ptr<const price::PriceBook> peak_from(std::int32_t hour) {
  price::Schedule peak = band("peak");
  peak.is_default = false;
  peak.tz = "Asia/Shanghai";
  peak.days = {1, 2, 3, 4, 5};
  peak.windows.push_back(price::LocalWindow{hour * kHour, (hour + 3) * kHour});
  price::PriceVersion version;
  version.id = 7;
  version.book = "tide";
  version.model = "m";
  version.currency = "USD";
  version.effective_from = parse_rfc3339("2026-01-01T00:00:00Z").value();
  version.effective_to = parse_rfc3339("2026-12-01T00:00:00Z").value();
  version.schedules = {band("offpeak"), std::move(peak)};
  return std::make_shared<const price::PriceBook>(price::PriceBook::build({std::move(version)}, {}).value());
}

TEST(PriceChanges, WhatIsRememberedIsWhatTheBookSays) {
  const auto book = peak_from(9);
  const price::PriceVersion& version = book->versions().front();
  PriceChanges changes;
  const Wall begin = parse_rfc3339("2026-11-19T00:00:00Z").value();
  for (Wall now = begin; now < *version.effective_to; now += std::chrono::minutes(10)) {
    ASSERT_EQ(changes.next(book, version, kKey, now), next_price_change(*book, version, kKey, now))
        << format_rfc3339(now);
  }
  EXPECT_EQ(changes.next(book, version, kKey, begin), next_price_change(*book, version, kKey, begin))
      << "a clock may be set back";
}

TEST(PriceChanges, ANewBookIsLookedAtAnew) {
  const auto first = peak_from(9);
  const auto second = peak_from(14);
  PriceChanges changes;
  const Wall now = parse_rfc3339("2026-11-19T00:00:00Z").value();  // Thursday, 08:00 there
  EXPECT_EQ(changes.next(first, first->versions().front(), kKey, now), parse_rfc3339("2026-11-19T01:00:00Z").value());
  EXPECT_EQ(changes.next(second, second->versions().front(), kKey, now), parse_rfc3339("2026-11-19T06:00:00Z").value());
  EXPECT_EQ(changes.next(first, first->versions().front(), kKey, now), parse_rfc3339("2026-11-19T01:00:00Z").value());
}

}  // namespace
}  // namespace tidegate::gateway
