#include "billing/wiring.h"

#include <fstream>
#include <memory>
#include <utility>

#include "base/core/ids.h"
#include "base/pg/pool.h"
#include "base/rpc/server.h"
#include "base/rpc/tls.h"
#include "base/rpc/work_pool.h"
#include "billing/adapters/issuer_keys.h"
#include "billing/adapters/key_source.h"
#include "billing/adapters/receipt_store.h"
#include "billing/adapters/roles.h"
#include "billing/jobs/budget_job.h"
#include "billing/jobs/closing_job.h"
#include "billing/jobs/partition_job.h"
#include "billing/jobs/receipt_job.h"
#include "billing/jobs/reconcile_job.h"
#include "billing/jobs/tenant_board_job.h"
#include "billing/migrations/migrations.h"
#include "billing/rpc/accounts_service.h"
#include "billing/rpc/admin_service.h"
#include "billing/rpc/audit_service.h"
#include "billing/rpc/balance_service.h"
#include "billing/rpc/budget_service.h"
#include "billing/rpc/ledger_service.h"
#include "billing/rpc/limit_service.h"
#include "billing/rpc/meter_service.h"
#include "billing/rpc/people_service.h"
#include "billing/rpc/person_check.h"
#include "billing/rpc/pricing_service.h"
#include "billing/rpc/receipt_service.h"
#include "billing/rpc/statement_service.h"
#include "billing/rpc/watch_hub.h"

namespace tidegate::billing {

namespace {

constexpr auto kMigrateLimit = std::chrono::seconds(60);
constexpr auto kProbeLimit = std::chrono::seconds(1);

/// "# version 2025b" is the first line of tzdata.zi.
std::string tzdata_version(const std::string& path) {
  std::ifstream file(path);
  std::string hash, word, version;
  file >> hash >> word >> version;
  return hash == "#" && word == "version" && !version.empty() ? version : "unknown";
}

pg::PoolOptions pool_options(const Config& config) {
  pg::PoolOptions options;
  options.connection = config.pg_dsn;
  options.role = config.pg_role;
  options.application = "tidegate-billing";
  options.connections = static_cast<std::size_t>(config.pg_connections);
  options.queue_max = static_cast<std::size_t>(config.queue_max);
  options.statement_timeout = std::chrono::minutes(5);  // calls bring their own, shorter deadline
  options.idle_in_transaction_timeout = std::chrono::seconds(30);
  options.lock_timeout = std::chrono::seconds(10);  // whoever waits that long is better told than kept
  return options;
}

/// As the owner, whose rights end with this connection.
Status grant_roles(const std::string& owner_dsn, Deadline deadline) {
  pg::Pool owner({.connection = owner_dsn, .application = "billing-roles", .connections = 1});
  auto job = [](pqxx::work& tx) -> Status {
    apply_roles(tx);
    return {};
  };
  return owner.run_blocking(deadline, job);
}

/// Null without an identity provider. The options are sound: check_oidc() was asked.
Result<std::unique_ptr<PersonCheck>> make_person_check(const Config& config, const Clock& clock, Log& log,
                                                       BillingMetrics& metrics) {
  if (config.oidc_issuer.empty()) return std::unique_ptr<PersonCheck>();
  PersonCheckOptions options;
  options.token = JwtRules{config.oidc_issuer, config.oidc_audience};
  options.role_claim = config.oidc_role_claim;
  options.tenant_claim = config.oidc_tenant_claim;
  TG_ASSIGN(options.roles, RoleMap::parse(config.oidc_role_map));
  IssuerKeyOptions looks;
  looks.refresh_every = config.oidc_refresh;
  looks.look_least = config.oidc_look_least;
  auto source = config.oidc_jwks_url.empty() ? make_key_file(config.oidc_jwks_file)
                                             : make_key_url({config.oidc_jwks_url, config.oidc_ca_file});
  auto keys = std::make_unique<IssuerKeys>(std::move(source), looks, clock, log, metrics.issuer_key_loads,
                                           metrics.issuer_key_failures);
  return std::make_unique<PersonCheck>(std::move(options), std::move(keys), clock, log);
}

}  // namespace

/// In the order of need; destroyed the other way round, after stop() has quieted them.
struct Billing::Parts {
  Parts(const Config& config_in, const Surroundings& around)
      : config(config_in),
        metrics(around.registry),
        ids(around.clock, around.entropy),
        pool(pool_options(config), {&metrics.pool_queued, &metrics.pool_wait_seconds, &metrics.pool_run_seconds,
                                    &metrics.pool_retries, &metrics.pool_reconnects}),
        context{pool,
                around.clock,
                ids,
                around.entropy,
                around.log,
                metrics,
                prices,
                config.pepper,
                tzdata_version(config.tzdata_file),
                config.price_lead,
                config.lease_ttl,
                config.admin_key},
        workers(static_cast<std::size_t>(config.worker_threads), static_cast<std::size_t>(config.queue_max), "billing"),
        hub(context, workers),
        accounts(context, workers, gate_for({"gateway"}), hub),
        meter(context, workers, gate_for({"worker"})),
        admin(context, workers),
        budgets(context, workers),
        limits(context, workers),
        ledger(context, workers),
        statements(context, workers, config.invoice_grace),
        pricing(context, workers),
        receipts(context, workers),
        receipt_lookup(context, workers, gate_for({"gateway"})),
        balance_lookup(context, workers, gate_for({"gateway"})),
        people(context, workers, gate_for({"scheduler"})),
        audit(context, workers) {}

