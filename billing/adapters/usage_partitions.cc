#include "billing/adapters/usage_partitions.h"

#include "base/pg/types.h"

namespace tidegate::billing {

namespace {

constexpr const char* kMake = R"sql(
  SELECT count(*) FILTER (WHERE make_usage_partition($1::timestamptz + n * interval '1 month')) FROM generate_series(0, $2::int) n)sql";
constexpr const char* kExpire = R"sql(
  UPDATE usage_retention SET kept_from = e.bound
    FROM (SELECT (date_trunc('month', $1::timestamptz AT TIME ZONE 'UTC') - $2::int * interval '1 month') AT TIME ZONE 'UTC' AS bound) e
   WHERE kept_from < e.bound)sql";
constexpr const char* kExpired = R"sql(
  SELECT name FROM usage_partitions(), usage_retention
   WHERE (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' <= kept_from ORDER BY month)sql";

}  // namespace

int make_usage_partitions(pqxx::work& tx, Wall now, int ahead) {
  return static_cast<int>(pg::read_int64(tx.exec_params1(kMake, pg::to_sql(now), ahead)[0]));
}

void expire_usage(pqxx::work& tx, Wall now, int months) { tx.exec_params0(kExpire, pg::to_sql(now), months); }

std::vector<std::string> expired_usage_partitions(pqxx::work& tx) {
  std::vector<std::string> out;
  for (const auto& row : tx.exec(kExpired)) out.push_back(pg::read_text(row[0]));
  return out;
}

std::int64_t drop_usage_partition(pqxx::work& tx, const std::string& name) {
  // Batches wait behind the short exclusive lock at the end; rather than have them wait behind ours, try again later.
  tx.exec0("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '30min'");
  return pg::read_int64(tx.exec_params1("SELECT drop_usage_partition($1)", name)[0]);
}

}  // namespace tidegate::billing
