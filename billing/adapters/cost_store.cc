#include "billing/adapters/cost_store.h"

#include <fmt/format.h>

#include "base/json/json.h"
#include "base/pg/types.h"
#include "billing/core/account_rules.h"

namespace tidegate::billing {

namespace {

constexpr std::size_t kEntriesMax = 10'000;
constexpr std::size_t kCostNameMax = 128;
constexpr auto kRangeMax = std::chrono::hours(24 * 400);
constexpr std::int64_t kRowsMax = 500'000;

constexpr const char* kFindRate = R"sql(
  SELECT 1 FROM cost_rates WHERE region = $1 AND pool = $2 AND currency = $3
     AND effective = tstzrange($4::timestamptz, nullif($5, '')::timestamptz) AND micro_per_hour = $6)sql";
constexpr const char* kRateOverlaps = R"sql(
  SELECT 1 FROM cost_rates WHERE region = $1 AND pool = $2 AND currency = $3
     AND effective && tstzrange($4::timestamptz, nullif($5, '')::timestamptz))sql";
constexpr const char* kInsertRate = R"sql(
  INSERT INTO cost_rates (region, pool, currency, effective, micro_per_hour)
  VALUES ($1, $2, $3, tstzrange($4::timestamptz, nullif($5, '')::timestamptz), $6))sql";
constexpr const char* kFindUse = R"sql(
  SELECT 1 FROM accelerator_use WHERE region = $1 AND pool = $2 AND model = $3
     AND during = tstzrange($4::timestamptz, $5::timestamptz) AND accelerators_micro = $6)sql";
constexpr const char* kUseOverlaps = R"sql(
  SELECT 1 FROM accelerator_use WHERE region = $1 AND pool = $2 AND model = $3
     AND during && tstzrange($4::timestamptz, $5::timestamptz))sql";
constexpr const char* kInsertUse = R"sql(
  INSERT INTO accelerator_use (region, pool, model, during, accelerators_micro)
  VALUES ($1, $2, $3, tstzrange($4::timestamptz, $5::timestamptz), $6))sql";

/// From the rollup. Meters that are not tokens are discounts: they lower the revenue, not the list price.
constexpr const char* kUsageByModel = R"sql(
  SELECT (extract(epoch FROM hour) * 1000000)::bigint, region, pool, model, band,
         coalesce(sum(quantity) FILTER (WHERE meter IN ('input_cache_hit', 'input_cache_miss', 'output')), 0),
         coalesce(sum(quantity) FILTER (WHERE meter IN ('input_cache_miss', 'output')), 0), sum(amount),
         coalesce(sum(amount) FILTER (WHERE meter IN ('input_cache_hit', 'input_cache_miss', 'output')), 0)
    FROM usage_hourly WHERE hour >= $1 AND hour < $2 AND currency = $3 AND ($4 = '' OR model = $4 OR EXISTS (
           SELECT 1 FROM accelerator_use x WHERE x.model = '' AND (x.region, x.pool) = (usage_hourly.region, usage_hourly.pool)))
   GROUP BY 1, 2, 3, 4, 5 LIMIT $5)sql";
/// An hour belongs to the rate in force at its begin.
constexpr const char* kCosts = R"sql(
  SELECT (extract(epoch FROM h) * 1000000)::bigint, u.region, u.pool, u.model, u.accelerators_micro, r.micro_per_hour
    FROM accelerator_use u
   CROSS JOIN LATERAL generate_series(greatest(lower(u.during), $1::timestamptz),
                                      least(upper(u.during), $2::timestamptz) - interval '1 hour', interval '1 hour') h
    JOIN cost_rates r ON r.region = u.region AND r.pool = u.pool AND r.currency = $3 AND r.effective @> h
   WHERE u.during && tstzrange($1::timestamptz, $2::timestamptz) AND ($4 = '' OR u.model IN ('', $4)) LIMIT $5)sql";

std::unexpected<Error> bad(std::string message, std::string field) {
  return fail(Code::kInvalidArgument, "bad_cost", std::move(message), std::move(field));
}

Result<std::string> name_of(const json::object& from, std::string_view key, const std::string& path,
                            bool may_be_empty) {
  TG_ASSIGN(const auto text, json::find_string(from, key, path));
  const std::string name = text.value_or("");
  if (name.size() <= kCostNameMax && (may_be_empty || !name.empty())) return name;
  return bad(fmt::format("'{}' must be text of 1 to {} bytes", json::join_path(path, key), kCostNameMax),
             json::join_path(path, key));
}

