#pragma once

#include <optional>
#include <pqxx/transaction>
#include <string>
#include <string_view>
#include <vector>

#include "billing/core/margin.h"

/// Cost of accelerators in PostgreSQL. Everything runs in the caller's transaction.
namespace tidegate::billing {

struct CostRate {
  std::string region, pool, currency;
  Wall from;
  std::optional<Wall> to;
  std::int64_t micro_per_hour = 0;
};
struct AcceleratorUse {
  std::string region, pool, model;
  Wall from, to;
  std::int64_t accelerators_micro = 0;
};
struct CostFile {
  std::vector<CostRate> rates;
  std::vector<AcceleratorUse> use;
};
/// The JSON of docs/api/cost_file.md; at most 10,000 entries. Fails: invalid_argument/{invalid_json, missing_field,
/// wrong_type, bad_cost}; Error::field is the member's path.
Result<CostFile> parse_cost_file(std::string_view text);

struct CostsLoaded {
  int rates_added = 0, use_added = 0, unchanged = 0;
};
/// All of it or nothing; what is there already with the same content is left alone.
/// Fails: already_exists/cost_overlaps when a range overlaps another content.
Result<CostsLoaded> load_costs(pqxx::work& tx, const CostFile& file);

struct MarginFilter {
  Wall from, to;  ///< whole hours, at most 400 days
  std::string currency;
  std::string model;  ///< "" = all
};
/// Fails: invalid_argument/bad_range, resource_exhausted/too_many_rows.
Result<MarginReport> load_margin(pqxx::work& tx, const MarginFilter& filter, MarginBy by);

}  // namespace tidegate::billing
