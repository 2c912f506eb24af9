#pragma once

#include <map>
#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "billing/adapters/account_store.h"
#include "billing/core/posting.h"

/// Grants in PostgreSQL: money given. Everything runs in the caller's transaction.
///
/// A grant pays for requests that were admitted in [effective_at, expires_at), before paid-in money, in the order of
/// priority, expires_at, id. A wallet's leases never outlive a grant they need: from one lease life before its end, what
/// a grant has left backs no new or extended lease (unleasable()). What is left half an hour after the end, when the
/// last request of it was shipped, lapses into breakage.
namespace tidegate::billing {

struct GrantRow {
  Uuid id;
  WalletId wallet;
  std::string tenant_name, currency, name;
  Money amount, consumed, lapsed;
  std::int64_t priority = 0;
  Wall effective, expires, created;
  std::vector<std::string> models;  ///< it pays for; empty = all
  std::optional<Wall> voided;

  Money left() const { return amount - consumed - lapsed; }
};

struct CreateGrant {
  Uuid id;  ///< the caller's: the same id gives once
  Uuid tx_id;
  WalletId wallet;
  std::string currency, name;
  Money amount;
  std::int64_t priority = 0;
  Wall expires;
  std::vector<std::string> models;
};
/// Fails: invalid_argument/{bad_amount, bad_grant}, already_exists/grant_differs, resource_exhausted/too_many_grants.
Result<GrantRow> create_grant(pqxx::work& tx, const CreateGrant& grant, Wall now);
/// No new lease needs it from here on; what leases hold of it may still be used until `lease_end`, the rest lapses now.
/// Fails: not_found/unknown_grant.
Result<GrantRow> void_grant(pqxx::work& tx, const Uuid& grant, const Uuid& tx_id, Wall lease_end, Wall now);
std::vector<GrantRow> list_grants(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page);

/// What the wallet's grants have left that no lease ending at `lease_end` may count on. After the wallet's lock.
Money unleasable(pqxx::work& tx, WalletId wallet, Wall lease_end);

/// Part of apply_usage, under the wallets' locks: splits the charges over the wallets' grants into
/// WalletPosting::grants. Returns when the last request each grant paid for was admitted.
std::map<Uuid, Wall> burn_grants(pqxx::work& tx, const std::vector<RatedEvent>& events, BatchEffects& effects);
/// After the ledger transactions were written.
void record_grant_uses(pqxx::work& tx, const BatchEffects& effects, const std::map<WalletId, Uuid>& postings,
                       const std::map<Uuid, Wall>& used_at);

/// Posts what expired grants have left to breakage; at most `limit` grants. How many.
std::size_t lapse_grants(pqxx::work& tx, IdSource& ids, int limit, Wall now);

}  // namespace tidegate::billing
