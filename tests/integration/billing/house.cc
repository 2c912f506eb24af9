#include "tests/integration/billing/house.h"

#include <stdexcept>

#include "base/pg/migrate.h"
#include "base/pg/pool.h"
#include "base/receipt_event/event_receipt.h"
#include "billing/adapters/price_store.h"
#include "billing/migrations/migrations.h"

namespace tidegate::billing {

namespace {

/// Model "m": off-peak 1/2/4, peak (Shanghai working days 09-12) twice that, per million tokens; in both currencies.
constexpr const char* kPrices = R"({
  "calendars": {"CN": ["2026-10-01"]},
  "price_books": [{"id": "tide", "models": ["m"], "effective_from": "2020-01-01T00:00:00Z", "schedules": [
    {"name": "offpeak", "default": true, "rates": {
      "USD": {"input_cache_hit": "1", "input_cache_miss": "2", "output": "4"},
      "CNY": {"input_cache_hit": "7", "input_cache_miss": "14", "output": "28"}}},
    {"name": "peak", "tz": "Asia/Shanghai", "days": [1,2,3,4,5], "windows": ["09:00-12:00"], "exclude_calendar": "CN",
     "rates": {
      "USD": {"input_cache_hit": "2", "input_cache_miss": "4", "output": "8"},
      "CNY": {"input_cache_hit": "14", "input_cache_miss": "28", "output": "56"}}}]}]})";

}  // namespace

std::string migrated_database() {
  static std::string schema;
  static std::string home;  // its server: repeated runs of a program have one each
  test::PgServer& server = test::PgEnvironment::server();
  if (home != server.connection_string()) {
    schema = server.create_database("schema");
    const auto report = pg::migrate(schema, "billing", migrations(), soon());
    if (!report) throw std::runtime_error(report.error().to_string());
    home = server.connection_string();
  }
  return server.copy_database(schema);
}

House::House(const std::string& dsn) {
  config_.grpc_listen = "127.0.0.1:0";
  config_.pg_dsn = dsn;
  config_.pepper = "0123456789abcdef0123456789abcdef-pepper";
  config_.cluster_token = "0123456789abcdef0123456789abcdef-token";
  config_.admin_key = mint_api_key(entropy_, KeyKind::kAdmin).text;
  config_.root_key = root_key_.pem();
  config_.receipts_interval = std::chrono::milliseconds(0);
  config_.reconcile_interval = std::chrono::milliseconds(0);
  config_.budget_interval = std::chrono::milliseconds(0);
  config_.invoice_interval = std::chrono::milliseconds(0);
  config_.drain = std::chrono::milliseconds(2000);
  billing_ = start_replica();
  connect();
  const auto loaded = load_prices_file(kPrices);
  EXPECT_TRUE(loaded) << loaded.error().to_string();
}

House::~House() {
  accounts_channel_->shut();
  admin_channel_->shut();
  if (billing_) billing_->stop();
}

std::unique_ptr<Billing> House::start_replica() {
  auto billing = Billing::start(config_, {clock_, entropy_, log_, registry_});
  EXPECT_TRUE(billing) << billing.error().to_string();
  return billing ? *std::move(billing) : nullptr;
}

void House::connect() {
  rpc::ChannelOptions options;
  options.token = config_.cluster_token;
  accounts_channel_ = rpc::make_channel(billing_->address(), options).value();
  options.token = config_.admin_key;
  admin_channel_ = rpc::make_channel(billing_->address(), options).value();
  accounts_ = std::make_unique<rpc::Client<v1::Accounts>>(accounts_channel_);
  admin_ = std::make_unique<rpc::Client<v1::BillingAdmin>>(admin_channel_);
  budgets_ = std::make_unique<rpc::Client<v1::Budgets>>(admin_channel_);
}

void House::restart() {
  accounts_channel_->shut();
  admin_channel_->shut();
  billing_->stop();
  billing_ = start_replica();
  connect();
}

