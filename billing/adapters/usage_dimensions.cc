#include "billing/adapters/usage_dimensions.h"

#include <fmt/format.h>

#include <array>
#include <set>

#include "base/core/check.h"
#include "base/pg/types.h"

namespace tidegate::billing {

namespace {

// Each pair is asked on a cache miss only: find what is there, add what is not, find again.
constexpr const char* kFindPayers = R"sql(
  SELECT a.ord, p.id, t.number, w.currency
    FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[]) WITH ORDINALITY
         AS a(key, wallet, lease, project, tenant, ord)
    JOIN usage_payers p ON p.api_key_id = a.key AND p.wallet_id = a.wallet AND p.lease_id = a.lease
     AND p.project_id = a.project AND p.tenant_id = a.tenant AND p.gateway_id = $1 AND p.epoch = $2::bigint
    JOIN tenants t ON t.id = p.tenant_id JOIN wallets w ON w.id = p.wallet_id)sql";
constexpr const char* kAddPayers = R"sql(
  INSERT INTO usage_payers (gateway_id, epoch, api_key_id, wallet_id, lease_id, project_id, tenant_id)
  SELECT $1::text, $2::bigint, a.key, a.wallet, a.lease, a.project, a.tenant
    FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[]) AS a(key, wallet, lease, project, tenant)
    JOIN api_keys k ON k.id = a.key AND k.project_id = a.project
    JOIN projects p ON p.id = a.project AND p.tenant_id = a.tenant
    JOIN wallets w ON w.id = a.wallet AND w.tenant_id = a.tenant
   ORDER BY 3, 4, 5, 6, 7
  ON CONFLICT DO NOTHING)sql";

constexpr const char* kFindRoutes = R"sql(
  SELECT a.ord, r.id
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::boolean[]) WITH ORDINALITY
         AS a(worker_id, model, finish_reason, surface, status, variant, region, pool, weights_digest, is_stream, ord)
    JOIN usage_routes r USING (worker_id, model, finish_reason, surface, status, variant, region, pool, weights_digest, is_stream))sql";
constexpr const char* kAddRoutes = R"sql(
  INSERT INTO usage_routes (worker_id, model, finish_reason, surface, status, variant, region, pool, weights_digest, is_stream)
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                       $9::text[], $10::boolean[]) AS a
   ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
  ON CONFLICT DO NOTHING)sql";

constexpr const char* kFindTariffs = R"sql(
  SELECT a.ord, t.id
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
         WITH ORDINALITY AS a(price_version, band, tzdata, hit, miss, output, num, den, ord)
    JOIN usage_tariffs t USING (price_version, band, tzdata)
   WHERE (t.hit_micro_per_1m, t.miss_micro_per_1m, t.output_micro_per_1m, t.mod_num, t.mod_den)
         = (a.hit, a.miss, a.output, a.num, a.den))sql";
constexpr const char* kAddTariffs = R"sql(
  INSERT INTO usage_tariffs (price_version, band, tzdata, hit_micro_per_1m, miss_micro_per_1m, output_micro_per_1m, mod_num, mod_den,
                             has_minimum)
  SELECT a.*, v.minimum_charge > 0
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
         AS a(price_version, band, tzdata, hit, miss, output, num, den)
    JOIN price_versions v ON v.id = a.price_version
   ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
  ON CONFLICT DO NOTHING)sql";

constexpr const char* kFindCells = R"sql(
  SELECT a.ord, c.id
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) WITH ORDINALITY
         AS a(tenant_id, project_id, api_key_id, model, region, pool, band, currency, ord)
    JOIN usage_cells c ON c.tenant_id = a.tenant_id AND c.project_id = a.project_id AND c.api_key_id = a.api_key_id
     AND c.model = a.model AND c.region = a.region AND c.pool = a.pool AND c.band = a.band AND c.currency = a.currency::char(3))sql";
constexpr const char* kAddCells = R"sql(
  INSERT INTO usage_cells (tenant_id, project_id, api_key_id, model, region, pool, band, currency)
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) AS a
   ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
  ON CONFLICT DO NOTHING)sql";

