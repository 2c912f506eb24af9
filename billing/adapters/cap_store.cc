#include "billing/adapters/cap_store.h"

#include <fmt/format.h>

#include "base/pg/types.h"
#include "billing/adapters/change_log.h"

namespace tidegate::billing {

namespace {

constexpr const char* kSelectCaps = R"sql(
  SELECT c.id, c.tenant_id, t.name, t.currency, c.scope, c.subject, coalesce(p.name, k.name), c.period, c.amount,
         (extract(epoch FROM c.created_at) * 1000000)::bigint, (extract(epoch FROM c.removed_at) * 1000000)::bigint
    FROM caps c JOIN tenants t ON t.id = c.tenant_id
    LEFT JOIN projects p ON c.scope = 'project' AND p.id = c.subject
    LEFT JOIN api_keys k ON c.scope = 'key' AND k.id = c.subject )sql";
constexpr const char* kUpsertCap = R"sql(
  INSERT INTO caps (id, tenant_id, scope, subject, period, amount, created_at) VALUES ($1, $2, $3, $4, $5, $6::numeric, $7)
  ON CONFLICT (tenant_id, scope, subject, period) WHERE removed_at IS NULL DO UPDATE SET amount = EXCLUDED.amount
  RETURNING id)sql";
constexpr const char* kCountCaps = "SELECT count(*) FROM caps WHERE tenant_id = $1 AND removed_at IS NULL";
/// Leases see the new limit under the period's lock, so none of them is granted beyond it from here on.
constexpr const char* kAllow = R"sql(
  UPDATE cap_periods SET allowed = greatest($2::numeric, spent + leased) WHERE cap_id = $1 AND ends_at > $3::timestamptz)sql";
constexpr const char* kRemoveCap = R"sql(
  UPDATE caps SET removed_at = coalesce(removed_at, $2::timestamptz) WHERE id = $1 RETURNING id)sql";
constexpr const char* kSpendColumns = R"sql(
  SELECT s.id, s.end_user, isfinite(s.starts_at),
         CASE WHEN isfinite(s.starts_at) THEN (extract(epoch FROM s.starts_at) * 1000000)::bigint END,
         CASE WHEN isfinite(s.ends_at) THEN (extract(epoch FROM s.ends_at) * 1000000)::bigint END,
         s.allowed, s.spent, s.leased, s.cap_id FROM cap_periods s )sql";

CapSpendRow read_spend(const pqxx::row& row) {
  return {pg::read_uuid(row[0]),  pg::read_uuid(row[1]),  pg::read_wall_if(row[3]), pg::read_wall_if(row[4]),
          pg::read_money(row[5]), pg::read_money(row[6]), pg::read_money(row[7])};
}

CapRow read_cap(const pqxx::row& row) {
  CapRow cap;
  cap.id = pg::read_uuid(row[0]);
  cap.tenant = pg::read_id<TenantId>(row[1]);
  cap.tenant_name = pg::read_text(row[2]);
  cap.currency = pg::read_text(row[3]);
  cap.scope = parse_cap_scope(pg::read_text(row[4])).value();
  cap.subject = pg::read_uuid(row[5]);
  cap.subject_name = pg::read_text(row[6]);
  cap.period = parse_cap_period(pg::read_text(row[7])).value();
  cap.amount = pg::read_money(row[8]);
  cap.created = pg::read_wall(row[9]);
  cap.removed = pg::read_wall_if(row[10]);
  return cap;
}

std::vector<CapRow> read_caps(const pqxx::result& rows) {
  std::vector<CapRow> out;
  for (const auto& row : rows) out.push_back(read_cap(row));
  return out;
}

std::unexpected<Error> unknown_cap(const Uuid& cap) {
  return fail(Code::kNotFound, "unknown_cap", fmt::format("there is no cap {}", cap.to_string()), "cap_id");
}

Result<CapRow> find_cap(pqxx::work& tx, const Uuid& cap) {
  auto found = caps_of(tx, {cap.to_string()});
  if (found.empty()) return unknown_cap(cap);
  return std::move(found.front());
}

}  // namespace

