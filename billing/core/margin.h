#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/money.h"
#include "base/core/result.h"

/// Revenue against the cost of the accelerators that earned it. Integers and exact splits: the rows of a report sum to
/// what was charged and what was paid, to the pico.
namespace tidegate::billing {

/// A rollup of what was charged.
struct UsageHour {
  Wall hour;
  std::string region, pool, model, band;
  Int128 tokens = 0;
  Int128 work = 0;  ///< tokens that had to be computed: cache misses and output. Hits cost next to nothing
  Money revenue;    ///< as charged, discounts included
  Money list;       ///< before them
};

/// Accelerators that stood in a pool for an hour.
struct CostHour {
  Wall hour;
  std::string region, pool;
  std::string model;                    ///< that they served; "" = shared by the pool's models
  std::int64_t accelerators_micro = 0;  ///< 1.5 accelerators = 1,500,000
  std::int64_t micro_per_hour = 0;      ///< price of one accelerator for an hour, in micro-units of the currency
  /// micro-accelerators x micro-units = pico-units: exact.
  Money cost() const { return Money::from_pico(Int128(accelerators_micro) * micro_per_hour); }
};

enum class MarginBy : std::uint8_t { kModel, kHour, kBand };
std::optional<MarginBy> parse_margin_by(std::string_view name);

struct MarginRow {
  std::string model;
  std::optional<Wall> hour;         ///< by hour only
  std::optional<std::string> band;  ///< by band only; "" = of hours without work
  Int128 tokens = 0;
  Int128 accelerator_micro_hours = 0;
  Money revenue, list, cost;
  Money margin() const { return revenue - cost; }
};
struct MarginReport {
  std::vector<MarginRow> rows;  ///< by hour, model, band
  MarginRow total;              ///< idle cost included
  Money idle;                   ///< of shared pools in hours in which nothing was computed
};
/// The cost of a pool's hour goes to the model that it is assigned to, or to the models of the pool in proportion to
/// their work; within a model to its bands likewise.
MarginReport margin_report(const std::vector<UsageHour>& usage, const std::vector<CostHour>& costs, MarginBy by);

/// Parts of `total` in proportion to `weights`, exact: what the division leaves goes to the largest remainders, the
/// first of equals first. Weights >= 0, not all 0; |total| < 10^12 units and the sum of weights < 10^14.
std::vector<Money> split_exactly(Money total, const std::vector<Int128>& weights);

/// (revenue - cost) / cost in percent with two decimals, half to even: "545.47". nullopt without cost.
std::optional<std::string> margin_percent(Money revenue, Money cost);

}  // namespace tidegate::billing