constexpr const char* kMakePartition = "SELECT make_usage_partition($1::timestamptz)";

/// Values of several fields as one key; lengths keep "ab","c" and "a","bc" apart.
class KeyText {
 public:
  KeyText& add(std::string_view text) {
    const auto size = static_cast<std::uint32_t>(text.size());
    text_.append(reinterpret_cast<const char*>(&size), sizeof(size));
    text_ += text;
    return *this;
  }
  KeyText& add(std::int64_t number) {
    text_.append(reinterpret_cast<const char*>(&number), sizeof(number));
    return *this;
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// Distinct keys of a batch, and which one each of its elements has.
class Distinct {
 public:
  void add(std::string key, std::size_t element) {
    const auto [at, is_new] = index_.emplace(std::move(key), first_.size());
    if (is_new) first_.push_back(element);
    of_.push_back(at->second);
  }
  std::size_t size() const { return first_.size(); }
  /// An element that has distinct key `i`.
  std::size_t first(std::size_t i) const { return first_[i]; }
  /// Calls visit(i, key).
  template <typename Visit>
  void each(Visit visit) const {
    for (const auto& [key, i] : index_) visit(i, key);
  }
  template <typename Value>
  std::vector<Value> spread(const std::vector<std::optional<Value>>& values) const {
    std::vector<Value> out;
    out.reserve(of_.size());
    for (const std::size_t i : of_) out.push_back(*values[i]);
    return out;
  }

 private:
  std::unordered_map<std::string, std::size_t> index_;
  std::vector<std::size_t> first_, of_;
};

/// Cache, then the table, then the table after adding. `find(missing)` and `add(missing)` take indexes of
/// distinct keys and talk to the table; find gives (position in missing, value). What stays empty could not
/// be added.
template <typename Value, typename Find, typename Add>
std::vector<std::optional<Value>> resolve(CommittedCache<Value>& cache, const Distinct& distinct, Find find, Add add) {
  std::vector<std::optional<Value>> values(distinct.size());
  std::vector<const std::string*> keys(distinct.size());
  std::vector<std::size_t> missing;
  distinct.each([&](std::size_t i, const std::string& key) {
    keys[i] = &key;
    values[i] = cache.find(key);
    if (!values[i]) missing.push_back(i);
  });
  auto look = [&](bool is_committed) {
    for (const auto& [position, value] : find(missing)) {
      const std::size_t i = missing[position];
      values[i] = value;
      if (is_committed) cache.put(*keys[i], value);
    }
    std::erase_if(missing, [&](std::size_t i) { return values[i].has_value(); });
  };
  if (missing.empty()) return values;
  look(true);
  if (missing.empty()) return values;
  add(missing);
  look(false);
  return values;
}

template <typename Value>
using Found = std::vector<std::pair<std::size_t, Value>>;

Found<std::int32_t> read_numbers(const pqxx::result& rows) {
  Found<std::int32_t> out;
  for (const auto& row : rows) {
    out.emplace_back(static_cast<std::size_t>(pg::read_int64(row[0])) - 1,
                     static_cast<std::int32_t>(pg::read_int64(row[1])));
  }
  return out;
}

template <std::size_t N>
std::array<std::string, N> texts(const std::array<pg::ArrayLiteral, N>& arrays) {
  std::array<std::string, N> out;
  for (std::size_t i = 0; i < N; ++i) out[i] = arrays[i].text();
  return out;
}

/// The parameters of a statement over arrays.
template <std::size_t N>
pqxx::result ask(pqxx::work& tx, const char* sql, const std::array<pg::ArrayLiteral, N>& arrays) {
  return std::apply([&](const auto&... text) { return tx.exec_params(sql, text...); }, texts(arrays));
}

std::vector<std::int32_t> spread_all(const Distinct& distinct, const std::vector<std::optional<std::int32_t>>& values) {
  for (const auto& value : values) TG_CHECK(value.has_value());
  return distinct.spread(values);
}

}  // namespace

Result<std::vector<Payer>> UsageDimensions::payers(pqxx::work& tx, const std::string& gateway, std::int64_t epoch,
                                                   const std::vector<const UsageEvent*>& events) {
  Distinct distinct;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const UsageEvent& event = *events[i];
    KeyText key;
    key.add(gateway).add(epoch).add(event.key.raw()).add(event.wallet.raw()).add(event.lease.raw());
    key.add(event.project.raw()).add(event.tenant.raw());
    distinct.add(key.take(), i);
  }
  auto arrays = [&](const std::vector<std::size_t>& missing) {
    std::array<pg::ArrayLiteral, 5> out;
    for (const std::size_t i : missing) {
      const UsageEvent& event = *events[distinct.first(i)];
      out[0].add(event.key);
      out[1].add(event.wallet);
      out[2].add(event.lease);
      out[3].add(event.project);
      out[4].add(event.tenant);
    }
    return texts(out);
  };
  auto find = [&](const std::vector<std::size_t>& missing) {
    Found<Payer> out;
    const auto a = arrays(missing);
    for (const auto& row : tx.exec_params(kFindPayers, gateway, epoch, a[0], a[1], a[2], a[3], a[4])) {
      out.emplace_back(static_cast<std::size_t>(pg::read_int64(row[0])) - 1,
                       Payer{static_cast<std::int32_t>(pg::read_int64(row[1])),
                             static_cast<std::int32_t>(pg::read_int64(row[2])), pg::read_text(row[3])});
    }
    return out;
  };
  auto add = [&](const std::vector<std::size_t>& missing) {
    const auto a = arrays(missing);
    tx.exec_params0(kAddPayers, gateway, epoch, a[0], a[1], a[2], a[3], a[4]);
  };
  const auto values = resolve(payers_, distinct, find, add);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i]) continue;
    return fail(Code::kInvalidArgument, "unknown_principal",
                fmt::format("request {}: key, project, tenant and wallet do not belong together",
                            events[distinct.first(i)]->request.to_string()),
                "events.key_id");
  }
  return distinct.spread(values);
}

