#include "billing/adapters/usage_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/crypto/sha256.h"
#include "base/pg/types.h"
#include "billing/adapters/usage_rows.h"
#include "billing/core/batch_sequence.h"
#include "billing/core/posting.h"

namespace tidegate::billing {

namespace {

/// One batch of an epoch at a time. NO KEY UPDATE: leases may be acquired meanwhile.
constexpr const char* kLockEpoch = R"sql(
  SELECT e.applied_through, e.closed_at IS NOT NULL, p.revision
    FROM epochs e CROSS JOIN price_state p WHERE e.gateway_id = $1 AND e.epoch = $2 FOR NO KEY UPDATE OF e)sql";
constexpr const char* kKnownEvents = "SELECT id, payload_sha256 FROM usage_events WHERE id = ANY ($1::uuid[])";
constexpr const char* kCurrencies = R"sql(
  SELECT a.ord, w.currency
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) WITH ORDINALITY AS a(key, project, tenant, wallet, ord)
    JOIN api_keys k ON k.id = a.key AND k.project_id = a.project
    JOIN projects p ON p.id = a.project AND p.tenant_id = a.tenant
    JOIN wallets w ON w.id = a.wallet AND w.tenant_id = a.tenant)sql";
constexpr const char* kLockWallets = "SELECT id FROM wallets WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE";
constexpr const char* kLeases = R"sql(
  SELECT id, wallet_id, state, amount - consumed FROM leases
   WHERE id = ANY ($1::uuid[]) AND gateway_id = $2 AND epoch = $3 ORDER BY id FOR NO KEY UPDATE)sql";
constexpr const char* kAdvanceEpoch = "UPDATE epochs SET applied_through = $3 WHERE gateway_id = $1 AND epoch = $2";

std::string_view view_of(const std::array<std::uint8_t, 32>& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// Marks the events that are stored already; a stored one with another content is a contradiction, never a charge.
Result<std::set<std::size_t>> find_duplicates(pqxx::work& tx, const std::vector<UsageEvent>& events) {
  std::map<Uuid, std::size_t> by_id;
  pg::ArrayLiteral ids;
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (!by_id.emplace(events[i].request.uuid, i).second) {
      return fail(Code::kInvalidArgument, "bad_batch",
                  fmt::format("request {} stands in the batch twice", events[i].request.to_string()),
                  fmt::format("events[{}].request_id", i));
    }
    ids.add(events[i].request);
  }
  std::set<std::size_t> duplicates;
  for (const auto& row : tx.exec_params(kKnownEvents, ids.text())) {
    const std::size_t i = by_id.at(pg::read_uuid(row[0]));
    if (pg::read_bytea(row[1]) != view_of(events[i].payload_sha256)) {
      return fail(Code::kInvalidArgument, "contradictory_event",
                  fmt::format("request {} was billed before with another content", events[i].request.to_string()),
                  fmt::format("events[{}]", i));
    }
    duplicates.insert(i);
  }
  return duplicates;
}

/// Currency of each event's wallet, after checking that key, project, tenant and wallet belong together.
Result<std::vector<std::string>> check_principals(pqxx::work& tx, const std::vector<const UsageEvent*>& events) {
  using Principal = std::tuple<ApiKeyId, ProjectId, TenantId, WalletId>;
  std::map<Principal, std::size_t> distinct;
  std::vector<const UsageEvent*> first;
  pg::ArrayLiteral keys, projects, tenants, wallets;
  for (const auto* event : events) {
    if (!distinct.emplace(Principal(event->key, event->project, event->tenant, event->wallet), first.size()).second) continue;
    first.push_back(event);
    keys.add(event->key);
    projects.add(event->project);
    tenants.add(event->tenant);
    wallets.add(event->wallet);
  }
  std::vector<std::string> currencies(first.size());
  for (const auto& row : tx.exec_params(kCurrencies, keys.text(), projects.text(), tenants.text(), wallets.text())) {
    currencies[static_cast<std::size_t>(pg::read_int64(row[0])) - 1] = pg::read_text(row[1]);
  }
  std::vector<std::string> out;
  for (const auto* event : events) {
    const auto& currency = currencies[distinct.at(Principal(event->key, event->project, event->tenant, event->wallet))];
    if (currency.empty()) {
      return fail(Code::kInvalidArgument, "unknown_principal",
                  fmt::format("request {}: key, project, tenant and wallet do not belong together", event->request.to_string()),
                  "events.key_id");
    }
    out.push_back(currency);
  }
  return out;
}