Result<Wall> instant_of(const json::object& from, std::string_view key, const std::string& path) {
  TG_ASSIGN(const auto text, json::get_string(from, key, path));
  const auto instant = parse_rfc3339(text);
  if (instant) return *instant;
  return bad(fmt::format("'{}' must be an instant such as 2026-11-01T00:00:00Z", json::join_path(path, key)),
             json::join_path(path, key));
}

/// A decimal with at most six places, as text: what is counted in millionths.
Result<std::int64_t> micros_of(const json::object& from, std::string_view key, const std::string& path) {
  constexpr std::int64_t kMost = 1'000'000'000'000;  // a million units
  TG_ASSIGN(const auto text, json::get_string(from, key, path));
  const auto rate = Rate::parse(text);
  if (rate && rate->micro_per_million() <= kMost) return rate->micro_per_million();
  return bad(fmt::format("'{}' must be a decimal text from \"0\" to \"1000000\" with at most six places",
                         json::join_path(path, key)),
             json::join_path(path, key));
}

bool is_whole_hour(Wall instant) { return std::chrono::floor<std::chrono::hours>(instant) == instant; }

Result<CostRate> read_rate(const json::object& from, const std::string& path) {
  CostRate out;
  TG_ASSIGN(out.region, name_of(from, "region", path, false));
  TG_ASSIGN(out.pool, name_of(from, "pool", path, false));
  TG_ASSIGN(out.currency, json::get_string(from, "currency", path));
  if (!check_tenant("any", "UTC", out.currency))
    return bad(fmt::format("'{}.currency' must be three capital letters", path), path + ".currency");
  TG_ASSIGN(out.from, instant_of(from, "effective_from", path));
  TG_ASSIGN(const auto to, json::find_string(from, "effective_to", path));
  if (to) {
    TG_ASSIGN(out.to, instant_of(from, "effective_to", path));
    if (*out.to <= out.from)
      return bad(fmt::format("'{}.effective_to' must be after effective_from", path), path + ".effective_to");
  }
  TG_ASSIGN(out.micro_per_hour, micros_of(from, "per_accelerator_hour", path));
  return out;
}

Result<AcceleratorUse> read_use(const json::object& from, const std::string& path) {
  AcceleratorUse out;
  TG_ASSIGN(out.region, name_of(from, "region", path, false));
  TG_ASSIGN(out.pool, name_of(from, "pool", path, false));
  TG_ASSIGN(out.model, name_of(from, "model", path, true));
  TG_ASSIGN(out.from, instant_of(from, "from", path));
  TG_ASSIGN(out.to, instant_of(from, "to", path));
  if (out.to <= out.from || !is_whole_hour(out.from) || !is_whole_hour(out.to)) {
    return bad(fmt::format("'{}': from and to must be whole hours, to after from", path), path + ".to");
  }
  TG_ASSIGN(out.accelerators_micro, micros_of(from, "accelerators", path));
  return out;
}

/// Reads a list of objects if it is there.
template <typename Entry, typename Read>
Status read_list(const json::object& from, const char* key, std::vector<Entry>& out, Read read) {
  if (from.find(key) == from.end()) return {};
  TG_ASSIGN(const json::array* list, json::get_array(from, key));
  if (list->size() > kEntriesMax) return bad(fmt::format("'{}' may hold at most {} entries", key, kEntriesMax), key);
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("{}[{}]", key, i);
    if (!(*list)[i].is_object()) return bad(fmt::format("'{}' must be an object", path), path);
    TG_ASSIGN(auto entry, read((*list)[i].get_object(), path));
    out.push_back(std::move(entry));
  }
  return {};
}

std::unexpected<Error> overlaps(const std::string& what) {
  return fail(Code::kAlreadyExists, "cost_overlaps",
              fmt::format("{} overlaps a range that is loaded with another content", what), "file_json");
}

}  // namespace

