#include "billing/adapters/account_store.h"

#include <fmt/format.h>

#include "base/pg/types.h"
#include "billing/adapters/change_log.h"
#include "billing/core/key_rules.h"

namespace tidegate::billing {

namespace {

constexpr const char* kTenantColumns = R"sql(
  t.id, t.name, t.billing_tz, t.currency, t.is_suspended, (extract(epoch FROM t.created_at) * 1000000)::bigint, w.id,
  array_to_string(t.regions, E'\n'), t.queue_weight, t.tier_max)sql";
constexpr const char* kTenantFrom = " FROM tenants t JOIN wallets w ON w.tenant_id = t.id AND w.currency = t.currency ";

constexpr const char* kInsertTenant = R"sql(
  INSERT INTO tenants (id, name, billing_tz, currency, created_at) VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT (name) DO NOTHING RETURNING id)sql";
constexpr const char* kInsertWallet = R"sql(
  INSERT INTO wallets (id, tenant_id, currency, credit_limit) VALUES ($1, $2, $3, $4::numeric))sql";
constexpr const char* kInsertWalletAccount = R"sql(
  INSERT INTO ledger_accounts (wallet_id, kind, currency) VALUES ($1, 'prepaid', $2))sql";
constexpr const char* kInsertHouseAccounts = R"sql(
  INSERT INTO ledger_accounts (kind, currency) VALUES ('cash', $1), ('revenue', $1) ON CONFLICT DO NOTHING)sql";

constexpr const char* kProjectColumns = "p.id, p.tenant_id, p.name, (extract(epoch FROM p.created_at) * 1000000)::bigint";
constexpr const char* kInsertProject = R"sql(
  INSERT INTO projects (id, tenant_id, name, created_at) VALUES ($1, $2, $3, $4)
  ON CONFLICT (tenant_id, name) DO NOTHING RETURNING id)sql";

constexpr const char* kKeyColumns = R"sql(
  k.id, k.project_id, p.tenant_id, k.public_id, k.name, array_to_string(k.models, E'\n'),
  (extract(epoch FROM k.created_at) * 1000000)::bigint, (extract(epoch FROM k.expires_at) * 1000000)::bigint,
  (extract(epoch FROM k.revoked_at) * 1000000)::bigint, array_to_string(k.scopes, E'\n'), array_to_string(k.sources, E'\n'),
  coalesce(k.replaced_by::text, ''))sql";
constexpr const char* kKeyFrom = " FROM api_keys k JOIN projects p ON p.id = k.project_id ";
constexpr const char* kInsertKey = R"sql(
  INSERT INTO api_keys (id, project_id, public_id, mac, name, models, created_at, expires_at, scopes, sources)
  VALUES ($1, $2, $3, $4::bytea, $5, $6::text[], $7, nullif($8, '')::timestamptz, $9::text[], $10::cidr[]))sql";
/// Until the end of the transaction: of two that count the tenant's keys the second sees the first one's.
constexpr const char* kLockKeysOfTenant = "SELECT pg_advisory_xact_lock(hashtextextended('keys of ' || $1, 0))";
constexpr const char* kCountKeys = R"sql(
  SELECT count(*) FILTER (WHERE k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2::timestamptz)),
         count(*) FILTER (WHERE k.created_at > $2::timestamptz - interval '24 hours')
    FROM api_keys k JOIN projects p ON p.id = k.project_id WHERE p.tenant_id = $1::uuid)sql";
/// Locks the key: of two rotations one sees the other's successor.
constexpr const char* kLockKey = "SELECT id FROM api_keys WHERE id::text = $1 OR public_id = $1 FOR UPDATE";
constexpr const char* kReplaceKey = R"sql(
  UPDATE api_keys SET replaced_by = $2, expires_at = $3::timestamptz WHERE id = $1)sql";
/// What limits the old key limits the new one; each counts for itself.
constexpr const char* kCopyCaps = R"sql(
  INSERT INTO caps (id, tenant_id, scope, subject, period, amount, created_at)
  SELECT gen_random_uuid(), c.tenant_id, c.scope, $2::uuid, c.period, c.amount, $3::timestamptz
    FROM caps c WHERE c.scope = 'key' AND c.subject = $1::uuid AND c.removed_at IS NULL
  RETURNING id)sql";
constexpr const char* kCopyLimits = R"sql(
  INSERT INTO rate_limits (id, tenant_id, scope, subject, model, requests_per_minute, tokens_per_minute, tokens_per_day,
                           concurrency, created_at)
  SELECT gen_random_uuid(), l.tenant_id, l.scope, $2::uuid, l.model, l.requests_per_minute, l.tokens_per_minute,
         l.tokens_per_day, l.concurrency, $3::timestamptz
    FROM rate_limits l WHERE l.scope = 'key' AND l.subject = $1::uuid AND l.removed_at IS NULL
  RETURNING id)sql";
