#include "billing/adapters/usage_rows.h"

#include <fmt/format.h>

#include "base/pg/types.h"

namespace tidegate::billing {

namespace {

constexpr const char* kInsertBatch = R"sql(
  INSERT INTO wal_batches (gateway_id, epoch, seqs, duplicates, sha256, applied_at)
  VALUES ($1, $2, int8range($3, $4, '[]'), $5, $6::bytea, $7))sql";

constexpr const char* kInsertEvents = R"sql(
  INSERT INTO usage_events (gateway_id, epoch, id, payload_sha256, tenant_id, project_id, api_key_id, wallet_id, lease_id,
    model, variant, region, pool, worker_id, weights_digest, seq, status, finish_reason, admitted_at, started_at,
    completed_at, clock_err_us, priced_at, prompt, hit, miss, output, reasoning, price_version, band, amount, is_stream,
    surface)
  SELECT $1::text, $2::bigint, e.* FROM unnest($3::uuid[], $4::bytea[], $5::uuid[], $6::uuid[], $7::uuid[], $8::uuid[],
    $9::uuid[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::text[],
    $18::text[], $19::timestamptz[], $20::timestamptz[], $21::timestamptz[], $22::bigint[], $23::timestamptz[],
    $24::bigint[], $25::bigint[], $26::bigint[], $27::bigint[], $28::bigint[], $29::bigint[], $30::text[], $31::numeric[],
    $32::boolean[], $33::text[]) AS e)sql";

constexpr const char* kInsertTx = R"sql(
  INSERT INTO ledger_tx (id, source_type, source_id, wallet_id, effective_at, posted_at)
  SELECT t.id, 'usage_batch', t.source, t.wallet, t.effective, $1::timestamptz
    FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[]) AS t(id, source, wallet, effective))sql";
constexpr const char* kInsertEntries = R"sql(
  INSERT INTO ledger_entries (tx, line, account, currency, amount)
  SELECT e.tx, e.line, a.id, a.currency, e.amount
    FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::text[], $5::text[], $6::numeric[])
      AS e(tx, line, wallet, kind, currency, amount)
    JOIN ledger_accounts a ON a.kind = e.kind AND a.currency = e.currency AND a.grant_id IS NULL
     AND (a.wallet_id IS NULL OR a.wallet_id = e.wallet))sql";

constexpr const char* kInsertLines = R"sql(
  INSERT INTO rated_lines (tzdata, event_id, meter, price_version, band, quantity, micro_per_1m, amount, posting)
  SELECT $1::text, l.* FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::numeric[], $7::bigint[],
    $8::numeric[], $9::uuid[]) AS l)sql";

constexpr const char* kConsume = R"sql(
  UPDATE leases l SET consumed = l.consumed + c.amount
    FROM unnest($1::uuid[], $2::numeric[]) AS c(id, amount) WHERE l.id = c.id)sql";
constexpr const char* kChargeWallets = R"sql(
  UPDATE wallets w SET balance = w.balance - c.amount, leased = w.leased - c.amount
    FROM unnest($1::uuid[], $2::numeric[]) AS c(id, amount) WHERE w.id = c.id)sql";

constexpr const char* kAddHours = R"sql(
  INSERT INTO usage_hourly AS h (hour, tenant_id, project_id, api_key_id, model, region, pool, meter, band, currency,
    quantity, amount)
  SELECT * FROM unnest($1::timestamptz[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::numeric[], $12::numeric[])
  ON CONFLICT (hour, tenant_id, project_id, api_key_id, model, region, pool, meter, band, currency)
  DO UPDATE SET quantity = h.quantity + EXCLUDED.quantity, amount = h.amount + EXCLUDED.amount)sql";

}  // namespace

void UsageRows::insert_batch(std::int64_t first, std::int64_t last, std::int64_t duplicates, std::string_view sha256,
                             Wall now) const {
  tx_.exec_params0(kInsertBatch, gateway_, epoch_, first, last, duplicates, pg::to_bytea(sha256), pg::to_sql(now));
}

void UsageRows::insert_events(const std::vector<RatedEvent>& events) const {
  pg::ArrayLiteral id, sha, tenant, project, key, wallet, lease, model, variant, region, pool, worker, digest, seq, status,
      finish, admitted, started, completed, error, priced, prompt, hit, miss, output, reasoning, version, band, amount,
      stream, surface;
  for (const auto& [event, rated, currency] : events) {
    id.add(event->request);
    sha.add(pg::to_bytea({reinterpret_cast<const char*>(event->payload_sha256.data()), event->payload_sha256.size()}));
    tenant.add(event->tenant);
    project.add(event->project);
    key.add(event->key);
    wallet.add(event->wallet);
    if (event->lease.is_nil()) {
      lease.add_null();
    } else {
      lease.add(event->lease);
    }
    model.add(event->model);
    variant.add(event->variant);
    region.add(event->region);
    pool.add(event->pool);
    worker.add(event->worker_id);
    digest.add(event->weights_digest);
    seq.add(static_cast<std::int64_t>(event->sequence));
    status.add(usage_status_name(event->status));
    finish.add(event->finish_reason);
    admitted.add(event->instants.admitted);
    started.add(event->instants.started);
    completed.add(event->instants.completed);
    error.add(static_cast<std::int64_t>(event->instants.clock_error.count()));
    priced.add(rated.priced_at);
    prompt.add(event->prompt_tokens);
    hit.add(event->cached_tokens);
    miss.add(event->prompt_tokens - event->cached_tokens);
    output.add(event->completion_tokens);
    reasoning.add(event->reasoning_tokens);
    version.add(event->price_version);
    band.add(event->band);
    amount.add(rated.total);
    stream.add_bool(event->is_stream);
    surface.add(event->surface);
  }
  tx_.exec_params0(kInsertEvents, gateway_, epoch_, id.text(), sha.text(), tenant.text(), project.text(), key.text(),
                   wallet.text(), lease.text(), model.text(), variant.text(), region.text(), pool.text(), worker.text(),
                   digest.text(), seq.text(), status.text(), finish.text(), admitted.text(), started.text(),
                   completed.text(), error.text(), priced.text(), prompt.text(), hit.text(), miss.text(), output.text(),
                   reasoning.text(), version.text(), band.text(), amount.text(), stream.text(), surface.text());
}