std::vector<std::int32_t> UsageDimensions::routes(pqxx::work& tx, const std::vector<RatedEvent>& events) {
  Distinct distinct;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const UsageEvent& event = *events[i].event;
    KeyText key;
    key.add(event.worker_id).add(event.model).add(event.finish_reason).add(event.surface).add(event.variant);
    key.add(event.region).add(event.pool).add(event.weights_digest);
    key.add(static_cast<std::int64_t>(event.status) * 2 + (event.is_stream ? 1 : 0));
    distinct.add(key.take(), i);
  }
  auto arrays = [&](const std::vector<std::size_t>& missing) {
    std::array<pg::ArrayLiteral, 10> out;
    for (const std::size_t i : missing) {
      const UsageEvent& event = *events[distinct.first(i)].event;
      out[0].add(event.worker_id);
      out[1].add(event.model);
      out[2].add(event.finish_reason);
      out[3].add(event.surface);
      out[4].add(usage_status_name(event.status));
      out[5].add(event.variant);
      out[6].add(event.region);
      out[7].add(event.pool);
      out[8].add(event.weights_digest);
      out[9].add_bool(event.is_stream);
    }
    return out;
  };
  auto find = [&](const auto& missing) { return read_numbers(ask(tx, kFindRoutes, arrays(missing))); };
  auto add = [&](const auto& missing) { ask(tx, kAddRoutes, arrays(missing)); };
  return spread_all(distinct, resolve(routes_, distinct, find, add));
}