  rpc::AuthGate gate_for(std::vector<std::string> roles) const {
    return rpc::AuthGate::required(config.cluster_token).for_roles(std::move(roles));
  }

  Config config;
  BillingMetrics metrics;
  UuidV7Source ids;
  pg::Pool pool;
  std::weak_ptr<const bool> probe_under_way;  // of the thread that probes
  PriceCache prices;
  std::unique_ptr<PersonCheck> person_check;  // null: no identity provider
  ServiceContext context;
  rpc::WorkPool workers;
  WatchHub hub;
  AccountsService accounts;
  MeterService meter;
  AdminService admin;
  BudgetService budgets;
  LimitService limits;
  LedgerService ledger;
  StatementService statements;
  PricingService pricing;
  ReceiptService receipts;
  ReceiptLookupService receipt_lookup;
  BalanceLookupService balance_lookup;
  PeopleService people;
  AuditService audit;
  std::unique_ptr<rpc::RpcServer> server;
  std::unique_ptr<ReconcileJob> reconcile;
  std::unique_ptr<TenantBoardJob> tenant_board;
  std::unique_ptr<ClosingJob> closing;
  std::unique_ptr<BudgetJob> budget_job;
  std::unique_ptr<PartitionJob> partitions;
  std::unique_ptr<ReceiptJob> receipt_job;
};

Billing::Billing(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Billing::~Billing() { stop(); }

Result<std::unique_ptr<Billing>> Billing::start(const Config& config, const Surroundings& surroundings) {
  TG_TRY(check_secrets(config));
  TG_TRY(rpc::check_rpc_tls(config.rpc_tls, rpc::kBillingRole, surroundings.clock.wall()));
  TG_TRY(check_oidc(config));
  const std::string& owner_dsn = config.pg_owner_dsn.empty() ? config.pg_dsn : config.pg_owner_dsn;
  TG_ASSIGN(const auto report, pg::migrate(owner_dsn, "billing", migrations(),
                                           Deadline::after(surroundings.clock.mono(), kMigrateLimit)));
  surroundings.log.info("migrated", {kv("from", report.version_before), kv("to", report.version_after)});
  TG_TRY(grant_roles(owner_dsn, Deadline::after(surroundings.clock.mono(), kMigrateLimit)));
  auto billing = std::unique_ptr<Billing>(new Billing(std::make_unique<Parts>(config, surroundings)));
  Parts& parts = *billing->parts_;
  TG_ASSIGN(parts.context.has_row_security,
            parts.pool.run_blocking(Deadline::after(surroundings.clock.mono(), kMigrateLimit), is_row_security_on));
  TG_ASSIGN(parts.person_check,
            make_person_check(config, surroundings.clock, surroundings.log, parts.metrics));
  parts.context.people = parts.person_check.get();
  parts.context.keys = {.alive_max = config.keys_alive_max, .created_day_max = config.keys_created_day_max};
  parts.hub.start(config.pg_dsn);
  if (config.reconcile_interval.count() > 0) {
    parts.reconcile = std::make_unique<ReconcileJob>(parts.context, parts.ids.next().to_string(), config.reconcile_interval);
  }
  if (config.invoice_interval.count() > 0) {
    parts.closing = std::make_unique<ClosingJob>(
        parts.context, parts.ids.next().to_string(),
        ClosingJob::Options{config.invoice_interval, config.invoice_grace, config.invoice_drafts});
  }
  TG_TRY(billing->start_receipts());
  parts.tenant_board = std::make_unique<TenantBoardJob>(parts.context, surroundings.registry, config.board_interval);
  if (config.budget_interval.count() > 0) {
    const WebhookPolicy webhooks{.allows_private = config.allow_private_webhooks};
    parts.budget_job =
        std::make_unique<BudgetJob>(parts.context, parts.ids.next().to_string(), config.budget_interval, webhooks);
  }
  parts.partitions = std::make_unique<PartitionJob>(parts.context, parts.ids.next().to_string(), config.partition_interval,
                                                    static_cast<int>(config.retention_months));
  rpc::ServerOptions options;
  options.listen = {config.grpc_listen};
  options.tls = config.rpc_tls;
  options.message_bytes_max = 16 << 20;  // a batch of 1,000 events is about half a megabyte
  TG_ASSIGN(parts.server, rpc::RpcServer::start(options, {&parts.accounts, &parts.meter, &parts.admin, &parts.budgets,
                                                          &parts.limits, &parts.ledger, &parts.statements,
                                                          &parts.pricing, &parts.receipts, &parts.receipt_lookup,
                                                          &parts.balance_lookup, &parts.people, &parts.audit}));
  surroundings.log.info("listening", {kv("grpc", billing->address())});
  return billing;
}

/// Publishes the key of the roots and begins to seal days.
Status Billing::start_receipts() {
  Parts& parts = *parts_;
  const Config& config = parts.config;
  TG_ASSIGN(const auto key, Ed25519Key::from_pem(config.root_key, "secrets.root_key_file"));
  const Wall now = parts.context.clock.wall();
  auto publish = [&](pqxx::work& tx) {
    return register_receipt_key(tx, "billing", config.deployment, key.public_key().raw(), now);
  };
  TG_TRY(parts.pool.run_blocking(Deadline::after(parts.context.clock.mono(), kMigrateLimit), publish));
  if (config.receipts_interval.count() == 0) return {};
  const ReceiptJob::Options options{.deployment = config.deployment, .interval = config.receipts_interval};
  parts.receipt_job = std::make_unique<ReceiptJob>(parts.context, options, key, parts.ids.next().to_string());
  return {};
}

const std::string& Billing::address() const { return parts_->server->addresses().front(); }

Status Billing::probe() const {
  // A PostgreSQL that hangs keeps the question, and a thread of the pool with it: one is enough.
  if (!parts_->probe_under_way.expired()) {
    return fail(Code::kUnavailable, "database_silent", "PostgreSQL has not answered a probe of some time ago");
  }
  const auto token = std::make_shared<const bool>(true);
  parts_->probe_under_way = token;
  auto ask = [token](pqxx::work& tx) -> Status {
    tx.exec1("SELECT 1");
    return {};
  };
  return parts_->pool.run_bounded(Deadline::after(parts_->context.clock.mono(), kProbeLimit), std::move(ask));
}

void Billing::stop() {
  parts_->hub.stop();
  if (parts_->server) {
    parts_->server->drain(Deadline::after(parts_->context.clock.mono(), parts_->config.drain));
  }
  parts_->budget_job.reset();
  parts_->receipt_job.reset();
  parts_->tenant_board.reset();
  parts_->partitions.reset();
  parts_->reconcile.reset();
  parts_->closing.reset();
  parts_->workers.stop();
  parts_->pool.stop();
}

}  // namespace tidegate::billing
