#include "billing/adapters/grant_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/core/check.h"
#include "base/pg/types.h"
#include "billing/adapters/change_log.h"
#include "billing/adapters/posting_store.h"
#include "billing/core/grant_burn.h"

namespace tidegate::billing {

namespace {

constexpr std::int64_t kPriorityMax = 1000;
constexpr std::size_t kGrantNameMax = 128, kModelsMax = 64;
/// With money in them, per wallet: each batch of usage reads them.
constexpr std::int64_t kGrantsMax = 100;
/// A request lasts ten minutes at most, and its usage is shipped within seconds unless a gateway is down.
constexpr auto kLapseAfter = std::chrono::minutes(30);

constexpr const char* kSelectGrants = R"sql(
  SELECT g.id, g.wallet_id, t.name, w.currency, g.name, g.amount, g.consumed, g.lapsed, g.priority,
         (extract(epoch FROM g.effective_at) * 1000000)::bigint, (extract(epoch FROM g.expires_at) * 1000000)::bigint,
         (extract(epoch FROM g.created_at) * 1000000)::bigint, array_to_string(g.models, E'\n'),
         (extract(epoch FROM g.voided_at) * 1000000)::bigint
    FROM grants g JOIN wallets w ON w.id = g.wallet_id JOIN tenants t ON t.id = w.tenant_id )sql";
constexpr const char* kInsertGrant = R"sql(
  INSERT INTO grants (id, wallet_id, name, amount, priority, effective_at, expires_at, models, created_at)
  VALUES ($1, $2, $3, $4::numeric, $5, $6, $7, $8::text[], $6) ON CONFLICT (id) DO NOTHING RETURNING id)sql";
constexpr const char* kInsertAccounts = R"sql(
  INSERT INTO ledger_accounts (wallet_id, grant_id, kind, currency)
  VALUES ($1::uuid, $2::uuid, 'grant', $3), (NULL, NULL, 'promo_expense', $3), (NULL, NULL, 'breakage', $3)
  ON CONFLICT DO NOTHING)sql";
constexpr const char* kCountOpen = "SELECT count(*) FROM grants WHERE wallet_id = $1 AND consumed + lapsed < amount";
constexpr const char* kCreditWallet = R"sql(
  UPDATE wallets SET balance = balance + $2::numeric, credits = credits + 1,
         full_mark = balance + $2::numeric + credit_limit WHERE id = $1)sql";
constexpr const char* kVoidGrant = R"sql(
  UPDATE grants SET voided_at = coalesce(voided_at, $2::timestamptz), expires_at = least(expires_at, $3::timestamptz)
   WHERE id = $1)sql";
constexpr const char* kUnleasable = R"sql(
  SELECT coalesce(sum(amount - consumed - lapsed), 0) FROM grants
   WHERE wallet_id = $1 AND consumed + lapsed < amount
     AND (voided_at IS NOT NULL OR expires_at <= $2::timestamptz OR cardinality(models) > 0))sql";
constexpr const char* kOpenGrants = R"sql(
  SELECT id, wallet_id, amount - consumed - lapsed, priority, (extract(epoch FROM effective_at) * 1000000)::bigint,
         (extract(epoch FROM expires_at) * 1000000)::bigint, array_to_string(models, E'\n')
    FROM grants WHERE wallet_id = ANY ($1::uuid[]) AND consumed + lapsed < amount)sql";
constexpr const char* kConsumeGrants = R"sql(
  UPDATE grants g SET consumed = g.consumed + u.amount
    FROM unnest($1::uuid[], $2::numeric[]) AS u(id, amount) WHERE g.id = u.id)sql";
constexpr const char* kInsertGrantUses = R"sql(
  INSERT INTO grant_uses (grant_id, tx, amount, used_at)
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::numeric[], $4::timestamptz[]))sql";
constexpr const char* kExpiredGrants = R"sql(
  SELECT id FROM grants WHERE consumed + lapsed < amount AND expires_at <= $1::timestamptz ORDER BY expires_at, id LIMIT $2)sql";