constexpr const char* kRevokeKey = R"sql(
  UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2::timestamptz) WHERE id::text = $1 OR public_id = $1 RETURNING id)sql";

constexpr const char* kPrincipalColumns =
    R"sql(, k.mac, w.id, w.currency, t.name, p.name, t.is_suspended, array_to_string(t.regions, E'\n'), t.queue_weight,
  t.tier_max)sql";
constexpr const char* kPrincipalFrom = R"sql(
  FROM api_keys k JOIN projects p ON p.id = k.project_id JOIN tenants t ON t.id = p.tenant_id
  JOIN wallets w ON w.tenant_id = t.id AND w.currency = t.currency )sql";

TenantRow read_tenant(const pqxx::row& row) {
  return {pg::read_id<TenantId>(row[0]), pg::read_text(row[1]), pg::read_text(row[2]),      pg::read_text(row[3]),
          pg::read_bool(row[4]),         pg::read_wall(row[5]), pg::read_id<WalletId>(row[6]),
          pg::read_list(row[7], '\n'),   pg::read_int64(row[8]), pg::read_text(row[9])};
}

ProjectRow read_project(const pqxx::row& row) {
  return {pg::read_id<ProjectId>(row[0]), pg::read_id<TenantId>(row[1]), pg::read_text(row[2]), pg::read_wall(row[3])};
}

KeyRow read_key(const pqxx::row& row) {
  KeyRow key;
  key.id = pg::read_id<ApiKeyId>(row[0]);
  key.project = pg::read_id<ProjectId>(row[1]);
  key.tenant = pg::read_id<TenantId>(row[2]);
  key.public_id = pg::read_text(row[3]);
  key.name = pg::read_text(row[4]);
  key.models = pg::read_list(row[5], '\n');
  key.created = pg::read_wall(row[6]);
  key.expires = pg::read_wall_if(row[7]);
  key.revoked = pg::read_wall_if(row[8]);
  key.scopes = pg::read_list(row[9], '\n');
  key.sources = pg::read_list(row[10], '\n');
  key.replaced_by = pg::read_text(row[11]);
  return key;
}

PrincipalRow read_principal(const pqxx::row& row) {
  return {read_key(row),          pg::read_bytea(row[12]), pg::read_id<WalletId>(row[13]), pg::read_text(row[14]),
          pg::read_text(row[15]), pg::read_text(row[16]),  pg::read_bool(row[17]),
          pg::read_list(row[18], '\n'), pg::read_int64(row[19]), pg::read_text(row[20])};
}

KeyRow load_key(pqxx::work& tx, ApiKeyId id) {
  static const std::string kFind = std::string("SELECT ") + kKeyColumns + kKeyFrom + "WHERE k.id = $1";
  return read_key(tx.exec_params1(kFind, pg::to_sql(id)));
}

std::unexpected<Error> unknown_key(const std::string& key) {
  return fail(Code::kNotFound, "unknown_key", fmt::format("there is no key \"{}\"", key), "key_id");
}

/// What `copy` copies from one key to the other is told to gateways as `kind`.
void copy_between_keys(pqxx::work& tx, const char* copy, ChangeKind kind, ApiKeyId from, ApiKeyId to, Wall now) {
  std::vector<std::string> ids;
  for (const auto& row : tx.exec_params(copy, pg::to_sql(from), pg::to_sql(to), pg::to_sql(now))) {
    ids.push_back(pg::read_text(row[0]));
  }
  append_changes(tx, kind, ids);
}

/// `ending`: keys of the tenant that end with this one's beginning.
Result<KeyRow> insert_key_beside(pqxx::work& tx, const KeyRow& key, std::string_view mac, const KeyLimits& limits,
                                 std::int64_t ending) {
  tx.exec_params(kLockKeysOfTenant, key.tenant.to_string());
  const auto counted = tx.exec_params1(kCountKeys, pg::to_sql(key.tenant), pg::to_sql(key.created));
  const KeyCounts counts{pg::read_int64(counted[0]) - ending, pg::read_int64(counted[1])};
  TG_TRY(check_key_counts(counts, limits));
  tx.exec_params0(kInsertKey, pg::to_sql(key.id), pg::to_sql(key.project), key.public_id, pg::to_bytea(mac), key.name,
                  pg::array_of(key.models), pg::to_sql(key.created), key.expires ? pg::to_sql(*key.expires) : "",
                  pg::array_of(key.scopes), pg::array_of(key.sources));
  append_changes(tx, ChangeKind::kKey, {key.id.to_string()});
  return key;
}

