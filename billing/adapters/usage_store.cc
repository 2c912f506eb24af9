#include "billing/adapters/usage_store.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <unordered_map>

#include "base/crypto/sha256.h"
#include "base/pg/binary_array.h"
#include "base/pg/statement.h"
#include "base/pg/types.h"
#include "billing/adapters/allowance_store.h"
#include "billing/adapters/cap_lease_store.h"
#include "billing/adapters/grant_store.h"
#include "billing/adapters/posting_store.h"
#include "billing/adapters/receipt_store.h"
#include "billing/adapters/usage_rows.h"
#include "billing/core/batch_sequence.h"
#include "billing/core/posting.h"

namespace tidegate::billing {

namespace {

/// One batch of an epoch at a time. NO KEY UPDATE: leases may be acquired meanwhile.
constexpr pg::Statement kLockEpoch{"usage_lock_epoch", R"sql(
  SELECT e.applied_through, e.closed_at IS NOT NULL, p.revision, (extract(epoch FROM r.kept_from) * 1000000)::bigint,
         e.receipt_link
    FROM epochs e, price_state p, usage_retention r
   WHERE e.gateway_id = $1 AND e.epoch = $2 AND p.only_row AND r.only_row FOR NO KEY UPDATE OF e)sql"};
/// OFFSET 0 keeps one look-up an id: each touches the one partition that may have it.
constexpr pg::Statement kKnownEvents{"usage_known_events", R"sql(
  SELECT known.id, known.payload_sha256 FROM unnest($1::uuid[]) AS a(id)
   CROSS JOIN LATERAL (SELECT u.id, u.payload_sha256 FROM usage_log u WHERE u.id = a.id OFFSET 0) known)sql"};
constexpr pg::Statement kLeases{"usage_lock_leases", R"sql(
  SELECT id, wallet_id, state, amount - consumed FROM leases
   WHERE id = ANY ($1::uuid[]) AND gateway_id = $2 AND epoch = $3 ORDER BY id FOR NO KEY UPDATE)sql"};

std::string_view view_of(const std::array<std::uint8_t, 32>& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// Marks the events that are stored already; a stored one with another content is a contradiction, never a
/// charge.
Result<std::set<std::size_t>> find_duplicates(pqxx::work& tx, const std::vector<UsageEvent>& events) {
  std::unordered_map<Uuid, std::size_t> by_id;
  pg::BinaryArray ids(pg::ElementType::kUuid, events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (!by_id.emplace(events[i].request.uuid, i).second) {
      return fail(Code::kInvalidArgument, "bad_batch",
                  fmt::format("request {} stands in the batch twice", events[i].request.to_string()),
                  fmt::format("events[{}].request_id", i));
    }
    ids.add(events[i].request);
  }
  std::set<std::size_t> duplicates;
  for (const auto& row : pg::run(tx, kKnownEvents, ids.param())) {
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

/// Every lease is this epoch's, open, for the wallet charged, and holds enough.
Status check_leases(pqxx::work& tx, const UsageBatch& batch, const std::vector<RatedEvent>& events,
                    const BatchEffects& effects) {
  if (effects.leases.empty()) return {};
  pg::BinaryArray ids(pg::ElementType::kUuid);
  for (const auto& [lease, amount] : effects.leases) ids.add(lease);
  std::map<LeaseId, WalletId> wallets;
  for (const auto& row : pg::run(tx, kLeases, ids.param(), batch.gateway, batch.epoch)) {
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
                  fmt::format("request {}: lease {} is not one of epoch {} for its wallet",
                              rated.event->request.to_string(), rated.event->lease.to_string(), batch.epoch),
                  "events.lease_id");
    }
  }
  return {};
}

/// Ids of the ledger transactions to be, of the wallets that were charged.
std::map<WalletId, Uuid> posting_ids(const BatchEffects& effects, IdSource& ids) {
  std::map<WalletId, Uuid> out;
  for (const auto& [wallet, posting] : effects.wallets) {
    if (!posting.total.is_zero()) out.emplace(wallet, ids.next());
  }
  return out;
}

/// One ledger transaction a wallet. Wallets lose balance and lease alike: what is available grows by what was
/// taken back.
void post(pqxx::work& tx, const UsageBatch& batch, std::int64_t first, const BatchEffects& effects,
          const std::map<WalletId, Uuid>& ids, const UsageContext& context) {
  std::vector<LedgerTx> transactions;
  std::vector<WalletMove> moves;
  for (const auto& [wallet, id] : ids) {
    const WalletPosting& posting = effects.wallets.at(wallet);
    transactions.push_back(
        {id, "usage_batch", fmt::format("{}/{}/{}/{}", batch.gateway, batch.epoch, first, wallet.to_string()), wallet,
         posting.currency, posting.effective_at, "", std::nullopt, usage_entries(posting), posting.extra});
    moves.push_back({wallet, -posting.charge(), -posting.total});
  }
  if (transactions.empty()) return;
  write_ledger(tx, transactions, context.now, *context.dimensions);
  move_wallets(tx, moves);
}

std::vector<CellKey> cells_of(const BatchEffects& effects) {
  std::vector<CellKey> out;
  for (const auto& [key, sum] : effects.hours) out.push_back(key.first);
  return out;
}

std::vector<WalletId> wallets_of(const BatchEffects& effects) {
  std::vector<WalletId> out;
  for (const auto& [wallet, posting] : effects.wallets) out.push_back(wallet);
  return out;
}

}  // namespace

Result<AppliedBatch> apply_usage(pqxx::work& tx, const UsageBatch& batch, const UsageContext& context) {
  std::vector<std::uint64_t> sequences;
  for (const auto& event : batch.events) sequences.push_back(event.sequence);
  prefer_indexes(tx);
  const auto epoch = pg::run(tx, kLockEpoch, batch.gateway, batch.epoch);
  if (epoch.empty()) {
    return fail(Code::kNotFound, "unknown_epoch", fmt::format("gateway {} has no epoch {}", batch.gateway, batch.epoch),
                "epoch");
  }
  const std::int64_t applied_through = pg::read_int64(epoch[0][0]);
  TG_ASSIGN(const auto split, split_batch(sequences, static_cast<std::uint64_t>(applied_through)));
  for (std::size_t i = 0; i < batch.events.size(); ++i) TG_TRY(check_event(batch.events[i], i));
  TG_TRY(context.dimensions->make_partitions(tx, batch.events, pg::read_wall(epoch[0][3]), context.now));
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

  ReceiptLink link;
  if (!pg::is_null(epoch[0][4])) link = read_link(epoch[0][4]);
  TG_ASSIGN(const auto receipts,
            pack_receipts(batch.gateway, batch.epoch, link, std::span(batch.events).subspan(split.applied), split.applied));

  std::vector<const UsageEvent*> fresh;
  std::string digests;
  for (std::size_t i = split.applied; i < batch.events.size(); ++i) {
    digests += view_of(batch.events[i].payload_sha256);
    if (!duplicates.contains(i)) fresh.push_back(&batch.events[i]);
  }
  TG_ASSIGN(const auto payers, context.dimensions->payers(tx, batch.gateway, batch.epoch, fresh));
  TG_ASSIGN(const auto prices, context.prices->at_revision(tx, pg::read_int64(epoch[0][2])));
  std::vector<RatedEvent> rated;
  rated.reserve(fresh.size());
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    const auto index = static_cast<std::size_t>(fresh[i] - batch.events.data());
    TG_ASSIGN(auto one, rate_event(prices->book, *fresh[i], payers[i].currency, index));
    TG_TRY(check_receipt_price(*fresh[i], one, payers[i].currency, index));
    rated.push_back({fresh[i], std::move(one), payers[i].currency});
  }

