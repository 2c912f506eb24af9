#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/ids.h"
#include "base/core/money.h"
#include "billing/core/usage_event.h"

/// From rated events to balanced books: one ledger transaction per (batch, wallet), so a busy wallet is
/// written once a batch, and revenue, which has no balance row, is nobody's hot row. The only place where
/// usage becomes entries.
namespace tidegate::billing {

enum class AccountKind : std::uint8_t {
  kPrepaid,
  kGrant,
  kReceivable,
  kRevenue,
  kPromoExpense,
  kCash,
  kTax,
  kRounding,
  kBreakage
};
std::string_view account_kind_name(AccountKind kind);
std::optional<AccountKind> parse_account_kind(std::string_view name);
/// Prepaid and receivable belong to a wallet, a grant's account to the grant; the others exist once a
/// currency.
bool is_wallet_account(AccountKind kind);

/// Debit positive, credit negative.
struct Entry {
  AccountKind account;
  Money amount;
  Uuid grant;  ///< of kGrant only
};

/// Entries of a transaction sum to zero.
bool is_balanced(const std::vector<Entry>& entries);

/// What a customer paid in: cash grows, so does what we owe the wallet.
std::vector<Entry> top_up_entries(Money amount);

struct RatedEvent {
  const UsageEvent* event = nullptr;
  price::RatedRequest rated;
  std::string currency;
};

/// What usage_hourly is by, but for the hour and the meter.
struct CellKey {
  TenantId tenant;
  ProjectId project;
  ApiKeyId key;
  std::string model, region, pool, band, currency;
  auto operator<=>(const CellKey&) const = default;
};

/// A line of a posting that no single event has, as a discount or a free quota. Negative in the customer's
/// favour.
struct ExtraLine {
  CellKey cell;
  Wall hour;            ///< UTC, of the usage it belongs to
  std::string meter;    ///< names what it is; not one of price::Meter
  Int128 quantity = 0;  ///< tokens it covers
  Money amount;
  std::string note;  ///< for people: which rule
};
/// The part of a charge that a grant pays instead of paid-in money.
struct GrantUse {
  Uuid grant;
  Money amount;  ///< positive
};

/// One ledger transaction to be. Who changes a bill (allowances, grants) adds to `extra` and `grants` before
/// the entries are made; the leases consume `total` whatever they add.
struct WalletPosting {
  WalletId wallet;
  std::string currency;
  Money total;        ///< of the events' own lines
  Wall effective_at;  ///< the latest completion in it
  std::vector<ExtraLine> extra;
  std::vector<GrantUse> grants;

  /// What the wallet and its grants pay together.
  Money charge() const;
};
/// We owe the wallet and its grants less, and earned it. Revenue is booked gross, what extra lines take back
/// beside it, so that a request that costs nothing in the end has a transaction too. Empty when the events
/// cost nothing and nothing was added. The charge is not negative, the grants pay no more than the charge.
std::vector<Entry> usage_entries(const WalletPosting& posting);

/// Sums of one cell and hour, by meter.
struct HourlySum {
  std::array<Int128, price::kMeterCount> quantity{};
  std::array<Money, price::kMeterCount> amount{};
  Money minimum;  ///< what minimum charges added to the lines
};
using HourlyKey = std::pair<CellKey, Wall>;

/// Everything a batch changes besides its own rows. Maps keep one order of locking in every replica.
struct BatchEffects {
  std::map<WalletId, WalletPosting> wallets;  ///< zero totals included: they have no entries
  std::map<LeaseId, Money> leases;            ///< consumed by this batch; no zero
  std::map<HourlyKey, HourlySum> hours;       ///< of the events' own lines
};
BatchEffects effects_of(const std::vector<RatedEvent>& events);

}  // namespace tidegate::billing