template <typename Read>
auto read_all(const pqxx::result& rows, Read read) {
  std::vector<decltype(read(rows[0]))> out;
  for (const auto& row : rows) out.push_back(read(row));
  return out;
}

}  // namespace

Result<TenantRow> find_tenant(pqxx::work& tx, const std::string& tenant) {
  static const std::string kFind = std::string("SELECT ") + kTenantColumns + kTenantFrom + "WHERE t.id::text = $1 OR t.name = $1";
  const auto rows = tx.exec_params(kFind, tenant);
  if (!rows.empty()) return read_tenant(rows[0]);
  return fail(Code::kNotFound, "unknown_tenant", fmt::format("there is no tenant \"{}\"", tenant), "tenant");
}

Result<std::optional<TenantId>> tenant_filter(pqxx::work& tx, const std::string& tenant) {
  if (tenant.empty()) return std::optional<TenantId>();
  TG_ASSIGN(const auto row, find_tenant(tx, tenant));
  return std::optional(row.id);
}

Result<ProjectRow> find_project(pqxx::work& tx, TenantId tenant, const std::string& project) {
  static const std::string kFind = std::string("SELECT ") + kProjectColumns +
                                   " FROM projects p WHERE p.tenant_id = $1 AND (p.id::text = $2 OR p.name = $2)";
  const auto rows = tx.exec_params(kFind, pg::to_sql(tenant), project);
  if (!rows.empty()) return read_project(rows[0]);
  return fail(Code::kNotFound, "unknown_project", fmt::format("the tenant has no project \"{}\"", project), "project");
}

Result<TenantRow> insert_tenant(pqxx::work& tx, const TenantRow& tenant, Money credit_limit) {
  if (tx.exec_params(kInsertTenant, pg::to_sql(tenant.id), tenant.name, tenant.billing_tz, tenant.currency,
                     pg::to_sql(tenant.created))
          .empty()) {
    return fail(Code::kAlreadyExists, "tenant_exists", fmt::format("a tenant named \"{}\" exists", tenant.name), "name");
  }
  tx.exec_params0(kInsertWallet, pg::to_sql(tenant.wallet), pg::to_sql(tenant.id), tenant.currency, pg::to_sql(credit_limit));
  tx.exec_params0(kInsertWalletAccount, pg::to_sql(tenant.wallet), tenant.currency);
  tx.exec_params0(kInsertHouseAccounts, tenant.currency);
  return tenant;
}

std::vector<TenantRow> list_tenants(pqxx::work& tx, const PageOf& page) {
  static const std::string kList = std::string("SELECT ") + kTenantColumns + kTenantFrom +
                                   "WHERE ($1 = '' OR t.id > nullif($1, '')::uuid) ORDER BY t.id LIMIT $2";
  return read_all(tx.exec_params(kList, after_text(page), page.limit), read_tenant);
}

Result<TenantRow> suspend_tenant(pqxx::work& tx, const std::string& tenant, bool is_suspended) {
  TG_ASSIGN(auto row, find_tenant(tx, tenant));
  row.is_suspended = is_suspended;
  tx.exec_params0("UPDATE tenants SET is_suspended = $2::boolean WHERE id = $1", pg::to_sql(row.id), is_suspended ? "t" : "f");
  append_changes(tx, ChangeKind::kTenant, {row.id.to_string()});
  return row;
}

Result<TenantRow> set_tenant_regions(pqxx::work& tx, const std::string& tenant, std::vector<std::string> regions) {
  TG_ASSIGN(auto row, find_tenant(tx, tenant));
  row.regions = std::move(regions);
  tx.exec_params0("UPDATE tenants SET regions = $2::text[] WHERE id = $1", pg::to_sql(row.id),
                  pg::array_of(row.regions));
  append_changes(tx, ChangeKind::kTenant, {row.id.to_string()});
  return row;
}

Result<TenantRow> set_tenant_share(pqxx::work& tx, const std::string& tenant, std::int64_t queue_weight,
                                   const std::string& tier_max) {
  TG_ASSIGN(auto row, find_tenant(tx, tenant));
  row.queue_weight = queue_weight;
  row.tier_max = tier_max;
  tx.exec_params0("UPDATE tenants SET queue_weight = $2, tier_max = $3 WHERE id = $1", pg::to_sql(row.id), queue_weight,
                  tier_max);
  append_changes(tx, ChangeKind::kTenant, {row.id.to_string()});
  return row;
}