constexpr const char* kLapseRoom = R"sql(
  SELECT least(g.amount - g.consumed - g.lapsed, w.balance + w.credit_limit - w.leased), w.currency, g.lapsed
    FROM grants g JOIN wallets w ON w.id = g.wallet_id WHERE g.id = $1)sql";
constexpr const char* kLapse = "UPDATE grants SET lapsed = lapsed + $2::numeric WHERE id = $1";

GrantRow read_grant(const pqxx::row& row) {
  GrantRow grant;
  grant.id = pg::read_uuid(row[0]);
  grant.wallet = pg::read_id<WalletId>(row[1]);
  grant.tenant_name = pg::read_text(row[2]);
  grant.currency = pg::read_text(row[3]);
  grant.name = pg::read_text(row[4]);
  grant.amount = pg::read_money(row[5]);
  grant.consumed = pg::read_money(row[6]);
  grant.lapsed = pg::read_money(row[7]);
  grant.priority = pg::read_int64(row[8]);
  grant.effective = pg::read_wall(row[9]);
  grant.expires = pg::read_wall(row[10]);
  grant.created = pg::read_wall(row[11]);
  grant.models = pg::read_list(row[12], '\n');
  grant.voided = pg::read_wall_if(row[13]);
  return grant;
}

Result<GrantRow> find_grant(pqxx::work& tx, const Uuid& grant) {
  static const std::string kFind = std::string(kSelectGrants) + "WHERE g.id = $1";
  const auto rows = tx.exec_params(kFind, pg::to_sql(grant));
  if (!rows.empty()) return read_grant(rows[0]);
  return fail(Code::kNotFound, "unknown_grant", fmt::format("there is no grant {}", grant.to_string()), "grant_id");
}

Status check_grant(const CreateGrant& grant, Wall now) {
  const auto bad = [](std::string message, std::string field) {
    return fail(Code::kInvalidArgument, "bad_grant", std::move(message), std::move(field));
  };
  if (grant.amount <= Money()) return fail(Code::kInvalidArgument, "bad_amount", "a grant is greater than zero", "amount");
  if (grant.priority < 0 || grant.priority > kPriorityMax) {
    return bad(fmt::format("priority must be between 0, used first, and {}", kPriorityMax), "priority");
  }
  if (grant.expires <= now) return bad("the grant would have expired already", "expires_us");
  if (grant.name.size() > kGrantNameMax)
    return bad(fmt::format("name must be at most {} bytes", kGrantNameMax), "name");
  if (grant.models.size() > kModelsMax) return bad(fmt::format("a grant names at most {} models", kModelsMax), "models");
  for (const auto& model : grant.models) {
    if (model.empty() || model.find('\n') != model.npos) return bad("a model's name is empty or has a line break", "models");
  }
  return {};
}

void write_one(pqxx::work& tx, LedgerTx transaction, Wall now) {
  UsageDimensions none;  // no extra lines
  write_ledger(tx, {std::move(transaction)}, now, none);
}

/// Under the wallet's lock. Zero when leases hold everything.
Money lapse(pqxx::work& tx, const GrantRow& grant, const Uuid& tx_id, const char* source_type, Wall now) {
  const auto room = tx.exec_params1(kLapseRoom, pg::to_sql(grant.id));
  const Money amount = pg::read_money(room[0]);
  if (amount <= Money()) return {};
  LedgerTx posting;
  posting.id = tx_id;
  posting.source_type = source_type;
  // Once for each state of what has lapsed: the same step twice is impossible.
  posting.source_id = fmt::format("{}/{}", grant.id.to_string(), pg::read_money(room[2]).to_string());
  posting.wallet = grant.wallet;
  posting.currency = pg::read_text(room[1]);
  posting.effective_at = now;
  posting.note = grant.name;
  posting.entries = {{AccountKind::kGrant, amount, grant.id}, {AccountKind::kBreakage, -amount, {}}};
  write_one(tx, std::move(posting), now);
  tx.exec_params0(kLapse, pg::to_sql(grant.id), pg::to_sql(amount));
  move_wallets(tx, {{grant.wallet, -amount, Money()}});
  return amount;
}

