#include "billing/core/posting.h"

#include <algorithm>

#include "base/core/check.h"

namespace tidegate::billing {

std::string_view account_kind_name(AccountKind kind) {
  switch (kind) {
    case AccountKind::kPrepaid:
      return "prepaid";
    case AccountKind::kGrant:
      return "grant";
    case AccountKind::kReceivable:
      return "receivable";
    case AccountKind::kRevenue:
      return "revenue";
    case AccountKind::kPromoExpense:
      return "promo_expense";
    case AccountKind::kCash:
      return "cash";
    case AccountKind::kTax:
      return "tax";
    case AccountKind::kRounding:
      return "rounding";
    case AccountKind::kBreakage:
      return "breakage";
  }
  return "";
}

std::optional<AccountKind> parse_account_kind(std::string_view name) {
  for (const auto kind : {AccountKind::kPrepaid, AccountKind::kGrant, AccountKind::kReceivable, AccountKind::kRevenue,
                          AccountKind::kPromoExpense, AccountKind::kCash, AccountKind::kTax, AccountKind::kRounding,
                          AccountKind::kBreakage}) {
    if (account_kind_name(kind) == name) return kind;
  }
  return std::nullopt;
}

bool is_wallet_account(AccountKind kind) { return kind == AccountKind::kPrepaid || kind == AccountKind::kReceivable; }

bool is_balanced(const std::vector<Entry>& entries) {
  Money sum;
  for (const auto& entry : entries) sum += entry.amount;
  return sum.is_zero();
}

std::vector<Entry> top_up_entries(Money amount) {
  TG_CHECK(Money() < amount);
  return {{AccountKind::kCash, amount}, {AccountKind::kPrepaid, -amount}};
}

Money WalletPosting::charge() const {
  Money sum = total;
  for (const auto& line : extra) sum += line.amount;
  return sum;
}

std::vector<Entry> usage_entries(const WalletPosting& posting) {
  const Money charge = posting.charge();
  TG_CHECK(!posting.total.is_negative() && !charge.is_negative());
  Money paid = charge;
  std::vector<Entry> entries;
  auto add = [&entries](AccountKind kind, Money amount, const Uuid& grant = {}) {
    if (!amount.is_zero()) entries.push_back({kind, amount, grant});
  };
  for (const auto& use : posting.grants) paid -= use.amount;
  TG_CHECK(!paid.is_negative());
  add(AccountKind::kPrepaid, paid);
  for (const auto& use : posting.grants) add(AccountKind::kGrant, use.amount, use.grant);
  add(AccountKind::kRevenue, -posting.total);
  add(AccountKind::kRevenue, posting.total - charge);
  TG_CHECK(is_balanced(entries));
  return entries;
}

BatchEffects effects_of(const std::vector<RatedEvent>& events) {
  BatchEffects effects;
  for (const auto& [event, rated, currency] : events) {
    WalletPosting& posting = effects.wallets[event->wallet];
    posting.wallet = event->wallet;
    posting.currency = currency;
    posting.total += rated.total;
    posting.effective_at = std::max(posting.effective_at, event->instants.completed);
    if (!rated.total.is_zero()) effects.leases[event->lease] += rated.total;

    if (event->prompt_tokens == 0 && event->completion_tokens == 0) continue;
    const Wall hour = std::chrono::floor<std::chrono::hours>(event->instants.completed);
    HourlySum& sum = effects.hours[{
        {event->tenant, event->project, event->key, event->model, event->region, event->pool, rated.band, currency},
        hour}];
    for (std::size_t i = 0; i < price::kMeterCount; ++i) {
      sum.quantity[i] += rated.lines[i].quantity;
      sum.amount[i] += rated.lines[i].amount;
    }
    sum.minimum += rated.minimum_top_up;
  }
  return effects;
}

}  // namespace tidegate::billing