House::Customer House::make_customer(const std::string& name, const std::string& credit, const std::string& currency) {
  Customer customer;
  v1::CreateTenantRequest tenant;
  tenant.set_name(name);
  tenant.set_currency(currency);
  customer.tenant = admin(&AdminApi::CreateTenant, tenant).value();
  v1::CreateProjectRequest project;
  project.set_tenant(name);
  project.set_name("default");
  customer.project = admin(&AdminApi::CreateProject, project).value();
  v1::CreateKeyRequest key;
  key.set_tenant(name);
  key.set_project("default");
  customer.key = admin(&AdminApi::CreateKey, key).value();
  if (credit != "0") {
    v1::TopUpRequest top_up;
    top_up.set_tenant(name);
    top_up.set_amount(credit);
    EXPECT_TRUE(admin(&AdminApi::TopUp, top_up));
  }
  return customer;
}

v1::Wallet House::wallet_of(const Customer& customer) {
  v1::ListWalletsRequest request;
  request.set_tenant(customer.tenant.name());
  return admin(&AdminApi::ListWallets, request).value().wallets(0);
}

Result<v1::LoadPricesResponse> House::load_prices_file(const std::string& json) {
  v1::LoadPricesRequest request;
  request.set_file_json(json);
  book_.reset();
  return admin(&AdminApi::LoadPrices, request);
}

v1::OpenEpochRequest House::epoch_request(const std::string& gateway) {
  v1::OpenEpochRequest request;
  request.set_gateway_id(gateway);
  request.set_boot_id(raw_uuid());
  request.set_region("local");
  return request;
}

std::uint64_t House::open_epoch(const std::string& gateway) {
  return accounts(&AccountsApi::OpenEpoch, epoch_request(gateway)).value().epoch();
}

v1::AcquireLeaseRequest House::lease_request(const Customer& customer, std::uint64_t epoch, const std::string& want,
                                             const std::string& least, const std::string& gateway) {
  v1::AcquireLeaseRequest request;
  request.set_gateway_id(gateway);
  request.set_epoch(epoch);
  request.set_wallet_id(customer.wallet_raw());
  request.set_want(want);
  request.set_least(least == "0" ? want : least);
  request.set_grant_id(raw_uuid());
  return request;
}

void House::rate(v1::UsageEvent& event, const std::string& currency) {
  if (!book_) {
    pg::Pool pool({.connection = config_.pg_dsn, .connections = 1});
    book_ = pool.run_blocking(soon(), load_prices).value().book;
  }
  const price::Instants instants{wall_from_unix_micros(event.admitted_us()), wall_from_unix_micros(event.started_us()),
                                 wall_from_unix_micros(event.completed_us()),
                                 std::chrono::microseconds(event.clock_error_us())};
  const std::string tenant = TenantId::from_bytes(event.tenant_id())->to_string();
  const auto rated = book_->rate({event.model(), currency, event.region(), event.pool(), tenant}, instants,
                                 {event.cached_tokens(), event.prompt_tokens() - event.cached_tokens(), event.completion_tokens()});
  ASSERT_TRUE(rated) << rated.error().to_string();
  event.set_price_version(rated->price_version);
  event.set_band(rated->band);
  event.set_amount(rated->total.to_string());
}

