#include "billing/adapters/lease_store.h"

#include <fmt/format.h>

#include <optional>

#include "base/pg/types.h"
#include "billing/adapters/cap_lease_store.h"
#include "billing/adapters/change_log.h"
#include "billing/adapters/grant_store.h"
#include "billing/adapters/open_epochs.h"
#include "billing/core/lease_sizing.h"

namespace tidegate::billing {

namespace {

constexpr const char* kLockGateway = "SELECT id FROM gateways WHERE id = $1 FOR NO KEY UPDATE";
constexpr const char* kFindBoot = "SELECT epoch FROM epochs WHERE gateway_id = $1 AND boot_id = $2";
constexpr const char* kInsertEpoch = R"sql(
  INSERT INTO epochs (gateway_id, epoch, boot_id, region, opened_at)
  SELECT $1::text, coalesce(max(epoch), 0) + 1, $2::uuid, $3::text, $4::timestamptz FROM epochs WHERE gateway_id = $1
  RETURNING epoch)sql";
constexpr const char* kUnclosed = R"sql(
  SELECT epoch, applied_through, receipt_link FROM epochs WHERE gateway_id = $1 AND epoch < $2 AND closed_at IS NULL ORDER BY epoch)sql";

constexpr const char* kLockEpochToClose = R"sql(
  SELECT applied_through, closed_at IS NOT NULL FROM epochs WHERE gateway_id = $1 AND epoch = $2 FOR UPDATE)sql";
constexpr const char* kCloseEpoch = "UPDATE epochs SET closed_at = $3 WHERE gateway_id = $1 AND epoch = $2";
constexpr const char* kLockWalletsOfEpoch = R"sql(
  SELECT w.id FROM wallets w JOIN leases l ON l.wallet_id = w.id
   WHERE l.gateway_id = $1 AND l.epoch = $2 AND l.state = 'open' ORDER BY w.id FOR NO KEY UPDATE OF w)sql";
constexpr const char* kReleaseLeases = R"sql(
  WITH closed AS (
    UPDATE leases SET state = 'closed', closed_at = $3, amount = consumed
     WHERE gateway_id = $1 AND epoch = $2 AND state = 'open' RETURNING id)
  SELECT count(*) FROM closed)sql";
constexpr const char* kGiveBack = R"sql(
  UPDATE wallets w SET leased = w.leased - l.amount + l.consumed
    FROM leases l WHERE l.wallet_id = w.id AND l.gateway_id = $1 AND l.epoch = $2 AND l.state = 'open')sql";

/// KEY SHARE: a closing epoch waits for us and we for it, but batches of usage (NO KEY UPDATE) do not.
constexpr const char* kLockWallet = "SELECT balance + credit_limit - leased FROM wallets WHERE id = $1 FOR NO KEY UPDATE";
constexpr const char* kGrowLease = R"sql(
  INSERT INTO leases (id, wallet_id, gateway_id, epoch, amount, state, opened_at, expires_at)
  VALUES ($1, $2, $3, $4, $5::numeric, 'open', $6, $7)
  ON CONFLICT (gateway_id, epoch, wallet_id)
  DO UPDATE SET amount = leases.amount + EXCLUDED.amount, expires_at = greatest(leases.expires_at, EXCLUDED.expires_at)
  RETURNING id, amount, (extract(epoch FROM expires_at) * 1000000)::bigint)sql";
constexpr const char* kReserve = R"sql(
  UPDATE wallets SET leased = leased + $2::numeric WHERE id = $1 RETURNING balance + credit_limit - leased)sql";
constexpr const char* kInsertMove = R"sql(
  INSERT INTO lease_moves (id, lease_id, kind, amount, moved_at) VALUES ($1, $2, $3, $4::numeric, $5))sql";
constexpr const char* kFindMove = R"sql(
  SELECT m.kind, m.amount, l.id, l.wallet_id, l.gateway_id, l.epoch, l.amount,
         (extract(epoch FROM l.expires_at) * 1000000)::bigint, w.balance + w.credit_limit - w.leased
    FROM lease_moves m JOIN leases l ON l.id = m.lease_id JOIN wallets w ON w.id = l.wallet_id WHERE m.id = $1)sql";
constexpr const char* kFindLease = R"sql(
  SELECT wallet_id FROM leases WHERE id = $1 AND gateway_id = $2 AND epoch = $3)sql";
