#include "billing/core/posting.h"

#include <algorithm>

#include "base/core/check.h"

namespace tidegate::billing {

std::string_view account_kind_name(AccountKind kind) {
  switch (kind) {
    case AccountKind::kPrepaid: return "prepaid";
    case AccountKind::kCash: return "cash";
    case AccountKind::kRevenue: return "revenue";
  }
  return "";
}

bool is_balanced(const std::vector<Entry>& entries) {
  Money sum;
  for (const auto& entry : entries) sum += entry.amount;
  return sum.is_zero();
}

std::vector<Entry> top_up_entries(Money amount) {
  TG_CHECK(Money() < amount);
  return {{AccountKind::kCash, amount}, {AccountKind::kPrepaid, -amount}};
}

std::vector<Entry> usage_entries(Money amount) {
  TG_CHECK(!amount.is_negative());
  if (amount.is_zero()) return {};
  return {{AccountKind::kPrepaid, amount}, {AccountKind::kRevenue, -amount}};
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

    const Wall hour = std::chrono::floor<std::chrono::hours>(event->instants.completed);
    for (const auto& line : rated.lines) {
      if (line.quantity == 0) continue;
      HourlySum& sum = effects.hours[{hour, event->tenant, event->project, event->key, event->model, event->region,
                                      event->pool, std::string(price::meter_name(line.meter)), rated.band, currency}];
      sum.quantity += line.quantity;
      sum.amount += line.amount;
    }
  }
  for (auto& [wallet, posting] : effects.wallets) {
    posting.entries = usage_entries(posting.total);
    TG_CHECK(is_balanced(posting.entries));
  }
  return effects;
}

}  // namespace tidegate::billing
