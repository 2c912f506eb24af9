#include "billing/config.h"

#include <fmt/format.h>

#include "base/core/secret_check.h"
#include "base/crypto/api_key.h"
#include "base/crypto/ed25519.h"
#include "billing/adapters/key_source.h"
#include "billing/core/person_rules.h"

namespace tidegate::billing {

ConfigTable config_table(Config& config) {
  ConfigTable table("tidegate-billing");
  table.text("grpc.listen", config.grpc_listen, "Address of the gRPC services: host:port or unix:/path.");
  table.text("admin.listen", config.admin_listen, "Address of /metrics, /livez and /readyz; keep it inside.");
  table.text("pg.dsn", config.pg_dsn, "PostgreSQL, as libpq keywords: host=/run/pg user=tidegate dbname=tidegate_billing.");
  table.required();
  table.text("pg.owner_dsn", config.pg_owner_dsn,
             "As pg.dsn, for the owner of the tables, who migrates and grants; empty: pg.dsn. Used at the start only.");
  table.text("pg.role", config.pg_role,
             "Role taken by every serving connection, tidegate_serve as a rule: it owns nothing. Empty: the user's own rights.");
  table.integer("pg.connections", config.pg_connections, 1, 200, "Connections to PostgreSQL.");
  table.secret_file("secrets.pepper_file", config.pepper, "Key of the HMAC under which API keys are stored; the gateways' own.");
  table.required();
  table.secret_file("secrets.cluster_token_file", config.cluster_token, "What gateways show to call the Accounts service.");
  table.required();
  table.secret_file("secrets.admin_key_file", config.admin_key, "The administrator's key (tga_...), for the BillingAdmin service.");
  table.required();
  table.secret_file("secrets.root_key_file", config.root_key,
                    "Key that signs the daily roots of receipts, made by: tidegate receipt-key mint. Another key in the file "
                    "is a rotation; the old public key stays published.");
  table.required();
  table.text("deployment.name", config.deployment, "Name of this installation, as on its gateways' receipts.");
  table.milliseconds("receipts.interval_ms", config.receipts_interval, 0, 3'600'000,
                     "Between looks for a day whose receipts want their root; 0 turns them off.");
  table.integer("grpc.worker_threads", config.worker_threads, 1, 200, "Threads that handle calls; each may wait for PostgreSQL.");
  table.integer("grpc.queue_max", config.queue_max, 1, 100'000, "Calls that wait for a thread before new ones are refused.");
  table.integer("keys.of_tenant", config.keys_alive_max, 1, 1'000'000,
                "Most keys of one tenant that are neither revoked nor expired. A limit on a key counts for that key alone: a "
                "tenant with many keys has many times as much.");
  table.integer("keys.created_per_day", config.keys_created_day_max, 1, 1'000'000,
                "Most keys of one tenant made within 24 hours, rotations included.");
  table.milliseconds("leases.ttl_ms", config.lease_ttl, 1'000, 3'600'000,
                     "How long a gateway may admit against a lease without asking again: one and a half times the gateways' "
                     "leases.horizon_ms, so that a renewed lease covers it. A grant that ends sooner backs no lease.");
  table.milliseconds("prices.lead_ms", config.price_lead, 0, 86'400'000,
                     "A change to a price in force starts at the earliest this long after it is published; not below the "
                     "gateways' longest request.");
  table.milliseconds("reconcile.interval_ms", config.reconcile_interval, 0, 86'400'000,
                     "Between reconciliations by one of the replicas; 0 turns them off.");
  table.milliseconds("budgets.interval_ms", config.budget_interval, 0, 3'600'000,
                     "Between rounds of one of the replicas over alerts, webhooks and expired grants; 0 turns them off.");
  table.flag("webhooks.allow_private", config.allow_private_webhooks,
                "Lets webhooks call private, loopback and link-local addresses.");
  table.integer("usage.retention_months", config.retention_months, 1, 1'200,
                "Whole months of usage kept before the current one. Older months are dropped, their sums stay, and their "
                "request ids are refused for ever.");
  table.milliseconds("usage.partition_interval_ms", config.partition_interval, 100, 86'400'000,
                     "Between looks at the months of usage: new ones are made ahead, expired ones dropped.");
  table.milliseconds("board.interval_ms", config.board_interval, 100, 3'600'000, "Between refreshes of the tenant board's gauges.");
  table.milliseconds("invoices.interval_ms", config.invoice_interval, 0, 86'400'000,
                     "Between looks for ended months by one of the replicas; 0: months are closed by hand only.");
  table.milliseconds("invoices.grace_ms", config.invoice_grace, 0, 2'592'000'000,
                     "After a month's end before it is closed; what is posted later belongs to the next month.");
  table.flag("invoices.drafts", config.invoice_drafts, "Leave drafts for a person to issue instead of issuing at once.");
  table.text("oidc.issuer", config.oidc_issuer,
             "Identity provider whose tokens (JWT) people may call the admin services with: its iss, to the letter. Empty: none.");
  table.text("oidc.audience", config.oidc_audience, "What the provider's tokens must name in aud to be for this installation.");
  table.text("oidc.jwks_file", config.oidc_jwks_file, "File of the provider's public keys (JWKS); read again when it changes.");
  table.text("oidc.jwks_url", config.oidc_jwks_url, "Or where they are fetched: https; one address, no redirects.");
  table.text("oidc.ca_file", config.oidc_ca_file, "PEM of the authorities behind oidc.jwks_url's certificate; empty: the system's.");
  table.milliseconds("oidc.refresh_ms", config.oidc_refresh, 10'000, 86'400'000, "Between looks at the provider's keys.");
  table.milliseconds("oidc.look_least_ms", config.oidc_look_least, 1'000, 3'600'000,
                     "At least between two looks, also when a token names an unknown key.");
  table.text("oidc.role_claim", config.oidc_role_claim, "Claim whose value, or list of values, says the role; may be a path such as realm_access.roles.");
  table.text("oidc.role_map", config.oidc_role_map,
             "What its values stand for: admins=owner,finance=billing,staff=viewer. The first entry that a person has decides.");
  table.text("oidc.tenant_claim", config.oidc_tenant_claim,
             "Claim that names the person's tenant by id or name, or * for every tenant. Empty: everybody is of the whole installation.");
  table.milliseconds("shutdown.drain_ms", config.drain, 0, 600'000, "How long calls under way may take at shutdown.");
  add_rpc_tls_rows(table, config.rpc_tls);
  add_log_row(table, config.log_level);
  table.text("tzdata.file", config.tzdata_file, "Where the version of the zone data is read from.");
  return table;
}

Status check_secrets(const Config& config) {
  TG_TRY(check_secret("secrets.pepper_file", config.pepper));
  TG_TRY(check_secret("secrets.cluster_token_file", config.cluster_token));
  const auto key = parse_api_key(config.admin_key);
  if (!key || key->kind != KeyKind::kAdmin) {
    return fail(Code::kInvalidArgument, "weak_secret",
                "secrets.admin_key_file must hold a key made by: tidegate admin-key mint", "secrets.admin_key_file");
  }
  TG_TRY(Ed25519Key::from_pem(config.root_key, "secrets.root_key_file"));
  if (config.pepper == config.cluster_token) {
    return fail(Code::kInvalidArgument, "weak_secret", "the pepper and the cluster token must differ", "secrets.pepper_file");
  }
  return {};
}

Status check_oidc(const Config& config) {
  const auto bad = [](const char* option, const char* why) {
    return fail(Code::kInvalidArgument, "bad_config", fmt::format("{} {}", option, why), option);
  };
  if (config.oidc_issuer.empty()) {
    const bool is_half = !config.oidc_audience.empty() || !config.oidc_jwks_file.empty() || !config.oidc_jwks_url.empty() ||
                         !config.oidc_role_map.empty() || !config.oidc_tenant_claim.empty();
    if (is_half) return bad("oidc.issuer", "is empty, but other options of oidc are set: nobody could sign in");
    return {};
  }
  if (config.oidc_audience.empty()) return bad("oidc.audience", "is needed with oidc.issuer: tokens for others would be taken");
  if (config.oidc_jwks_file.empty() == config.oidc_jwks_url.empty()) {
    return bad("oidc.jwks_file", "or oidc.jwks_url is needed with oidc.issuer, and one of them only");
  }
  if (!config.oidc_jwks_url.empty()) {
    TG_TRY(check_key_url(config.oidc_jwks_url));
  }
  if (config.oidc_role_claim.empty()) return bad("oidc.role_claim", "is needed with oidc.issuer");
  TG_TRY(RoleMap::parse(config.oidc_role_map));
  return {};
}

}  // namespace tidegate::billing
