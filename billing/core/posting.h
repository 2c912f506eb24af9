#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/core/ids.h"
#include "base/core/money.h"
#include "billing/core/usage_event.h"

/// From rated events to balanced books: one ledger transaction per (batch, wallet), so a busy wallet is written once a
/// batch, and revenue, which has no balance row, is nobody's hot row.
namespace tidegate::billing {

enum class AccountKind : std::uint8_t { kPrepaid, kCash, kRevenue };
std::string_view account_kind_name(AccountKind kind);

/// Debit positive, credit negative.
struct Entry {
  AccountKind account;
  Money amount;
};

/// Entries of a transaction sum to zero.
bool is_balanced(const std::vector<Entry>& entries);

/// What a customer paid in: cash grows, so does what we owe the wallet.
std::vector<Entry> top_up_entries(Money amount);
/// What a customer used: we owe the wallet less, and earned it. Empty for zero.
std::vector<Entry> usage_entries(Money amount);

struct RatedEvent {
  const UsageEvent* event = nullptr;
  price::RatedRequest rated;
  std::string currency;
};

struct WalletPosting {
  WalletId wallet;
  std::string currency;
  Money total;
  Wall effective_at;  ///< the latest completion in it
  std::vector<Entry> entries;
};

/// Key of usage_hourly.
struct HourlyKey {
  Wall hour;
  TenantId tenant;
  ProjectId project;
  ApiKeyId key;
  std::string model, region, pool, meter, band, currency;
  auto operator<=>(const HourlyKey&) const = default;
};
struct HourlySum {
  Int128 quantity = 0;
  Money amount;
};

/// Everything a batch changes besides its own rows. Maps keep one order of locking in every replica.
struct BatchEffects {
  std::map<WalletId, WalletPosting> wallets;  ///< zero totals included: they have no entries
  std::map<LeaseId, Money> leases;            ///< consumed by this batch; no zero
  std::map<HourlyKey, HourlySum> hours;
};
BatchEffects effects_of(const std::vector<RatedEvent>& events);

}  // namespace tidegate::billing
