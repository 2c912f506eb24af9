#include "billing/adapters/rate_limit_store.h"

#include <fmt/format.h>

#include "base/pg/types.h"
#include "billing/adapters/change_log.h"

namespace tidegate::billing {

namespace {

constexpr const char* kSelectLimits = R"sql(
  SELECT l.id, l.tenant_id, t.name, l.scope, l.subject, coalesce(p.name, k.name), l.model,
         l.requests_per_minute, l.tokens_per_minute, l.tokens_per_day, l.concurrency,
         (extract(epoch FROM l.created_at) * 1000000)::bigint, (extract(epoch FROM l.removed_at) * 1000000)::bigint
    FROM rate_limits l JOIN tenants t ON t.id = l.tenant_id
    LEFT JOIN projects p ON l.scope = 'project' AND p.id = l.subject
    LEFT JOIN api_keys k ON l.scope = 'key' AND k.id = l.subject )sql";
constexpr const char* kUpsertLimit = R"sql(
  INSERT INTO rate_limits (id, tenant_id, scope, subject, model, requests_per_minute, tokens_per_minute, tokens_per_day,
                           concurrency, created_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
  ON CONFLICT (tenant_id, scope, subject, model) WHERE removed_at IS NULL DO UPDATE
    SET requests_per_minute = EXCLUDED.requests_per_minute, tokens_per_minute = EXCLUDED.tokens_per_minute,
        tokens_per_day = EXCLUDED.tokens_per_day, concurrency = EXCLUDED.concurrency
  RETURNING id)sql";
constexpr const char* kCountLimits = "SELECT count(*) FROM rate_limits WHERE tenant_id = $1 AND removed_at IS NULL";
constexpr const char* kRemoveLimit = R"sql(
  UPDATE rate_limits SET removed_at = coalesce(removed_at, $2::timestamptz) WHERE id = $1 RETURNING id)sql";

RateLimitRow read_limit(const pqxx::row& row) {
  RateLimitRow limit;
  limit.id = pg::read_uuid(row[0]);
  limit.tenant = pg::read_id<TenantId>(row[1]);
  limit.tenant_name = pg::read_text(row[2]);
  limit.scope = parse_cap_scope(pg::read_text(row[3])).value();
  limit.subject = pg::read_uuid(row[4]);
  limit.subject_name = pg::read_text(row[5]);
  limit.model = pg::read_text(row[6]);
  limit.numbers.requests_per_minute = pg::read_int64(row[7]);
  limit.numbers.tokens_per_minute = pg::read_int64(row[8]);
  limit.numbers.tokens_per_day = pg::read_int64(row[9]);
  limit.numbers.concurrency = pg::read_int64(row[10]);
  limit.created = pg::read_wall(row[11]);
  limit.removed = pg::read_wall_if(row[12]);
  return limit;
}

std::vector<RateLimitRow> read_limits(const pqxx::result& rows) {
  std::vector<RateLimitRow> out;
  for (const auto& row : rows) out.push_back(read_limit(row));
  return out;
}

std::unexpected<Error> unknown_limit(const Uuid& limit) {
  return fail(Code::kNotFound, "unknown_limit", fmt::format("there is no limit {}", limit.to_string()), "limit_id");
}

Result<RateLimitRow> find_limit(pqxx::work& tx, const Uuid& limit) {
  auto found = rate_limits_of(tx, {limit.to_string()});
  if (found.empty()) return unknown_limit(limit);
  return std::move(found.front());
}

}  // namespace

Result<RateLimitRow> set_rate_limit(pqxx::work& tx, const SetRateLimit& limit, Wall now) {
  const RateNumbers& numbers = limit.numbers;
  const auto made = tx.exec_params1(kUpsertLimit, pg::to_sql(limit.id), pg::to_sql(limit.tenant),
                                    std::string(cap_scope_name(limit.scope)), pg::to_sql(limit.subject), limit.model,
                                    numbers.requests_per_minute, numbers.tokens_per_minute, numbers.tokens_per_day,
                                    numbers.concurrency, pg::to_sql(now));
  const Uuid id = pg::read_uuid(made[0]);
  if (pg::read_int64(tx.exec_params1(kCountLimits, pg::to_sql(limit.tenant))[0]) > kRateLimitsOfTenantMax) {
    return fail(Code::kResourceExhausted, "too_many_limits",
                fmt::format("a tenant has at most {} limits: remove some", kRateLimitsOfTenantMax), "tenant");
  }
  append_changes(tx, ChangeKind::kLimit, {id.to_string()});
  return find_limit(tx, id);
}

Result<RateLimitRow> remove_rate_limit(pqxx::work& tx, const Uuid& limit, Wall now) {
  if (tx.exec_params(kRemoveLimit, pg::to_sql(limit), pg::to_sql(now)).empty()) return unknown_limit(limit);
  append_changes(tx, ChangeKind::kLimit, {limit.to_string()});
  return find_limit(tx, limit);
}

std::vector<RateLimitRow> list_rate_limits(pqxx::work& tx, const std::optional<TenantId>& tenant, bool with_removed,
                                           const PageOf& page) {
  static const std::string kList = std::string(kSelectLimits) + R"sql(
    WHERE ($1 = '' OR l.tenant_id = nullif($1, '')::uuid) AND ($2 = '' OR l.id > nullif($2, '')::uuid)
      AND ($4::boolean OR l.removed_at IS NULL) ORDER BY l.id LIMIT $3)sql";
  return read_limits(tx.exec_params(kList, tenant ? tenant->to_string() : "",
                                    page.after ? page.after->to_string() : std::string(), page.limit,
                                    with_removed ? "true" : "false"));
}

std::vector<RateLimitRow> rate_limits_in_force(pqxx::work& tx, const std::optional<Uuid>& after, int limit) {
  static const std::string kList = std::string(kSelectLimits) + R"sql(
    WHERE l.removed_at IS NULL AND ($1 = '' OR l.id > nullif($1, '')::uuid) ORDER BY l.id LIMIT $2)sql";
  return read_limits(tx.exec_params(kList, after ? after->to_string() : "", limit));
}

std::vector<RateLimitRow> rate_limits_of(pqxx::work& tx, const std::vector<std::string>& ids) {
  static const std::string kFind = std::string(kSelectLimits) + "WHERE l.id = ANY ($1::uuid[]) ORDER BY l.id";
  return read_limits(tx.exec_params(kFind, pg::array_of(ids)));
}

}  // namespace tidegate::billing
