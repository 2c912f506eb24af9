#include "bench/billing/town.h"

#include <fmt/format.h>

#include <pqxx/connection>
#include <pqxx/transaction>

namespace tidegate::bench {

namespace {

constexpr int kModels = 3;
constexpr int kWorkers = 8;
enum Kind { kTenant = 1, kProject, kKey, kWallet, kLease, kBoot };

constexpr const char* kTown = R"sql(
  INSERT INTO price_versions (book, model, currency, effective, basis, sha256)
    SELECT 'bench', 'm' || m, 'USD', tstzrange('2020-01-01', NULL), 'completed_at', sha256('m') FROM generate_series(0, {2}) m;
  INSERT INTO price_schedules (price_version, ord, band, is_default, tz, days) SELECT id, 0, 'flat', true, 'UTC', '{{}}' FROM price_versions;
  INSERT INTO price_rates SELECT id, 'flat', r.meter, r.micro FROM price_versions,
    (VALUES ('input_cache_hit', 100000), ('input_cache_miss', 400000), ('output', 1600000)) r(meter, micro);
  UPDATE price_state SET revision = 1;
  CREATE FUNCTION town_id(kind int, number int) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(kind), 4, '0') || lpad(to_hex(number), 8, '0'))::uuid $$;
  INSERT INTO tenants (id, name, billing_tz, currency, created_at)
    SELECT town_id(1, t), 'tenant-' || t, 'UTC', 'USD', now() FROM generate_series(0, {0}) t;
  INSERT INTO projects SELECT town_id(2, t), town_id(1, t), 'default', now() FROM generate_series(0, {0}) t;
  INSERT INTO api_keys (id, project_id, public_id, mac, name, created_at)
    SELECT town_id(3, t * {1} + k), town_id(2, t), 'key-' || t || '-' || k, sha256(('key-' || t || '-' || k)::bytea), 'k', now()
      FROM generate_series(0, {0}) t, generate_series(0, {1} - 1) k;
  INSERT INTO wallets (id, tenant_id, currency, balance, leased)
    SELECT town_id(4, t), town_id(1, t), 'USD', 100000000, 1000000 * {3} FROM generate_series(0, {0}) t;
  INSERT INTO ledger_accounts (kind, currency) VALUES ('cash', 'USD'), ('revenue', 'USD');
  INSERT INTO ledger_accounts (wallet_id, kind, currency) SELECT id, 'prepaid', 'USD' FROM wallets;
  INSERT INTO ledger_tx (id, source_type, source_id, wallet_id, effective_at, posted_at)
    SELECT id, 'top_up', id::text, id, now(), now() FROM wallets;
  INSERT INTO ledger_entries SELECT w.id, v.line, a.id, 'USD', v.amount FROM wallets w,
    (VALUES (1, 'cash', 100000000), (2, 'prepaid', -100000000)) v(line, kind, amount), ledger_accounts a
     WHERE a.kind = v.kind AND (a.wallet_id IS NULL OR a.wallet_id = w.id);
  INSERT INTO gateways SELECT 'g' || g FROM generate_series(0, {3} - 1) g;
  INSERT INTO epochs SELECT 'g' || g, 1, town_id(6, g), 'local', 0, now() FROM generate_series(0, {3} - 1) g;
  INSERT INTO leases SELECT town_id(5, g * 1000000 + t), town_id(4, t), 'g' || g, 1, 1000000, 0, 'open', now(), now() + interval '1 day'
    FROM generate_series(0, {0}) t, generate_series(0, {3} - 1) g;
)sql";

}  // namespace

/// 01900000-0000-7000-8000-KKKKNNNNNNNN, as the function of the same name in SQL.
Uuid town_id(int kind, int number) {
  Uuid id;
  id.bytes = {
      0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 0, static_cast<std::uint8_t>(kind >> 8), static_cast<std::uint8_t>(kind)};
  for (std::size_t b = 0; b < 4; ++b) id.bytes[12 + b] = static_cast<std::uint8_t>(number >> (24 - 8 * b));
  return id;
}
std::string gateway_name(int number) { return fmt::format("g{}", number); }

