#include "billing/adapters/roles.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/core/encoding.h"
#include "base/crypto/sha256.h"
#include "base/pg/types.h"

namespace tidegate::billing {
namespace {

constexpr const char* kByTenant = "tenant_id = $T";
constexpr const char* kByWallet = "wallet_id IN (SELECT id FROM wallets WHERE tenant_id = $T)";

/// Every table, in the order of the alphabet. Views read with the caller's rights and need no rule.
constexpr TableRule kTables[] = {
    {"accelerator_use", TableUse::kAppend, nullptr},
    {"admin_keys", TableUse::kChange, kByTenant},
    {"alerts", TableUse::kChange, kByTenant},
    {"allowance_counts", TableUse::kChange, kByWallet},
    {"allowance_plans", TableUse::kChange, nullptr},
    {"allowance_tiers", TableUse::kAppend, nullptr},
    {"api_keys", TableUse::kChange, "project_id IN (SELECT id FROM projects WHERE tenant_id = $T)"},
    {"audit_checkpoints", TableUse::kAppend, nullptr},
    {"audit_entries", TableUse::kRead, nullptr},
    {"audit_head", TableUse::kRead, nullptr},
    {"audit_pending", TableUse::kRead, nullptr},
    {"billing_profiles", TableUse::kChange, kByTenant},
    {"calendars", TableUse::kAppend, nullptr},
    {"cap_lease_moves", TableUse::kAppend, nullptr},
    {"cap_leases", TableUse::kChange, nullptr},
    {"cap_periods", TableUse::kChange, nullptr},
    {"caps", TableUse::kChange, kByTenant},
    {"change_clock", TableUse::kChange, nullptr},
    {"changes", TableUse::kAppend, nullptr},
    {"cost_rates", TableUse::kAppend, nullptr},
    {"document_numbers", TableUse::kChange, nullptr},
    {"epochs", TableUse::kChange, nullptr},
    {"gateways", TableUse::kChange, nullptr},
    {"grant_uses", TableUse::kAppend, nullptr},
    {"grants", TableUse::kChange, kByWallet},
    {"invoice_lines", TableUse::kAppend, "invoice IN (SELECT id FROM invoices)"},
    {"invoice_parts", TableUse::kAppend, "invoice IN (SELECT id FROM invoices)"},
    {"invoices", TableUse::kChange, kByTenant},
    {"issuers", TableUse::kChange, nullptr},
    {"lease_moves", TableUse::kAppend, nullptr},
    {"leases", TableUse::kChange, kByWallet},
    {"ledger_accounts", TableUse::kChange, kByWallet},
    {"ledger_entries", TableUse::kAppend, "tx IN (SELECT id FROM ledger_tx)"},
    {"ledger_tx", TableUse::kAppend, kByWallet},
    {"posting_lines", TableUse::kAppend, "posting IN (SELECT id FROM ledger_tx)"},
    {"price_modifiers", TableUse::kChange, nullptr},
    {"price_rates", TableUse::kAppend, nullptr},
    {"price_schedules", TableUse::kAppend, nullptr},
    {"price_state", TableUse::kChange, nullptr},
    {"price_versions", TableUse::kChange, nullptr},
    {"price_windows", TableUse::kAppend, nullptr},
    {"projects", TableUse::kChange, kByTenant},
    {"rate_limits", TableUse::kChange, kByTenant},
    {"receipt_batches", TableUse::kAppend, nullptr},
    {"receipt_chunks", TableUse::kAppend, nullptr},
    {"receipt_cuts", TableUse::kAppend, nullptr},
    {"receipt_days", TableUse::kAppend, nullptr},
    {"receipt_keys", TableUse::kChange, nullptr},
    {"rerate_runs", TableUse::kChange, nullptr},
    {"rerate_totals", TableUse::kChange, nullptr},
    {"tenants", TableUse::kChange, "id = $T"},
    {"tidegate_lease", TableUse::kChange, nullptr},
    {"tidegate_schema_migrations", TableUse::kAppend, nullptr},
    {"usage_caps", TableUse::kAppend, nullptr},
    {"usage_cells", TableUse::kChange, kByTenant},
    {"usage_dropped", TableUse::kRead, nullptr},
    {"usage_dropped_hours", TableUse::kRead, kByTenant},
    {"usage_dropped_payers", TableUse::kRead, "payer IN (SELECT id FROM usage_payers)"},
    {"usage_dropped_postings", TableUse::kRead, "tx IN (SELECT id FROM ledger_tx)"},
    {"usage_hours", TableUse::kChange, "cell IN (SELECT id FROM usage_cells)"},
    {"usage_hours_extra", TableUse::kChange, "cell IN (SELECT id FROM usage_cells)"},
    {"usage_log", TableUse::kAppend, "tenant = (SELECT number FROM tenants WHERE id = $T)"},
    {"usage_payers", TableUse::kChange, kByTenant},
    {"usage_reratings", TableUse::kAppend, "event_id IN (SELECT id FROM usage_log)"},
    {"usage_retention", TableUse::kChange, nullptr},
    {"usage_routes", TableUse::kChange, nullptr},
    {"usage_tariffs", TableUse::kChange, nullptr},
    {"wal_batches", TableUse::kAppend, nullptr},
    {"wallet_closings", TableUse::kChange, kByWallet},
    {"wallets", TableUse::kChange, kByTenant},
    {"webhooks", TableUse::kDelete, kByTenant},
    {"worker_lives", TableUse::kChange, nullptr},
    {"worker_records", TableUse::kDelete, nullptr},
    {"worker_records_kept", TableUse::kChange, nullptr},
};

/// Roles are the whole server's: two databases may be migrated at once.
constexpr const char* kMakeRoles = R"sql(
  DO $$ DECLARE wanted text;
  BEGIN
    FOREACH wanted IN ARRAY ARRAY['tidegate_serve', 'tidegate_read'] LOOP
      IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = wanted) THEN
        BEGIN
          EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
      END IF;
    END LOOP;
  END $$)sql";