Result<CostFile> parse_cost_file(std::string_view text) {
  TG_ASSIGN(const json::value document, json::parse(text));
  if (!document.is_object()) return bad("a cost file is a JSON object", "");
  CostFile out;
  TG_TRY(read_list(document.get_object(), "rates", out.rates, read_rate));
  TG_TRY(read_list(document.get_object(), "use", out.use, read_use));
  if (out.rates.empty() && out.use.empty()) return bad("a cost file holds \"rates\", \"use\" or both", "rates");
  return out;
}

Result<CostsLoaded> load_costs(pqxx::work& tx, const CostFile& file) {
  CostsLoaded out;
  for (const auto& rate : file.rates) {
    const std::string to = rate.to ? pg::to_sql(*rate.to) : "";
    if (!tx.exec_params(kFindRate, rate.region, rate.pool, rate.currency, pg::to_sql(rate.from), to,
                        rate.micro_per_hour)
             .empty()) {
      ++out.unchanged;
      continue;
    }
    if (!tx.exec_params(kRateOverlaps, rate.region, rate.pool, rate.currency, pg::to_sql(rate.from), to).empty()) {
      return overlaps(fmt::format("the rate of {}/{} from {}", rate.region, rate.pool, format_rfc3339(rate.from)));
    }
    tx.exec_params0(kInsertRate, rate.region, rate.pool, rate.currency, pg::to_sql(rate.from), to, rate.micro_per_hour);
    ++out.rates_added;
  }
  for (const auto& use : file.use) {
    const auto from = pg::to_sql(use.from), to = pg::to_sql(use.to);
    if (!tx.exec_params(kFindUse, use.region, use.pool, use.model, from, to, use.accelerators_micro).empty()) {
      ++out.unchanged;
      continue;
    }
    if (!tx.exec_params(kUseOverlaps, use.region, use.pool, use.model, from, to).empty()) {
      return overlaps(fmt::format("the use of {}/{} by \"{}\" from {}", use.region, use.pool, use.model, from));
    }
    tx.exec_params0(kInsertUse, use.region, use.pool, use.model, from, to, use.accelerators_micro);
    ++out.use_added;
  }
  return out;
}

Result<MarginReport> load_margin(pqxx::work& tx, const MarginFilter& filter, MarginBy by) {
  if (filter.to <= filter.from || filter.to - filter.from > kRangeMax || !is_whole_hour(filter.from) ||
      !is_whole_hour(filter.to)) {
    return fail(Code::kInvalidArgument, "bad_range",
                "from and to must be whole hours, at most 400 days apart, to after from", "to_us");
  }
  const auto from = pg::to_sql(filter.from), to = pg::to_sql(filter.to);
  const auto usage_rows = tx.exec_params(kUsageByModel, from, to, filter.currency, filter.model, kRowsMax + 1);
  const auto cost_rows = tx.exec_params(kCosts, from, to, filter.currency, filter.model, kRowsMax + 1);
  if (static_cast<std::int64_t>(std::max(usage_rows.size(), cost_rows.size())) > kRowsMax) {
    return fail(Code::kResourceExhausted, "too_many_rows",
                fmt::format("more than {} pool hours: ask for a shorter range", kRowsMax), "to_us");
  }
  std::vector<UsageHour> usage;
  for (const auto& row : usage_rows) {
    usage.push_back({pg::read_wall(row[0]), pg::read_text(row[1]), pg::read_text(row[2]), pg::read_text(row[3]),
                     pg::read_text(row[4]), pg::read_int128(row[5]), pg::read_int128(row[6]), pg::read_money(row[7]),
                     pg::read_money(row[8])});
  }
  std::vector<CostHour> costs;
  for (const auto& row : cost_rows) {
    costs.push_back({pg::read_wall(row[0]), pg::read_text(row[1]), pg::read_text(row[2]), pg::read_text(row[3]),
                     pg::read_int64(row[4]), pg::read_int64(row[5])});
  }
  MarginReport report = margin_report(usage, costs, by);
  if (filter.model.empty()) return report;
  // The other models of a shared pool were needed to share it out; they are not asked for.
  MarginReport one;
  for (auto& row : report.rows) {
    if (row.model != filter.model) continue;
    one.total.tokens += row.tokens;
    one.total.accelerator_micro_hours += row.accelerator_micro_hours;
    one.total.revenue += row.revenue;
    one.total.list += row.list;
    one.total.cost += row.cost;
    one.rows.push_back(std::move(row));
  }
  return one;
}

}  // namespace tidegate::billing
