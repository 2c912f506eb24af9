#include "scheduler/adapters/pg_deployments.h"

#include <fmt/format.h>

#include <pqxx/pqxx>

#include "base/pg/types.h"
#include "scheduler/catalogue/autoscale_json.h"

namespace tidegate::scheduler {

namespace {

constexpr auto kStatementLimit = std::chrono::seconds(5);

// FOR SHARE: the lease cannot change hands before this transaction has ended.
constexpr const char* kFence = R"sql(
  SELECT 1 FROM tidegate_lease WHERE name = $1 AND term = $2::bigint AND expires_at > clock_timestamp() FOR SHARE)sql";

constexpr const char* kColumns = R"sql(
  name, model, variant, region, pool, replicas, threads, sequences_max, options,
  (extract(epoch FROM created_at) * 1000000)::bigint, autoscale::text )sql";

constexpr const char* kPut = R"sql(
  INSERT INTO deployments (name, model, variant, region, pool, replicas, threads, sequences_max, options, created_at, updated_at,
    autoscale)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text[], $10::timestamptz, $10::timestamptz, $11::jsonb)
  ON CONFLICT (name) DO UPDATE SET model = excluded.model, variant = excluded.variant, region = excluded.region,
    pool = excluded.pool, replicas = excluded.replicas, threads = excluded.threads,
    sequences_max = excluded.sequences_max, options = excluded.options, updated_at = excluded.updated_at,
    autoscale = excluded.autoscale
  RETURNING )sql";

constexpr const char* kRemove = "DELETE FROM deployments WHERE name = $1";

Status check_fence(pqxx::work& tx, Term term) {
  const auto rows = tx.exec_params(kFence, kLeaseName, std::to_string(term));
  if (!rows.empty()) return {};
  return fail(Code::kFailedPrecondition, "not_leader", "this scheduler does not lead any more; ask again");
}

/// A text[] as PostgreSQL prints it.
std::vector<std::string> read_texts(const pqxx::field& field) {
  std::vector<std::string> texts;
  const std::string text = pg::read_text(field);
  pqxx::array_parser parser(text.c_str());
  for (auto item = parser.get_next(); item.first != pqxx::array_parser::done; item = parser.get_next()) {
    if (item.first == pqxx::array_parser::string_value) texts.push_back(item.second);
  }
  return texts;
}

Result<Deployment> read_deployment(const pqxx::row& row) {
  Deployment deployment;
  deployment.name = pg::read_text(row[0]);
  deployment.model = pg::read_text(row[1]);
  deployment.variant = pg::read_text(row[2]);
  deployment.region = pg::read_text(row[3]);
  deployment.pool = pg::read_text(row[4]);
  deployment.replicas = static_cast<std::int32_t>(pg::read_int64(row[5]));
  deployment.threads = static_cast<std::int32_t>(pg::read_int64(row[6]));
  deployment.sequences_max = static_cast<std::int32_t>(pg::read_int64(row[7]));
  deployment.options = read_texts(row[8]);
  deployment.created_at = pg::read_wall(row[9]);
  TG_ASSIGN(deployment.autoscale, parse_autoscale(pg::read_text(row[10])));
  return deployment;
}

}  // namespace

Deadline PgDeployments::deadline() const { return Deadline::after(clock_.mono(), kStatementLimit); }

Result<std::vector<Deployment>> PgDeployments::load() {
  static const std::string kLoad = std::string("SELECT ") + kColumns + " FROM deployments ORDER BY name";
  return pool_.run_blocking(deadline(), [](pqxx::work& tx) -> Result<std::vector<Deployment>> {
    std::vector<Deployment> all;
    for (const auto& row : tx.exec(kLoad)) {
      TG_ASSIGN(Deployment deployment, read_deployment(row));
      all.push_back(std::move(deployment));
    }
    return all;
  });
}

Result<Deployment> PgDeployments::put(const Deployment& deployment, Term term) {
  static const std::string kStatement = std::string(kPut) + kColumns;
  const Wall now = clock_.wall();
  return pool_.run_blocking(deadline(), [&](pqxx::work& tx) -> Result<Deployment> {
    TG_TRY(check_fence(tx, term));
    pg::ArrayLiteral options;
    for (const auto& option : deployment.options) options.add(option);
    const auto row = tx.exec_params1(kStatement, deployment.name, deployment.model, deployment.variant, deployment.region,
                                     deployment.pool, deployment.replicas, deployment.threads, deployment.sequences_max,
                                     options.text(), pg::to_sql(now), write_autoscale(deployment.autoscale));
    return read_deployment(row);
  });
}

Status PgDeployments::remove(const std::string& name, Term term) {
  return pool_.run_blocking(deadline(), [&](pqxx::work& tx) -> Status {
    TG_TRY(check_fence(tx, term));
    if (tx.exec_params(kRemove, name).affected_rows() > 0) return {};
    return fail(Code::kNotFound, "unknown_deployment", fmt::format("there is no deployment '{}'", name), "name");
  });
}

}  // namespace tidegate::scheduler
