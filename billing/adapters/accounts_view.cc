#include "billing/adapters/accounts_view.h"

#include <charconv>

#include "base/pg/types.h"
#include "billing/adapters/change_log.h"

namespace tidegate::billing {

namespace {

constexpr int kPageOfKeys = 10'000;
constexpr int kChangesMax = 1'000;

void one_snapshot(pqxx::work& tx) { tx.exec0("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"); }

void add_prices(const price::PriceBook& book, const std::vector<std::string>& refs, AccountsDelta& delta) {
  for (const auto& ref : refs) {
    std::int64_t id = 0;
    if (std::from_chars(ref.data(), ref.data() + ref.size(), id).ec != std::errc()) continue;  // modifiers
    if (const auto* version = book.find(id)) {
      delta.prices.push_back(*version);
    } else {
      delta.removed_prices.push_back(id);
    }
  }
  delta.calendars.assign(book.calendars().begin(), book.calendars().end());
  delta.has_modifiers = true;
  delta.modifiers.assign(book.modifiers().begin(), book.modifiers().end());
}

}  // namespace

Result<AccountsSnapshot> load_accounts(pqxx::work& tx) {
  one_snapshot(tx);
  AccountsSnapshot snapshot;
  snapshot.version = change_version(tx);
  std::optional<Uuid> after;
  while (true) {
    auto page = list_principals(tx, after, kPageOfKeys);
    if (page.empty()) break;
    after = page.back().key.id.uuid;
    snapshot.principals.insert(snapshot.principals.end(), std::make_move_iterator(page.begin()),
                               std::make_move_iterator(page.end()));
  }
  TG_ASSIGN(snapshot.prices, load_prices(tx));
  std::optional<Uuid> after_cap;
  while (true) {
    auto page = caps_in_force(tx, after_cap, kPageOfKeys);
    if (page.empty()) break;
    after_cap = page.back().id;
    snapshot.caps.insert(snapshot.caps.end(), std::make_move_iterator(page.begin()),
                         std::make_move_iterator(page.end()));
  }
  std::optional<Uuid> after_limit;
  while (true) {
    auto page = rate_limits_in_force(tx, after_limit, kPageOfKeys);
    if (page.empty()) break;
    after_limit = page.back().id;
    snapshot.limits.insert(snapshot.limits.end(), std::make_move_iterator(page.begin()),
                           std::make_move_iterator(page.end()));
  }
  return snapshot;
}

Result<AccountsDelta> load_accounts_delta(pqxx::work& tx, std::int64_t after) {
  one_snapshot(tx);
  AccountsDelta delta;
  delta.version = after;
  const auto changes = read_changes(tx, after, kChangesMax);
  if (changes.empty()) return delta;
  delta.version = changes.back().version;
  std::vector<std::string> keys, tenants, prices, wallets, caps, limits;
  for (const auto& change : changes) {
    switch (change.kind) {
      case ChangeKind::kKey: keys.push_back(change.ref); break;
      case ChangeKind::kTenant: tenants.push_back(change.ref); break;
      case ChangeKind::kPrice: prices.push_back(change.ref); break;
      case ChangeKind::kWallet: wallets.push_back(change.ref); break;
      case ChangeKind::kCap: caps.push_back(change.ref); break;
      case ChangeKind::kLimit: limits.push_back(change.ref); break;
    }
  }
  if (!keys.empty() || !tenants.empty()) {
    for (auto& principal : principals_of(tx, keys, tenants)) {
      if (principal.key.revoked) {
        delta.removed_keys.push_back(principal.key.id);
      } else {
        delta.principals.push_back(std::move(principal));
      }
    }
  }
  if (!prices.empty()) {
    TG_ASSIGN(const auto published, load_prices(tx));
    add_prices(published.book, prices, delta);
  }
  for (const auto& wallet : wallets) {
    TG_ASSIGN(const auto id, WalletId::parse(wallet));
    delta.topped_up.push_back(id);
  }
  if (!caps.empty()) delta.caps = caps_of(tx, caps);
  if (!limits.empty()) delta.limits = rate_limits_of(tx, limits);
  return delta;
}

}  // namespace tidegate::billing
