#include "billing/adapters/admin_key_store.h"

#include <fmt/format.h>

#include "base/pg/types.h"

namespace tidegate::billing {

namespace {

constexpr const char* kSelectAdminKeys = R"sql(
  SELECT k.id, k.public_id, k.name, k.role, k.tenant_id, coalesce(t.name, ''),
         (extract(epoch FROM k.created_at) * 1000000)::bigint, (extract(epoch FROM k.expires_at) * 1000000)::bigint,
         (extract(epoch FROM k.revoked_at) * 1000000)::bigint, k.mac
    FROM admin_keys k LEFT JOIN tenants t ON t.id = k.tenant_id )sql";
constexpr const char* kInsertAdminKey = R"sql(
  INSERT INTO admin_keys (id, public_id, mac, name, role, tenant_id, created_at, expires_at)
  VALUES ($1, $2, $3::bytea, $4, $5, nullif($6, '')::uuid, $7, nullif($8, '')::timestamptz))sql";
constexpr const char* kRevoke = R"sql(
  UPDATE admin_keys SET revoked_at = coalesce(revoked_at, $2::timestamptz) WHERE id = $1)sql";

AdminKeyRow read_admin_key(const pqxx::row& row) {
  AdminKeyRow key;
  key.id = pg::read_uuid(row[0]);
  key.public_id = pg::read_text(row[1]);
  key.name = pg::read_text(row[2]);
  key.role = parse_admin_role(pg::read_text(row[3])).value();  // the column's CHECK knows the same names
  if (!pg::is_null(row[4])) key.tenant = pg::read_id<TenantId>(row[4]);
  key.tenant_name = pg::read_text(row[5]);
  key.created = pg::read_wall(row[6]);
  key.expires = pg::read_wall_if(row[7]);
  key.revoked = pg::read_wall_if(row[8]);
  return key;
}

}  // namespace

void insert_admin_key(pqxx::work& tx, const AdminKeyRow& key, std::string_view mac) {
  tx.exec_params0(kInsertAdminKey, pg::to_sql(key.id), key.public_id, pg::to_bytea(mac), key.name,
                  std::string(admin_role_name(key.role)), key.tenant ? key.tenant->to_string() : "",
                  pg::to_sql(key.created), key.expires ? pg::to_sql(*key.expires) : "");
}

std::vector<AdminKeyRow> list_admin_keys(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page) {
  static const std::string kList = std::string(kSelectAdminKeys) + R"sql(
    WHERE ($1 = '' OR k.tenant_id = nullif($1, '')::uuid) AND ($2 = '' OR k.id > nullif($2, '')::uuid)
    ORDER BY k.id LIMIT $3)sql";
  std::vector<AdminKeyRow> out;
  const std::string after = page.after ? page.after->to_string() : "";
  for (const auto& row : tx.exec_params(kList, tenant ? tenant->to_string() : "", after, page.limit)) {
    out.push_back(read_admin_key(row));
  }
  return out;
}

Result<AdminKeyRow> find_admin_key(pqxx::work& tx, const std::string& key) {
  static const std::string kFind = std::string(kSelectAdminKeys) + "WHERE k.id::text = $1 OR k.public_id = $1";
  const auto rows = tx.exec_params(kFind, key);
  if (!rows.empty()) return read_admin_key(rows[0]);
  return fail(Code::kNotFound, "unknown_key", fmt::format("there is no administrator key \"{}\"", key), "key_id");
}

AdminKeyRow revoke_admin_key(pqxx::work& tx, const Uuid& key, Wall now) {
  static const std::string kFind = std::string(kSelectAdminKeys) + "WHERE k.id = $1";
  tx.exec_params0(kRevoke, pg::to_sql(key), pg::to_sql(now));
  return read_admin_key(tx.exec_params1(kFind, pg::to_sql(key)));
}

std::optional<AdminKeySecret> load_admin_secret(pqxx::work& tx, const std::string& public_id) {
  static const std::string kFind = std::string(kSelectAdminKeys) + "WHERE k.public_id = $1";
  const auto rows = tx.exec_params(kFind, public_id);
  if (rows.empty()) return std::nullopt;
  return AdminKeySecret{read_admin_key(rows[0]), pg::read_bytea(rows[0][9])};
}

}  // namespace tidegate::billing