std::map<WalletId, std::vector<GrantState>> open_grants(pqxx::work& tx, const BatchEffects& effects) {
  pg::ArrayLiteral wallets;
  for (const auto& [wallet, posting] : effects.wallets) {
    if (!posting.charge().is_zero()) wallets.add(wallet);
  }
  std::map<WalletId, std::vector<GrantState>> out;
  if (wallets.size() == 0) return out;
  for (const auto& row : tx.exec_params(kOpenGrants, wallets.text())) {
    GrantState& grant = out[pg::read_id<WalletId>(row[1])].emplace_back();
    grant.id = pg::read_text(row[0]);
    grant.left = pg::read_money(row[2]);
    grant.priority = pg::read_int64(row[3]);
    grant.effective_at = pg::read_wall(row[4]);
    grant.expires_at = pg::read_wall(row[5]);  // a voided grant ends with the leases that count on it
    grant.models = pg::read_list(row[6], '\n');
  }
  return out;
}

}  // namespace

Result<GrantRow> create_grant(pqxx::work& tx, const CreateGrant& grant, Wall now) {
  TG_TRY(check_grant(grant, now));
  lock_wallets(tx, {grant.wallet});
  const auto made = tx.exec_params(kInsertGrant, pg::to_sql(grant.id), pg::to_sql(grant.wallet), grant.name,
                                   pg::to_sql(grant.amount), grant.priority, pg::to_sql(now), pg::to_sql(grant.expires),
                                   pg::array_of(grant.models));
  if (made.empty()) {
    TG_ASSIGN(auto before, find_grant(tx, grant.id));
    if (before.wallet == grant.wallet && before.amount == grant.amount) return before;
    return fail(Code::kAlreadyExists, "grant_differs",
                fmt::format("grant {} was made for another wallet or amount; use a new id", grant.id.to_string()), "grant_id");
  }
  if (pg::read_int64(tx.exec_params1(kCountOpen, pg::to_sql(grant.wallet))[0]) > kGrantsMax) {
    return fail(Code::kResourceExhausted, "too_many_grants",
                fmt::format("a wallet has at most {} grants with money in them", kGrantsMax), "tenant");
  }
  tx.exec_params0(kInsertAccounts, pg::to_sql(grant.wallet), pg::to_sql(grant.id), grant.currency);
  LedgerTx posting;
  posting.id = grant.tx_id;
  posting.source_type = "grant";
  posting.source_id = grant.id.to_string();
  posting.wallet = grant.wallet;
  posting.currency = grant.currency;
  posting.effective_at = now;
  posting.note = grant.name;
  posting.entries = {{AccountKind::kPromoExpense, grant.amount, {}}, {AccountKind::kGrant, -grant.amount, grant.id}};
  write_one(tx, std::move(posting), now);
  tx.exec_params0(kCreditWallet, pg::to_sql(grant.wallet), pg::to_sql(grant.amount));
  append_changes(tx, ChangeKind::kWallet, {grant.wallet.to_string()});
  return find_grant(tx, grant.id);
}

Result<GrantRow> void_grant(pqxx::work& tx, const Uuid& id, const Uuid& tx_id, Wall lease_end, Wall now) {
  TG_ASSIGN(const auto grant, find_grant(tx, id));
  lock_wallets(tx, {grant.wallet});
  tx.exec_params0(kVoidGrant, pg::to_sql(id), pg::to_sql(now), pg::to_sql(lease_end));
  lapse(tx, grant, tx_id, "grant_void", now);
  return find_grant(tx, id);
}