std::vector<std::int32_t> UsageDimensions::tariffs(pqxx::work& tx, const std::vector<RatedEvent>& events,
                                                   const std::string& tzdata) {
  Distinct distinct;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const auto& rated = events[i].rated;
    KeyText key;
    key.add(rated.price_version).add(rated.band).add(tzdata);
    for (const auto& line : rated.lines) key.add(line.rate.micro_per_million());
    key.add(rated.lines[0].factor.num).add(rated.lines[0].factor.den);
    distinct.add(key.take(), i);
  }
  auto arrays = [&](const std::vector<std::size_t>& missing) {
    std::array<pg::ArrayLiteral, 8> out;
    for (const std::size_t i : missing) {
      const auto& rated = events[distinct.first(i)].rated;
      out[0].add(rated.price_version);
      out[1].add(rated.band);
      out[2].add(tzdata);
      for (std::size_t meter = 0; meter < price::kMeterCount; ++meter) {
        out[3 + meter].add(rated.lines[meter].rate.micro_per_million());
      }
      out[6].add(rated.lines[0].factor.num);
      out[7].add(rated.lines[0].factor.den);
    }
    return out;
  };
  auto find = [&](const auto& missing) { return read_numbers(ask(tx, kFindTariffs, arrays(missing))); };
  auto add = [&](const auto& missing) { ask(tx, kAddTariffs, arrays(missing)); };
  return spread_all(distinct, resolve(tariffs_, distinct, find, add));
}

std::vector<std::int32_t> UsageDimensions::cells(pqxx::work& tx, const std::vector<CellKey>& keys) {
  Distinct distinct;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const CellKey& cell = keys[i];
    KeyText key;
    key.add(cell.tenant.raw())
        .add(cell.project.raw())
        .add(cell.key.raw())
        .add(cell.model)
        .add(cell.region)
        .add(cell.pool);
    key.add(cell.band).add(cell.currency);
    distinct.add(key.take(), i);
  }
  auto arrays = [&](const std::vector<std::size_t>& missing) {
    std::array<pg::ArrayLiteral, 8> out;
    for (const std::size_t i : missing) {
      const CellKey& cell = keys[distinct.first(i)];
      out[0].add(cell.tenant);
      out[1].add(cell.project);
      out[2].add(cell.key);
      out[3].add(cell.model);
      out[4].add(cell.region);
      out[5].add(cell.pool);
      out[6].add(cell.band);
      out[7].add(cell.currency);
    }
    return out;
  };
  auto find = [&](const auto& missing) { return read_numbers(ask(tx, kFindCells, arrays(missing))); };
  auto add = [&](const auto& missing) { ask(tx, kAddCells, arrays(missing)); };
  return spread_all(distinct, resolve(cells_, distinct, find, add));
}

Status UsageDimensions::make_partitions(pqxx::work& tx, const std::vector<UsageEvent>& events, Wall kept_from,
                                        Wall now) {
  std::set<std::chrono::year_month> months;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const Uuid& id = events[i].request.uuid;
    auto refuse = [&](const char* reason, std::string what) {
      return fail(Code::kInvalidArgument, reason, fmt::format("request {}: {}", id.to_string(), what),
                  fmt::format("events[{}].request_id", i));
    };
    if (id.bytes[6] >> 4 != 7) return refuse("bad_event", "the id is not a UUIDv7: mint ids that begin with the time");
    const Wall at = wall_from_unix_micros(id.unix_millis() * 1000);
    if (at < kept_from) {
      return refuse("id_expired",
                    fmt::format("the id is from {}, usage is kept from {} on: whether it was billed can no longer be "
                                "known, so it is not billed",
                                pg::to_sql(at), pg::to_sql(kept_from)));
    }
    if (at > now + kIdFutureMax) {
      return refuse("id_in_future", fmt::format("the id is from {}, it is {} now: set the gateway's clock",
                                                pg::to_sql(at), pg::to_sql(now)));
    }
    const std::chrono::year_month_day day{std::chrono::floor<std::chrono::days>(at)};
    months.insert(day.year() / day.month());
  }
  for (const auto& month : months) {
    const std::string first =
        fmt::format("{:04}-{:02}-01T00:00:00Z", static_cast<int>(month.year()), static_cast<unsigned>(month.month()));
    if (months_.find(first)) continue;
    const bool is_made_now = pg::read_bool(tx.exec_params1(kMakePartition, first)[0]);
    if (!is_made_now) months_.put(first, true);
  }
  return {};
}

}  // namespace tidegate::billing