Result<ProjectRow> insert_project(pqxx::work& tx, const ProjectRow& project) {
  if (tx.exec_params(kInsertProject, pg::to_sql(project.id), pg::to_sql(project.tenant), project.name,
                     pg::to_sql(project.created))
          .empty()) {
    return fail(Code::kAlreadyExists, "project_exists",
                fmt::format("the tenant already has a project named \"{}\"", project.name), "name");
  }
  return project;
}

std::vector<ProjectRow> list_projects(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page) {
  static const std::string kList = std::string("SELECT ") + kProjectColumns + R"sql( FROM projects p
    WHERE ($1 = '' OR p.tenant_id = nullif($1, '')::uuid) AND ($2 = '' OR p.id > nullif($2, '')::uuid)
    ORDER BY p.id LIMIT $3)sql";
  return read_all(tx.exec_params(kList, tenant ? tenant->to_string() : "", after_text(page), page.limit), read_project);
}

Result<KeyRow> insert_key(pqxx::work& tx, const KeyRow& key, std::string_view mac, const KeyLimits& limits) {
  return insert_key_beside(tx, key, mac, limits, 0);
}

std::vector<KeyRow> list_keys(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page) {
  static const std::string kList = std::string("SELECT ") + kKeyColumns + kKeyFrom + R"sql(
    WHERE ($1 = '' OR p.tenant_id = nullif($1, '')::uuid) AND ($2 = '' OR k.id > nullif($2, '')::uuid)
    ORDER BY k.id LIMIT $3)sql";
  return read_all(tx.exec_params(kList, tenant ? tenant->to_string() : "", after_text(page), page.limit), read_key);
}

Result<KeyRow> revoke_key(pqxx::work& tx, const std::string& key, Wall now) {
  const auto revoked = tx.exec_params(kRevokeKey, key, pg::to_sql(now));
  if (revoked.empty()) return unknown_key(key);
  const auto id = pg::read_id<ApiKeyId>(revoked[0][0]);
  KeyRow row = load_key(tx, id);
  append_changes(tx, ChangeKind::kKey, {id.to_string()});
  return row;
}

Result<RotatedKeys> rotate_key(pqxx::work& tx, const RotateKey& wanted, const KeyLimits& limits, Wall now) {
  const auto locked = tx.exec_params(kLockKey, wanted.key);
  if (locked.empty()) return unknown_key(wanted.key);
  RotatedKeys keys;
  keys.old = load_key(tx, pg::read_id<ApiKeyId>(locked[0][0]));
  const KeyLife life{keys.old.expires, keys.old.revoked, keys.old.replaced_by};
  TG_ASSIGN(const Rotation plan, plan_rotation(life, wanted.overlap, wanted.expires, now));
  KeyRow successor = keys.old;
  successor.id = wanted.successor;
  successor.public_id = wanted.public_id;
  successor.created = now;
  successor.expires = plan.successor_expires;
  // Before the key: no gateway knows a key before what limits it.
  copy_between_keys(tx, kCopyCaps, ChangeKind::kCap, keys.old.id, successor.id, now);
  copy_between_keys(tx, kCopyLimits, ChangeKind::kLimit, keys.old.id, successor.id, now);
  const std::int64_t ending = plan.old_ends <= now ? 1 : 0;
  TG_ASSIGN(keys.successor, insert_key_beside(tx, successor, wanted.mac, limits, ending));
  tx.exec_params0(kReplaceKey, pg::to_sql(keys.old.id), pg::to_sql(successor.id), pg::to_sql(plan.old_ends));
  keys.old.expires = plan.old_ends;
  keys.old.replaced_by = successor.id.to_string();
  append_changes(tx, ChangeKind::kKey, {keys.old.id.to_string()});
  return keys;
}

std::vector<PrincipalRow> list_principals(pqxx::work& tx, const std::optional<Uuid>& after, int limit) {
  static const std::string kList = std::string("SELECT ") + kKeyColumns + kPrincipalColumns + kPrincipalFrom + R"sql(
    WHERE k.revoked_at IS NULL AND ($1 = '' OR k.id > nullif($1, '')::uuid) ORDER BY k.id LIMIT $2)sql";
  return read_all(tx.exec_params(kList, after ? after->to_string() : "", limit), read_principal);
}

std::vector<PrincipalRow> principals_of(pqxx::work& tx, const std::vector<std::string>& keys,
                                        const std::vector<std::string>& tenants) {
  static const std::string kFind = std::string("SELECT ") + kKeyColumns + kPrincipalColumns + kPrincipalFrom +
                                   "WHERE k.id = ANY ($1::uuid[]) OR p.tenant_id = ANY ($2::uuid[]) ORDER BY k.id";
  return read_all(tx.exec_params(kFind, pg::array_of(keys), pg::array_of(tenants)), read_principal);
}

}  // namespace tidegate::billing
