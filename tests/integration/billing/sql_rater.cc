#include "tests/integration/billing/sql_rater.h"

#include "base/pg/types.h"
#include "billing/adapters/price_store.h"

namespace tidegate::billing {

namespace {

constexpr const char* kProbe = R"sql(
  CREATE TEMP TABLE IF NOT EXISTS probe (id uuid, tenant_id uuid, price_version bigint, admitted_at timestamptz,
    started_at timestamptz, completed_at timestamptz, clock_err_us bigint, hit bigint, miss bigint, output bigint) ON COMMIT DROP)sql";
constexpr const char* kAsk = R"sql(
  INSERT INTO probe SELECT gen_random_uuid(), NULL, price_version_of($1, $2, '', '', '', $3, $4, $5), $3::timestamptz,
                           $4::timestamptz, $5::timestamptz, $6::bigint, $7::bigint, $8::bigint, $9::bigint)sql";
constexpr const char* kAnswer = R"sql(
  SELECT r.price_version, v.book, r.band, (extract(epoch FROM r.priced_at) * 1000000)::bigint, r.hit_micro, r.miss_micro,
         r.output_micro, r.hit_amount, r.miss_amount, r.output_amount, r.amount, r.minimum_top_up
    FROM rerate('probe') r JOIN price_versions v ON v.id = r.price_version)sql";

}  // namespace

Status SqlRater::load(std::vector<price::PriceVersion> versions, std::vector<price::Calendar> calendars) {
  tx_.exec0(kProbe);
  for (const auto& calendar : calendars) insert_calendar(tx_, calendar);
  for (const auto& version : versions) insert_price_version(tx_, version);
  return product_->load(std::move(versions), std::move(calendars));
}

Result<price::RatedRequest> SqlRater::rate_now(const price::PriceKey& key, const price::Instants& instants,
                                               const price::TokenCounts& tokens) {
  tx_.exec0("TRUNCATE probe");
  tx_.exec_params0(kAsk, std::string(key.model), std::string(key.currency), pg::to_sql(instants.admitted),
                   pg::to_sql(instants.started), pg::to_sql(instants.completed), instants.clock_error.count(), tokens.hit,
                   tokens.miss, tokens.output);
  const auto rows = tx_.exec(kAnswer);
  if (rows.empty()) return fail(Code::kFailedPrecondition, "price_missing", "no version in force");
  const auto row = rows[0];
  price::RatedRequest rated;
  rated.price_version = pg::read_int64(row[0]);
  rated.book = pg::read_text(row[1]);
  rated.band = pg::read_text(row[2]);
  rated.priced_at = pg::read_wall(row[3]);
  for (int i = 0; i < 3; ++i) {
    auto& line = rated.lines[static_cast<std::size_t>(i)];
    line.meter = price::kMeters[i];
    line.quantity = tokens.of(line.meter);
    line.rate = Rate::from_micro_per_million(pg::read_int64(row[4 + i]));
    line.amount = pg::read_money(row[7 + i]);
  }
  rated.total = pg::read_money(row[10]);
  rated.minimum_top_up = pg::read_money(row[11]);
  return rated;
}

Result<price::RatedRequest> SqlRater::rate(const price::PriceKey& key, price::Basis basis, const price::Instants& instants,
                                           const price::TokenCounts& tokens) {
  tx_.exec_params0("UPDATE price_versions SET basis = $1 WHERE basis <> $1", std::string(price::basis_name(basis)));
  return rate_now(key, instants, tokens);
}

Result<price::RatedRequest> SqlRater::rate_with(std::vector<price::PriceVersion> versions,
                                                std::vector<price::Modifier> modifiers, const price::PriceKey& key,
                                                const price::Instants& instants, const price::TokenCounts& tokens) {
  tx_.exec0("SAVEPOINT other_prices");
  for (const auto& version : versions) insert_price_version(tx_, version);
  for (const auto& modifier : modifiers) insert_modifier(tx_, modifier);
  auto rated = rate_now(key, instants, tokens);
  tx_.exec0("ROLLBACK TO SAVEPOINT other_prices");
  return rated;
}

Result<bool> SqlRater::is_inside(const price::Schedule& schedule, const std::vector<price::Calendar>&, Wall instant) {
  price::PriceVersion version{1, "window", "window", "USD"};
  price::Schedule fallback;
  fallback.name = "outside";
  fallback.is_default = true;
  for (const auto meter : price::kMeters) fallback.rates.emplace(price::meter_name(meter), Rate());
  version.schedules = {fallback, schedule};
  version.schedules[1].rates = fallback.rates;
  TG_ASSIGN(const auto rated, rate_with({version}, {}, {"window", "USD", "", ""}, price::Instants::all_at(instant), {}));
  return rated.band == schedule.name;
}

}  // namespace tidegate::billing