v1::UsageEvent House::make_event(const Customer& customer, const v1::Lease& lease, std::uint64_t sequence,
                                 std::int64_t prompt, std::int64_t cached, std::int64_t completion) {
  v1::UsageEvent event;
  event.set_sequence(sequence);
  event.set_request_id(raw_uuid());
  event.set_tenant_id(std::string(TenantId::parse(customer.tenant.tenant_id())->raw()));
  event.set_project_id(std::string(ProjectId::parse(customer.project.project_id())->raw()));
  event.set_key_id(std::string(ApiKeyId::parse(customer.key.key().key_id())->raw()));
  event.set_wallet_id(customer.wallet_raw());
  event.set_lease_id(lease.lease_id());
  event.set_model("m");
  event.set_variant("fp8");
  event.set_region("local");
  event.set_pool("cpu");
  event.set_worker_id("w1");
  event.set_weights_digest("sha256:0");
  event.set_status(v1::USAGE_STATUS_COMPLETED);
  event.set_finish_reason("stop");
  const std::int64_t completed = unix_micros(parse_rfc3339("2026-11-20T02:30:00Z").value());  // peak in Shanghai
  event.set_admitted_us(completed - 2'000'000);
  event.set_started_us(completed - 1'900'000);
  event.set_completed_us(completed);
  event.set_prompt_tokens(prompt);
  event.set_cached_tokens(cached);
  event.set_completion_tokens(completion);
  event.set_is_stream(true);
  event.set_surface("http.chat");
  rate(event, customer.tenant.currency());
  return event;
}

v1::UsageBatch House::make_batch(std::uint64_t epoch, std::vector<v1::UsageEvent> events, const std::string& gateway) {
  v1::UsageBatch batch;
  batch.set_gateway_id(gateway);
  batch.set_epoch(epoch);
  for (auto& event : events) *batch.add_events() = std::move(event);
  return batch;
}

void House::sign(v1::UsageBatch& batch, const Ed25519Key& key, Digest& link) {
  for (auto& event : *batch.mutable_events()) {
    const price::PriceVersion* version = book_->find(event.price_version());
    const price::Instants instants{wall_from_unix_micros(event.admitted_us()), wall_from_unix_micros(event.started_us()),
                                   wall_from_unix_micros(event.completed_us()),
                                   std::chrono::microseconds(event.clock_error_us())};
    const auto rated = book_->rate(*version, instants,
                                   {event.cached_tokens(), event.prompt_tokens() - event.cached_tokens(), event.completion_tokens()});
    ASSERT_TRUE(rated);
    v1::ReceiptPart& part = *event.mutable_receipt();
    part.Clear();
    part.set_previous(std::string(as_view(link)));
    part.set_deployment("tide-test");
    part.set_caller("4fQ81kLm");
    part.set_basis(v1::PRICE_BASIS_COMPLETED_AT);
    part.set_priced_us(unix_micros(rated->priced_at));
    part.set_price_book(rated->book);
    part.set_currency(version->currency);
    for (const auto& line : rated->lines) {
      v1::ReceiptPart::Line* to = part.add_lines();
      to->set_meter(std::string(price::meter_name(line.meter)));
      to->set_quantity(line.quantity);
      to->set_micro_per_million(line.rate.micro_per_million());
      to->set_amount(line.amount.to_string());
    }
    const std::string body = receipt::encode_body(receipt_of(event, batch.gateway_id(), batch.epoch()).value());
    const Signature signature = receipt::signature_of(body, key);
    part.set_key_id(key.public_key().id());
    part.set_signature(std::string(as_view(signature)));
    link = receipt::link_of(body);
  }
}

v1::ReconcileResponse House::reconcile_now() {
  const auto report = admin(&AdminApi::Reconcile, v1::ReconcileRequest());
  EXPECT_TRUE(report) << report.error().to_string();
  return report.value_or(v1::ReconcileResponse());
}

std::string House::broken_checks() {
  std::string out;
  const auto report = reconcile_now();
  for (const auto& check : report.checks()) {
    if (check.differences() == 0) continue;
    out += (out.empty() ? "" : " ") + check.name();
    EXPECT_NE(check.example(), "");
  }
  return out;
}

void House::force(const std::string& sql) {
  pqxx::connection connection(config_.pg_dsn);
  pqxx::work tx(connection);
  tx.exec0("SET LOCAL session_replication_role = replica");
  tx.exec(sql);
  tx.commit();
}

std::string House::query(const std::string& sql) {
  pqxx::connection connection(config_.pg_dsn);
  pqxx::work tx(connection);
  return tx.exec1(sql)[0].c_str();
}

}  // namespace tidegate::billing