constexpr const char* kLockLease = "SELECT state, amount - consumed FROM leases WHERE id = $1 FOR NO KEY UPDATE";
constexpr const char* kShrinkLease = R"sql(
  UPDATE leases SET amount = amount - $2::numeric WHERE id = $1
  RETURNING amount, (extract(epoch FROM expires_at) * 1000000)::bigint)sql";

/// A move made before, told again. `kind` "grant" or "return".
struct PastMove {
  std::string kind;
  Money amount;
  LeaseRow lease;
  std::string gateway;
  std::int64_t epoch = 0;
};
std::optional<PastMove> find_move(pqxx::work& tx, const Uuid& id) {
  const auto rows = tx.exec_params(kFindMove, pg::to_sql(id));
  if (rows.empty()) return std::nullopt;
  const auto& row = rows[0];
  PastMove move{pg::read_text(row[0]), pg::read_money(row[1]), {}, pg::read_text(row[4]), pg::read_int64(row[5])};
  move.lease = {pg::read_id<LeaseId>(row[2]), pg::read_id<WalletId>(row[3]), pg::read_money(row[6]), move.amount,
                pg::read_wall(row[7]),        pg::read_money(row[8])};
  return move;
}

std::unexpected<Error> unknown_epoch(const std::string& gateway, std::int64_t epoch) {
  return fail(Code::kNotFound, "unknown_epoch", fmt::format("gateway {} has no epoch {}", gateway, epoch), "epoch");
}

}  // namespace

OpenedEpoch open_epoch(pqxx::work& tx, const OpenEpoch& request, Wall now) {
  tx.exec_params0("INSERT INTO gateways (id) VALUES ($1) ON CONFLICT DO NOTHING", request.gateway);
  tx.exec_params1(kLockGateway, request.gateway);
  auto rows = tx.exec_params(kFindBoot, request.gateway, pg::to_sql(request.boot));
  if (rows.empty()) {
    rows = tx.exec_params(kInsertEpoch, request.gateway, pg::to_sql(request.boot), request.region, pg::to_sql(now));
  }
  OpenedEpoch opened{pg::read_int64(rows[0][0]), {}};
  for (const auto& row : tx.exec_params(kUnclosed, request.gateway, opened.epoch)) {
    opened.unclosed.push_back({pg::read_int64(row[0]), pg::read_int64(row[1]),
                               pg::is_null(row[2]) ? std::string() : pg::read_bytea(row[2])});
  }
  return opened;
}

Status close_epoch(pqxx::work& tx, const std::string& gateway, std::int64_t epoch, std::int64_t last_sequence, Wall now) {
  const auto rows = tx.exec_params(kLockEpochToClose, gateway, epoch);
  if (rows.empty()) return unknown_epoch(gateway, epoch);
  const std::int64_t applied = pg::read_int64(rows[0][0]);
  if (applied != last_sequence) {
    return fail(Code::kFailedPrecondition, "sequence_gap",
                fmt::format("epoch {} was applied through {}, not {}: ship the rest first", epoch, applied, last_sequence),
                "last_sequence");
  }
  if (pg::read_bool(rows[0][1])) return {};
  std::vector<std::string> wallets;
  for (const auto& row : tx.exec_params(kLockWalletsOfEpoch, gateway, epoch)) wallets.push_back(pg::read_text(row[0]));
  tx.exec_params0(kGiveBack, gateway, epoch);
  tx.exec_params1(kReleaseLeases, gateway, epoch, pg::to_sql(now));
  close_cap_leases(tx, gateway, epoch);
  tx.exec_params0(kCloseEpoch, gateway, epoch, pg::to_sql(now));
  append_changes(tx, ChangeKind::kWallet, wallets);
  return {};
}

