#include "scheduler/adapters/pg_deployments.h"

#include <fmt/format.h>

#include <pqxx/pqxx>

#include "base/pg/types.h"
#include "scheduler/catalogue/autoscale_json.h"
#include "scheduler/catalogue/placement_json.h"
#include "scheduler/catalogue/rollout_json.h"

namespace tidegate::scheduler {

namespace {

constexpr auto kStatementLimit = std::chrono::seconds(5);

// FOR SHARE: the lease cannot change hands before this transaction has ended.
constexpr const char* kFence = R"sql(
  SELECT 1 FROM tidegate_lease WHERE name = $1 AND term = $2::bigint AND expires_at > clock_timestamp() FOR SHARE)sql";

constexpr const char* kColumns = R"sql(
  name, model, variant, region, pool, replicas, threads, sequences_max, options,
  (extract(epoch FROM created_at) * 1000000)::bigint, autoscale::text, serves, drained::integer, revision, revisions,
  rollout::text, previous::text, version, placement::text )sql";

constexpr const char* kInsert = R"sql(
  INSERT INTO deployments (name, model, variant, region, pool, replicas, threads, sequences_max, options, created_at, updated_at,
    autoscale, serves, drained, revision, revisions, rollout, previous, version, placement)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text[], $10::timestamptz, $10::timestamptz, $11::jsonb, $12, $13::boolean, $14, $15,
    $16::jsonb, $17::jsonb, $18::bigint + 1, $19::jsonb)
  ON CONFLICT (name) DO NOTHING
  RETURNING )sql";
constexpr const char* kUpdate = R"sql(
  UPDATE deployments SET model = $2, variant = $3, region = $4, pool = $5, replicas = $6, threads = $7, sequences_max = $8,
    options = $9::text[], updated_at = $10::timestamptz, autoscale = $11::jsonb, serves = $12, drained = $13::boolean,
    revision = $14, revisions = $15, rollout = $16::jsonb, previous = $17::jsonb, placement = $19::jsonb,
    version = version + 1
  WHERE name = $1 AND version = $18::bigint
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
  deployment.serves = pg::read_text(row[11]);
  deployment.is_drained = pg::read_int64(row[12]) != 0;
  deployment.revision = static_cast<std::int32_t>(pg::read_int64(row[13]));
  deployment.revisions = static_cast<std::int32_t>(pg::read_int64(row[14]));
  TG_ASSIGN(deployment.rollout, parse_rollout(pg::read_text(row[15])));
  TG_ASSIGN(deployment.previous, parse_revision(pg::read_text(row[16])));
  deployment.version = pg::read_int64(row[17]);
  TG_ASSIGN(deployment.placement, parse_placement(pg::read_text(row[18])));
  return deployment;
}

/// Which one, for whoever has to put it right: nobody leads before.
Error unreadable(const std::string& name, Error error) {
  error.message =
      fmt::format("deployment '{}' is stored in a way that this scheduler does not read: {}", name, error.message);
  return error;
}

}  // namespace

Deadline PgDeployments::deadline() const { return Deadline::after(clock_.mono(), kStatementLimit); }

Result<std::vector<Deployment>> PgDeployments::load(Deadline limit) {
  static const std::string kLoad = std::string("SELECT ") + kColumns + " FROM deployments ORDER BY name";
  // A frozen database keeps its statement, and must not keep whoever holds the lease.
  return pool_.run_bounded(limit.earlier(deadline()), [](pqxx::work& tx) -> Result<std::vector<Deployment>> {
    std::vector<Deployment> all;
    for (const auto& row : tx.exec(kLoad)) {
      Result<Deployment> deployment = read_deployment(row);
      if (!deployment) return fail(unreadable(pg::read_text(row[0]), std::move(deployment).error()));
      all.push_back(*std::move(deployment));
    }
    return all;
  });
}

Result<Deployment> PgDeployments::put(const Deployment& deployment, Term term) {
  static const std::string kStatements[] = {std::string(kInsert) + kColumns, std::string(kUpdate) + kColumns};
  const Wall now = clock_.wall();
  return pool_.run_blocking(deadline(), [&](pqxx::work& tx) -> Result<Deployment> {
    TG_TRY(check_fence(tx, term));
    pg::ArrayLiteral options;
    for (const auto& option : deployment.options) options.add(option);
    const auto rows = tx.exec_params(kStatements[deployment.version == 0 ? 0 : 1], deployment.name, deployment.model,
                                     deployment.variant, deployment.region, deployment.pool, deployment.replicas,
                                     deployment.threads, deployment.sequences_max, options.text(), pg::to_sql(now),
                                     write_autoscale(deployment.autoscale), deployment.serves,
                                     deployment.is_drained ? "true" : "false", deployment.revision, deployment.revisions,
                                     write_rollout(deployment.rollout), write_revision(deployment.previous),
                                     std::to_string(deployment.version), write_placement(deployment.placement));
    if (!rows.empty()) return read_deployment(rows[0]);
    return fail(Code::kAborted, "changed_meanwhile",
                fmt::format("deployment '{}' was changed or removed meanwhile; look at it and ask again", deployment.name), "name");
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