std::vector<GrantRow> list_grants(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page) {
  static const std::string kList = std::string(kSelectGrants) + R"sql(
    WHERE ($1 = '' OR w.tenant_id = nullif($1, '')::uuid) AND ($2 = '' OR g.id > nullif($2, '')::uuid)
    ORDER BY g.id LIMIT $3)sql";
  std::vector<GrantRow> out;
  const std::string after = page.after ? page.after->to_string() : "";
  for (const auto& row : tx.exec_params(kList, tenant ? tenant->to_string() : "", after, page.limit)) out.push_back(read_grant(row));
  return out;
}

Money unleasable(pqxx::work& tx, WalletId wallet, Wall lease_end) {
  return pg::read_money(tx.exec_params1(kUnleasable, pg::to_sql(wallet), pg::to_sql(lease_end))[0]);
}

std::map<Uuid, Wall> burn_grants(pqxx::work& tx, const std::vector<RatedEvent>& events, BatchEffects& effects) {
  std::map<Uuid, Wall> used_at;
  auto grants = open_grants(tx, effects);
  if (grants.empty()) return used_at;
  std::map<std::string, Money> uses;
  std::map<WalletId, Money> owed;  // discounts may have made it less than the sum of the events
  for (const auto& [wallet, mine] : grants) owed[wallet] = effects.wallets.at(wallet).charge();
  for (const auto& rated : events) {
    const auto mine = grants.find(rated.event->wallet);
    if (mine == grants.end()) continue;
    Money& left_to_pay = owed.at(rated.event->wallet);
    const Money open = std::min(rated.rated.total, left_to_pay);
    // By the admission: that is when the money was set aside, from a lease that the grant could back.
    const Wall instant = rated.event->instants.admitted;
    const BurnDown down = burn_down(mine->second, open, instant, rated.event->model);
    for (const GrantShare& share : down.uses) {
      const auto grant = std::ranges::find(mine->second, share.id, &GrantState::id);
      grant->left -= share.amount;
      left_to_pay -= share.amount;
      uses[share.id] += share.amount;
      Wall& last = used_at[Uuid::parse(share.id).value()];
      last = std::max(last, instant);
    }
  }
  for (const auto& [wallet, mine] : grants) {
    for (const GrantState& grant : mine) {
      const auto use = uses.find(grant.id);
      if (use != uses.end()) effects.wallets.at(wallet).grants.push_back({Uuid::parse(grant.id).value(), use->second});
    }
  }
  return used_at;
}

void record_grant_uses(pqxx::work& tx, const BatchEffects& effects, const std::map<WalletId, Uuid>& postings,
                       const std::map<Uuid, Wall>& used_at) {
  pg::ArrayLiteral grants, txs, amounts, instants;
  for (const auto& [wallet, posting] : effects.wallets) {
    for (const GrantUse& use : posting.grants) {
      grants.add(use.grant);
      txs.add(postings.at(wallet));
      amounts.add(use.amount);
      instants.add(used_at.at(use.grant));
    }
  }
  if (grants.size() == 0) return;
  tx.exec_params0(kConsumeGrants, grants.text(), amounts.text());
  tx.exec_params0(kInsertGrantUses, grants.text(), txs.text(), amounts.text(), instants.text());
}

std::size_t lapse_grants(pqxx::work& tx, IdSource& ids, int limit, Wall now) {
  std::vector<GrantRow> expired;
  std::vector<WalletId> wallets;
  for (const auto& row : tx.exec_params(kExpiredGrants, pg::to_sql(now - kLapseAfter), limit)) {
    auto grant = find_grant(tx, pg::read_uuid(row[0]));
    TG_CHECK(grant.has_value());
    wallets.push_back(grant->wallet);
    expired.push_back(*std::move(grant));
  }
  lock_wallets(tx, wallets);
  std::size_t lapsed = 0;
  for (const GrantRow& grant : expired) lapsed += lapse(tx, grant, ids.next(), "grant_expiry", now).is_zero() ? 0 : 1;
  return lapsed;
}

}  // namespace tidegate::billing