void build_town(const std::string& dsn, const TownOptions& options) {
  pqxx::connection connection(dsn);
  pqxx::work tx(connection);
  tx.exec(fmt::format(fmt::runtime(kTown), options.tenants - 1, options.keys, kModels - 1, options.gateways));
  tx.commit();
}

Traffic::Traffic(const TownOptions& options, int gateway, Wall start)
    : options_(options),
      gateway_(gateway),
      start_(start),
      state_(0x9e3779b97f4a7c15ULL + static_cast<std::uint64_t>(gateway)) {}

/// xorshift: cheap, and the same traffic in every run.
std::uint64_t Traffic::random() {
  state_ ^= state_ << 13;
  state_ ^= state_ >> 7;
  state_ ^= state_ << 17;
  return state_;
}

billing::UsageBatch Traffic::next(std::size_t events) {
  static const std::string kDigest = "sha256:" + std::string(64, 'a');
  billing::UsageBatch batch{gateway_name(gateway_), 1, {}};
  batch.events.reserve(events);
  for (std::size_t i = 0; i < events; ++i) {
    billing::UsageEvent event;
    event.sequence = ++sequence_;
    const Wall at = start_ + options_.gap * sequence_;
    const std::int64_t millis = unix_micros(at) / 1000;
    const std::uint64_t low = random(), high = random();
    for (std::size_t b = 0; b < 6; ++b) event.request.uuid.bytes[b] = static_cast<std::uint8_t>(millis >> (40 - 8 * b));
    for (std::size_t b = 6; b < 16; ++b)
      event.request.uuid.bytes[b] = static_cast<std::uint8_t>((b < 8 ? high : low) >> (8 * (b % 8)));
    event.request.uuid.bytes[6] = static_cast<std::uint8_t>(0x70 | (event.request.uuid.bytes[6] & 15));
    const int tenant = static_cast<int>(random() % static_cast<std::uint64_t>(options_.tenants));
    const int key = static_cast<int>(random() % static_cast<std::uint64_t>(options_.keys));
    const int model = static_cast<int>(random() % kModels);
    event.tenant = TenantId{town_id(kTenant, tenant)};
    event.project = ProjectId{town_id(kProject, tenant)};
    event.key = ApiKeyId{town_id(kKey, tenant * options_.keys + key)};
    event.wallet = WalletId{town_id(kWallet, tenant)};
    event.lease = LeaseId{town_id(kLease, gateway_ * 1'000'000 + tenant)};
    event.model = fmt::format("m{}", model);
    event.variant = "fp8";
    event.region = "local";
    event.pool = "cpu";
    event.worker_id = fmt::format("worker-{}", random() % kWorkers);
    event.weights_digest = kDigest;
    event.finish_reason = "stop";
    event.instants = {at - std::chrono::milliseconds(900), at - std::chrono::milliseconds(800), at,
                      std::chrono::microseconds(200)};
    event.prompt_tokens = static_cast<std::int64_t>(random() % 4000);
    event.cached_tokens = event.prompt_tokens / 3;
    event.completion_tokens = static_cast<std::int64_t>(1 + random() % 800);
    event.price_version = model + 1;
    event.band = "flat";
    event.amount = Money::from_pico(Int128{event.cached_tokens} * 100'000 +
                                    Int128{event.prompt_tokens - event.cached_tokens} * 400'000 +
                                    Int128{event.completion_tokens} * 1'600'000);
    event.is_stream = true;
    event.surface = "http.chat";
    for (std::size_t b = 0; b < 32; ++b)
      event.payload_sha256[b] = static_cast<std::uint8_t>((b % 16 < 8 ? low : high) >> (8 * (b % 8)));
    batch.events.push_back(std::move(event));
  }
  return batch;
}

}  // namespace tidegate::bench