constexpr const char* kSchema = R"sql(
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;
  GRANT USAGE ON SCHEMA public TO tidegate_serve, tidegate_read;
  GRANT SELECT ON ALL TABLES IN SCHEMA public TO tidegate_read;
  REVOKE SELECT ON api_keys FROM tidegate_read;
  GRANT SELECT (id, project_id, public_id, name, models, created_at, expires_at, revoked_at, scopes, sources, replaced_by)
    ON api_keys TO tidegate_read;
  REVOKE SELECT ON admin_keys FROM tidegate_read;
  GRANT SELECT (id, public_id, name, role, tenant_id, created_at, expires_at, revoked_at) ON admin_keys TO tidegate_read;
  REVOKE SELECT ON webhooks FROM tidegate_read;
  GRANT SELECT (tenant_id, url, changed_at) ON webhooks TO tidegate_read;
  GRANT SELECT ON usage_events, rated_lines, usage_hourly, all_ratings, live_ratings, live_lines, live_hours TO tidegate_serve;
  ALTER VIEW usage_events SET (security_invoker = true);
  ALTER VIEW rated_lines SET (security_invoker = true);
  ALTER VIEW usage_hourly SET (security_invoker = true);
  ALTER VIEW all_ratings SET (security_invoker = true);
  ALTER VIEW live_lines SET (security_invoker = true);
  ALTER VIEW live_ratings SET (security_invoker = true);
  ALTER VIEW live_hours SET (security_invoker = true);
  ALTER FUNCTION make_usage_partition(timestamptz) SECURITY DEFINER SET search_path = public, pg_temp;
  ALTER FUNCTION drop_usage_partition(text) SECURITY DEFINER SET search_path = public, pg_temp)sql";
/// What the leases of background jobs stand in; made here, because who serves may not make tables.
constexpr const char* kMakeLease = R"sql(
  CREATE TABLE IF NOT EXISTS tidegate_lease (
    name text PRIMARY KEY, holder text NOT NULL, term bigint NOT NULL CHECK (term > 0), expires_at timestamptz NOT NULL))sql";
/// Ordinary and partitioned tables; the partitions follow their parents.
constexpr const char* kAllTables = R"sql(
  SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1)sql";