Result<CapRow> set_cap(pqxx::work& tx, const SetCap& cap, Wall now) {
  const auto made =
      tx.exec_params1(kUpsertCap, pg::to_sql(cap.id), pg::to_sql(cap.tenant),
                      std::string(cap_scope_name(cap.scope)), pg::to_sql(cap.subject),
                      std::string(cap_period_name(cap.period)), pg::to_sql(cap.amount), pg::to_sql(now));
  const Uuid id = pg::read_uuid(made[0]);
  if (pg::read_int64(tx.exec_params1(kCountCaps, pg::to_sql(cap.tenant))[0]) > kCapsOfTenantMax) {
    return fail(Code::kResourceExhausted, "too_many_caps",
                fmt::format("a tenant has at most {} caps: use every_user, or remove some", kCapsOfTenantMax),
                "tenant");
  }
  tx.exec_params0(kAllow, pg::to_sql(id), pg::to_sql(cap.amount), pg::to_sql(now));
  append_changes(tx, ChangeKind::kCap, {id.to_string()});
  return find_cap(tx, id);
}

Result<CapRow> remove_cap(pqxx::work& tx, const Uuid& cap, Wall now) {
  if (tx.exec_params(kRemoveCap, pg::to_sql(cap), pg::to_sql(now)).empty()) return unknown_cap(cap);
  append_changes(tx, ChangeKind::kCap, {cap.to_string()});
  return find_cap(tx, cap);
}

std::vector<CapRow> list_caps(pqxx::work& tx, const std::optional<TenantId>& tenant, bool with_removed,
                              const PageOf& page, Wall now) {
  static const std::string kList = std::string(kSelectCaps) + R"sql(
    WHERE ($1 = '' OR c.tenant_id = nullif($1, '')::uuid) AND ($2 = '' OR c.id > nullif($2, '')::uuid)
      AND ($4::boolean OR c.removed_at IS NULL) ORDER BY c.id LIMIT $3)sql";
  static const std::string kCurrent = std::string(kSpendColumns) + R"sql(
    JOIN caps c ON c.id = s.cap_id
   WHERE s.cap_id = ANY ($1::uuid[]) AND s.starts_at <= $2::timestamptz AND s.ends_at > $2::timestamptz
     AND NOT (c.scope = 'user' AND c.subject = '00000000-0000-0000-0000-000000000000'))sql";
  auto caps = read_caps(tx.exec_params(kList, tenant ? tenant->to_string() : "", after_text(page), page.limit,
                                       with_removed ? "true" : "false"));
  pg::ArrayLiteral ids;
  for (const auto& cap : caps) ids.add(cap.id);
  for (const auto& row : tx.exec_params(kCurrent, ids.text(), pg::to_sql(now))) {
    const Uuid of = pg::read_uuid(row[8]);
    for (auto& cap : caps) {
      if (cap.id == of) cap.current = read_spend(row);
    }
  }
  return caps;
}

Result<std::vector<CapSpendRow>> list_cap_periods(pqxx::work& tx, const Uuid& cap, const PageOf& page) {
  static const std::string kList = std::string(kSpendColumns) + R"sql(
    WHERE s.cap_id = $1 AND ($2 = '' OR s.id < nullif($2, '')::uuid) ORDER BY s.id DESC LIMIT $3)sql";
  TG_TRY(find_cap(tx, cap));
  std::vector<CapSpendRow> out;
  for (const auto& row : tx.exec_params(kList, pg::to_sql(cap), after_text(page), page.limit))
    out.push_back(read_spend(row));
  return out;
}

Result<ApiKeyId> find_key_of(pqxx::work& tx, TenantId tenant, const std::string& key) {
  constexpr const char* kFind = R"sql(
    SELECT k.id FROM api_keys k JOIN projects p ON p.id = k.project_id
     WHERE p.tenant_id = $1 AND (k.id::text = $2 OR k.public_id = $2))sql";
  const auto rows = tx.exec_params(kFind, pg::to_sql(tenant), key);
  if (!rows.empty()) return pg::read_id<ApiKeyId>(rows[0][0]);
  return fail(Code::kNotFound, "unknown_key", fmt::format("the tenant has no key \"{}\"", key), "key");
}

std::vector<CapRow> caps_in_force(pqxx::work& tx, const std::optional<Uuid>& after, int limit) {
  static const std::string kList = std::string(kSelectCaps) + R"sql(
    WHERE c.removed_at IS NULL AND ($1 = '' OR c.id > nullif($1, '')::uuid) ORDER BY c.id LIMIT $2)sql";
  return read_caps(tx.exec_params(kList, after ? after->to_string() : "", limit));
}

std::vector<CapRow> caps_of(pqxx::work& tx, const std::vector<std::string>& ids) {
  static const std::string kFind = std::string(kSelectCaps) + "WHERE c.id = ANY ($1::uuid[]) ORDER BY c.id";
  return read_caps(tx.exec_params(kFind, pg::array_of(ids)));
}

}  // namespace tidegate::billing