/// Every lease is this epoch's, open, for the wallet charged, and holds enough.
Status check_leases(pqxx::work& tx, const UsageBatch& batch, const std::vector<RatedEvent>& events,
                    const BatchEffects& effects) {
  if (effects.leases.empty()) return {};
  pg::ArrayLiteral ids;
  for (const auto& [lease, amount] : effects.leases) ids.add(lease);
  std::map<LeaseId, WalletId> wallets;
  for (const auto& row : tx.exec_params(kLeases, ids.text(), batch.gateway, batch.epoch)) {
    const auto lease = pg::read_id<LeaseId>(row[0]);
    const Money room = pg::read_money(row[3]);
    if (pg::read_text(row[2]) == "closed" || room < effects.leases.at(lease)) {
      return fail(Code::kFailedPrecondition, "lease_overdrawn",
                  fmt::format("lease {} holds {} unspent, the batch charges {}", lease.to_string(), room.to_string(),
                              effects.leases.at(lease).to_string()),
                  "events.lease_id");
    }
    wallets.emplace(lease, pg::read_id<WalletId>(row[1]));
  }
  for (const auto& rated : events) {
    if (rated.rated.total.is_zero()) continue;
    const auto found = wallets.find(rated.event->lease);
    if (found == wallets.end() || found->second != rated.event->wallet) {
      return fail(Code::kInvalidArgument, "unknown_lease",
                  fmt::format("request {}: lease {} is not one of epoch {} for its wallet", rated.event->request.to_string(),
                              rated.event->lease.to_string(), batch.epoch),
                  "events.lease_id");
    }
  }
  return {};
}

void lock_wallets(pqxx::work& tx, const BatchEffects& effects) {
  pg::ArrayLiteral ids;
  for (const auto& [wallet, posting] : effects.wallets) ids.add(wallet);
  tx.exec_params(kLockWallets, ids.text());
}

}  // namespace

Result<AppliedBatch> apply_usage(pqxx::work& tx, const UsageBatch& batch, const UsageContext& context) {
  std::vector<std::uint64_t> sequences;
  for (const auto& event : batch.events) sequences.push_back(event.sequence);
  const auto epoch = tx.exec_params(kLockEpoch, batch.gateway, batch.epoch);
  if (epoch.empty()) {
    return fail(Code::kNotFound, "unknown_epoch", fmt::format("gateway {} has no epoch {}", batch.gateway, batch.epoch), "epoch");
  }
  const std::int64_t applied_through = pg::read_int64(epoch[0][0]);
  TG_ASSIGN(const auto split, split_batch(sequences, static_cast<std::uint64_t>(applied_through)));
  for (std::size_t i = 0; i < batch.events.size(); ++i) TG_TRY(check_event(batch.events[i], i));
  TG_ASSIGN(const auto duplicates, find_duplicates(tx, batch.events));
  AppliedBatch out{applied_through, 0, duplicates.size()};
  for (std::size_t i = 0; i < split.applied; ++i) {
    if (!duplicates.contains(i)) {
      return fail(Code::kInvalidArgument, "contradictory_event",
                  fmt::format("sequence {} was applied before with another request", batch.events[i].sequence),
                  fmt::format("events[{}].sequence", i));
    }
  }
  if (split.applied == batch.events.size()) return out;
  if (pg::read_bool(epoch[0][1])) {
    return fail(Code::kFailedPrecondition, "epoch_closed", fmt::format("epoch {} is closed", batch.epoch), "epoch");
  }

  std::vector<const UsageEvent*> fresh;
  std::string digests;
  for (std::size_t i = split.applied; i < batch.events.size(); ++i) {
    digests += view_of(batch.events[i].payload_sha256);
    if (!duplicates.contains(i)) fresh.push_back(&batch.events[i]);
  }
  TG_ASSIGN(const auto currencies, check_principals(tx, fresh));
  TG_ASSIGN(const auto book, context.prices->at_revision(tx, pg::read_int64(epoch[0][2])));
  std::vector<RatedEvent> rated;
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    const auto index = static_cast<std::size_t>(fresh[i] - batch.events.data());
    TG_ASSIGN(auto one, rate_event(book, *fresh[i], currencies[i], index));
    rated.push_back({fresh[i], std::move(one), currencies[i]});
  }

  const BatchEffects effects = effects_of(rated);
  lock_wallets(tx, effects);
  TG_TRY(check_leases(tx, batch, rated, effects));
  const UsageRows rows(tx, batch.gateway, batch.epoch);
  const auto first = static_cast<std::int64_t>(batch.events[split.applied].sequence);
  const auto last = static_cast<std::int64_t>(batch.events.back().sequence);
  const auto repeated = static_cast<std::int64_t>(batch.events.size() - split.applied - fresh.size());
  rows.insert_batch(first, last, repeated, as_view(sha256(digests)), context.now);
  rows.insert_events(rated);
  const auto postings = rows.insert_postings(effects, first, *context.ids, context.now);
  rows.insert_lines(rated, postings, context.tzdata);
  rows.charge(effects);
  rows.add_hours(effects);
  tx.exec_params0(kAdvanceEpoch, batch.gateway, batch.epoch, last);
  out.applied_through = last;
  out.applied = fresh.size();
  return out;
}

}  // namespace tidegate::billing