  BatchEffects effects = effects_of(rated);
  const auto routes = context.dimensions->routes(tx, rated);
  const auto tariffs = context.dimensions->tariffs(tx, rated, context.tzdata);
  const auto cells = context.dimensions->cells(tx, cells_of(effects));
  std::vector<RowNumbers> numbers;
  for (std::size_t i = 0; i < rated.size(); ++i)
    numbers.push_back({payers[i].number, payers[i].tenant, routes[i], tariffs[i]});

  const UsageRows rows(tx, batch.gateway, batch.epoch);
  const auto first = static_cast<std::int64_t>(batch.events[split.applied].sequence);
  const auto last = static_cast<std::int64_t>(batch.events.back().sequence);
  const auto repeated = static_cast<std::int64_t>(batch.events.size() - split.applied - fresh.size());
  rows.insert_batch(first, last, repeated, as_view(sha256(digests)), context.now);
  const auto postings = posting_ids(effects, *context.ids);
  if (rows.insert_events(rated, numbers, postings) != rated.size()) {
    return fail(Code::kAborted, "concurrent_event",
                "another batch brought one of these requests at the same moment: send again");
  }
  // The events are most of the work and nobody else's: wallets, which others wait for, are locked after them.
  lock_wallets(tx, wallets_of(effects));
  TG_TRY(check_leases(tx, batch, rated, effects));
  // Allowances and grants change `effects` here: wallets are locked, no ledger row is written yet.
  TG_TRY(apply_allowances(tx, prices->allowances, rated, effects));
  const auto used_at = burn_grants(tx, rated, effects);
  post(tx, batch, first, effects, postings, context);
  record_grant_uses(tx, effects, postings, used_at);
  rows.consume_leases(effects.leases);
  TG_TRY(charge_caps(tx, batch.gateway, batch.epoch, rated));
  add_hours(tx, effects.hours, cells);
  insert_receipts(tx, receipts);
  rows.advance_epoch(last, link);
  out.applied_through = last;
  out.applied = fresh.size();
  for (const UsageEvent* event : fresh) out.oldest = std::max<Duration>(out.oldest, context.now - event->instants.completed);
  return out;
}

}  // namespace tidegate::billing