Result<LeaseRow> acquire_lease(pqxx::work& tx, const AcquireLease& request, Wall now) {
  const auto epoch = tx.exec_params(kEpochIsOpen, request.gateway, request.epoch);
  if (epoch.empty()) return unknown_epoch(request.gateway, request.epoch);
  const auto wallet = tx.exec_params(kLockWallet, pg::to_sql(request.wallet));
  if (wallet.empty()) {
    return fail(Code::kNotFound, "unknown_wallet", fmt::format("there is no wallet {}", request.wallet.to_string()), "wallet_id");
  }
  // Under the wallet's lock, so that the same grant twice at the same time is one grant.
  if (const auto past = find_move(tx, request.grant)) {
    if (past->kind != "grant" || past->lease.wallet != request.wallet || past->gateway != request.gateway ||
        past->epoch != request.epoch) {
      return fail(Code::kInvalidArgument, "grant_differs", "this grant id was used for another lease", "grant_id");
    }
    return past->lease;
  }
  if (!pg::read_bool(epoch[0][0])) {
    return fail(Code::kFailedPrecondition, "epoch_closed", fmt::format("epoch {} is closed", request.epoch), "epoch");
  }
  const Money leasable = pg::read_money(wallet[0][0]) - unleasable(tx, request.wallet, request.expires);
  LeaseRequest sizing{leasable, request.want, request.least};
  sizing.gateways = pg::read_int64(tx.exec1(kOpenGateways)[0]);
  TG_ASSIGN(const Money granted, size_lease(sizing));

  const auto lease = tx.exec_params1(kGrowLease, pg::to_sql(request.new_lease), pg::to_sql(request.wallet), request.gateway,
                                     request.epoch, pg::to_sql(granted), pg::to_sql(now), pg::to_sql(request.expires));
  const auto left = tx.exec_params1(kReserve, pg::to_sql(request.wallet), pg::to_sql(granted));
  tx.exec_params0(kInsertMove, pg::to_sql(request.grant), pg::read_text(lease[0]), "grant", pg::to_sql(granted),
                  pg::to_sql(now));
  return LeaseRow{pg::read_id<LeaseId>(lease[0]), request.wallet,          pg::read_money(lease[1]), granted,
                  pg::read_wall(lease[2]),        pg::read_money(left[0])};
}

Result<LeaseRow> return_lease(pqxx::work& tx, const ReturnLease& request, Wall now) {
  if (request.amount <= Money()) return fail(Code::kInvalidArgument, "bad_amount", "a return is greater than zero", "amount");
  const auto found = tx.exec_params(kFindLease, pg::to_sql(request.lease), request.gateway, request.epoch);
  if (found.empty()) {
    return fail(Code::kNotFound, "unknown_lease",
                fmt::format("epoch {} of {} has no lease {}", request.epoch, request.gateway, request.lease.to_string()),
                "lease_id");
  }
  const auto wallet = pg::read_id<WalletId>(found[0][0]);
  tx.exec_params1(kLockWallet, pg::to_sql(wallet));
  if (const auto past = find_move(tx, request.return_id)) {
    if (past->kind != "return" || past->lease.id != request.lease || past->amount != request.amount) {
      return fail(Code::kInvalidArgument, "return_differs", "this return id was used for another return", "return_id");
    }
    LeaseRow lease = past->lease;
    lease.granted = -past->amount;
    return lease;
  }
  const auto lease = tx.exec_params1(kLockLease, pg::to_sql(request.lease));
  if (pg::read_text(lease[0]) != "open") {
    return fail(Code::kFailedPrecondition, "lease_closed", "the lease is closed: what it held is back already", "lease_id");
  }
  if (pg::read_money(lease[1]) < request.amount) {
    return fail(Code::kFailedPrecondition, "lease_overdrawn",
                fmt::format("the lease holds {} unspent, {} was returned", pg::read_money(lease[1]).to_string(),
                            request.amount.to_string()),
                "amount");
  }
  const auto shrunk = tx.exec_params1(kShrinkLease, pg::to_sql(request.lease), pg::to_sql(request.amount));
  const auto left = tx.exec_params1(kReserve, pg::to_sql(wallet), pg::to_sql(-request.amount));
  tx.exec_params0(kInsertMove, pg::to_sql(request.return_id), pg::to_sql(request.lease), "return", pg::to_sql(request.amount),
                  pg::to_sql(now));
  const Money available = pg::read_money(left[0]);
  // Gateways that were told "empty" wait for a word; one that merely shrinks its reserve needs no broadcast.
  if (available - request.amount <= Money()) append_changes(tx, ChangeKind::kWallet, {pg::to_sql(wallet)});
  return LeaseRow{request.lease, wallet, pg::read_money(shrunk[0]), -request.amount, pg::read_wall(shrunk[1]), available};
}

}  // namespace tidegate::billing