const TableRule* rule_of(std::string_view table) {
  const auto found = std::ranges::find_if(kTables, [&](const TableRule& rule) { return table == rule.table; });
  return found == std::end(kTables) ? nullptr : &*found;
}

std::string_view rights(TableUse use) {
  switch (use) {
    case TableUse::kRead:
      return "SELECT";
    case TableUse::kAppend:
      return "SELECT, INSERT";
    case TableUse::kChange:
      return "SELECT, INSERT, UPDATE";
    case TableUse::kDelete:
      return "SELECT, INSERT, UPDATE, DELETE";
  }
  return "";
}

/// The setting is read once a statement: a plain call would be made for every row.
std::string tenant_policy(const TableRule& rule) {
  std::string condition = rule.of_tenant;
  constexpr std::string_view kPlace = "$T";
  const auto at = condition.find(kPlace);
  if (at != condition.npos) {
    condition.replace(at, kPlace.size(), "(SELECT nullif(current_setting('tidegate.tenant', true), '')::uuid)");
  }
  return fmt::format(
      "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY;"
      "DROP POLICY IF EXISTS tenant_reads ON {0}; DROP POLICY IF EXISTS service_inserts ON {0};"
      "DROP POLICY IF EXISTS service_updates ON {0}; DROP POLICY IF EXISTS service_deletes ON {0};"
      "CREATE POLICY tenant_reads ON {0} FOR SELECT TO tidegate_serve, tidegate_read USING ("
      "(SELECT coalesce(current_setting('tidegate.tenant', true), '') = '') OR {1});"
      "CREATE POLICY service_inserts ON {0} FOR INSERT TO tidegate_serve WITH CHECK (true);"
      "CREATE POLICY service_updates ON {0} FOR UPDATE TO tidegate_serve USING (true);"
      "CREATE POLICY service_deletes ON {0} FOR DELETE TO tidegate_serve USING (true)",
      rule.table, condition);
}

}  // namespace

void apply_roles(pqxx::work& tx) {
  tx.exec1("SELECT pg_advisory_xact_lock(hashtext('billing/apply_roles'))");
  tx.exec0(kMakeRoles);
  tx.exec0(kMakeLease);
  std::vector<std::string> statements = {kSchema};
  for (const auto& row : tx.exec(kAllTables)) {
    const std::string table = pg::read_text(row[0]);
    const TableRule* rule = rule_of(table);
    statements.push_back(fmt::format("REVOKE ALL ON {0} FROM {1}; GRANT {2} ON {0} TO {1}", tx.quote_name(table),
                                     kServeRole, rights(rule == nullptr ? TableUse::kChange : rule->use)));
    if (rule != nullptr && rule->of_tenant != nullptr) statements.push_back(tenant_policy(*rule));
  }
  // Policies lock their tables against everybody: a replica that starts while others serve must not touch them again.
  std::string all;
  for (const std::string& statement : statements) all += statement + "\n";
  const std::string mark = "roles " + hex_encode(as_view(sha256(all)));
  const auto before = tx.exec1("SELECT obj_description('tidegate_lease'::regclass)");
  if (!before[0].is_null() && pg::read_text(before[0]) == mark) return;
  for (const std::string& statement : statements) tx.exec0(statement);
  tx.exec0("COMMENT ON TABLE tidegate_lease IS " + tx.quote(mark));
}

std::vector<std::string> tables_without_rule(pqxx::work& tx) {
  std::vector<std::string> out;
  for (const auto& row : tx.exec(kAllTables)) {
    if (rule_of(pg::read_text(row[0])) == nullptr) out.push_back(pg::read_text(row[0]));
  }
  return out;
}

void scope_to_tenant(pqxx::work& tx, const std::string& tenant_uuid) {
  tx.exec0("SET LOCAL tidegate.tenant = " + tx.quote(tenant_uuid));
}

Result<bool> is_row_security_on(pqxx::work& tx) {
  return pg::read_bool(tx.exec1("SELECT row_security_active('tenants') AND row_security_active('api_keys')")[0]);
}

}  // namespace tidegate::billing