std::map<WalletId, Uuid> UsageRows::insert_postings(const BatchEffects& effects, std::int64_t first, IdSource& ids,
                                                    Wall now) const {
  std::map<WalletId, Uuid> out;
  pg::ArrayLiteral tx_ids, sources, wallets, effective;
  pg::ArrayLiteral entry_tx, entry_line, entry_wallet, entry_kind, entry_currency, entry_amount;
  for (const auto& [wallet, posting] : effects.wallets) {
    if (posting.entries.empty()) continue;
    const Uuid id = ids.next();
    out.emplace(wallet, id);
    tx_ids.add(id);
    sources.add(fmt::format("{}/{}/{}/{}", gateway_, epoch_, first, wallet.to_string()));
    wallets.add(wallet);
    effective.add(posting.effective_at);
    std::int64_t line = 0;
    for (const auto& entry : posting.entries) {
      entry_tx.add(id);
      entry_line.add(++line);
      entry_wallet.add(wallet);
      entry_kind.add(account_kind_name(entry.account));
      entry_currency.add(posting.currency);
      entry_amount.add(entry.amount);
    }
  }
  if (out.empty()) return out;
  tx_.exec_params0(kInsertTx, pg::to_sql(now), tx_ids.text(), sources.text(), wallets.text(), effective.text());
  tx_.exec_params0(kInsertEntries, entry_tx.text(), entry_line.text(), entry_wallet.text(), entry_kind.text(),
                   entry_currency.text(), entry_amount.text());
  return out;
}

void UsageRows::insert_lines(const std::vector<RatedEvent>& events, const std::map<WalletId, Uuid>& postings,
                             const std::string& tzdata) const {
  pg::ArrayLiteral event_id, meter, version, band, quantity, micro, amount, posting;
  for (const auto& [event, rated, currency] : events) {
    const auto posted = postings.find(event->wallet);
    for (const auto& line : rated.lines) {
      event_id.add(event->request);
      meter.add(price::meter_name(line.meter));
      version.add(rated.price_version);
      band.add(rated.band);
      quantity.add(line.quantity);
      micro.add(line.rate.micro_per_million());
      amount.add(line.amount);
      if (posted == postings.end()) {
        posting.add_null();
      } else {
        posting.add(posted->second);
      }
    }
  }
  if (event_id.size() == 0) return;
  tx_.exec_params0(kInsertLines, tzdata, event_id.text(), meter.text(), version.text(), band.text(), quantity.text(),
                   micro.text(), amount.text(), posting.text());
}

void UsageRows::charge(const BatchEffects& effects) const {
  pg::ArrayLiteral leases, lease_amounts, wallets, wallet_amounts;
  for (const auto& [lease, amount] : effects.leases) {
    leases.add(lease);
    lease_amounts.add(amount);
  }
  for (const auto& [wallet, posting] : effects.wallets) {
    wallets.add(wallet);
    wallet_amounts.add(posting.total);
  }
  if (leases.size() == 0) return;
  tx_.exec_params0(kConsume, leases.text(), lease_amounts.text());
  tx_.exec_params0(kChargeWallets, wallets.text(), wallet_amounts.text());
}

void UsageRows::add_hours(const BatchEffects& effects) const {
  pg::ArrayLiteral hour, tenant, project, key, model, region, pool, meter, band, currency, quantity, amount;
  for (const auto& [cell, sum] : effects.hours) {
    hour.add(cell.hour);
    tenant.add(cell.tenant);
    project.add(cell.project);
    key.add(cell.key);
    model.add(cell.model);
    region.add(cell.region);
    pool.add(cell.pool);
    meter.add(cell.meter);
    band.add(cell.band);
    currency.add(cell.currency);
    quantity.add(int128_to_string(sum.quantity));
    amount.add(sum.amount);
  }
  if (hour.size() == 0) return;
  tx_.exec_params0(kAddHours, hour.text(), tenant.text(), project.text(), key.text(), model.text(), region.text(),
                   pool.text(), meter.text(), band.text(), currency.text(), quantity.text(), amount.text());
}

}  // namespace tidegate::billing
