#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <set>

#include "base/core/backoff.h"
#include "base/core/log.h"
#include "base/net/signal.h"
#include "base/price/price_book.h"
#include "gateway/money/accounts_port.h"
#include "gateway/money/cap_table.h"
#include "gateway/money/clock_error.h"
#include "gateway/money/money_metrics.h"
#include "gateway/money/principal_cache.h"
#include "gateway/money/rate_wire.h"

namespace tidegate::gateway {

/// Keeps keys, prices, caps and limits as billing has them: snapshot, then changes; a new snapshot after every broken
/// stream. Until a snapshot is whole, the last one stays in force (fail static). Lives on one executor, except where noted.
class AccountsFeed {
 public:
  using TopUp = std::function<void(WalletId)>;
  using CapChange = std::function<void(const Uuid& cap, bool is_lowered)>;

  AccountsFeed(Accounts& accounts, std::string gateway_id, PrincipalCache& principals, FeedMetrics& metrics,
               const Clock& clock, Log& log, Executor executor, TopUp on_top_up, CapChange on_cap_changed);

  /// Until stop(). Reconnects for ever.
  awaitable<void> run();
  /// On the executor. run() returns soon after.
  void stop();
  /// Staleness gauge; every second or so.
  void tick();

  // Any thread.
  std::shared_ptr<const price::PriceBook> prices() const { return prices_.get(); }
  std::shared_ptr<const CapTable> caps() const { return caps_.get(); }
  std::shared_ptr<const RateRules> limits() const { return limits_.get(); }
  /// No limits have been read yet, because one of them cannot be: no key is known until it can.
  bool lacks_limits() const { return lacks_limits_.load(std::memory_order_acquire); }
  bool has_prices() const { return has_prices_.load(std::memory_order_acquire); }
  std::chrono::microseconds clock_error() const { return clock_error_.bound(); }

 private:
  struct Known {
    KeyTable keys;
    std::map<std::string, std::string> public_id_of;  ///< ApiKeyId bytes -> public id
    std::map<std::int64_t, v1::PriceVersion> versions;
    std::map<std::pair<std::string, std::int32_t>, v1::HolidayCalendar> calendars;
    std::vector<v1::PriceModifier> modifiers;
    CapRules caps;
    RateRuleMap limits;
    bool is_whole = false;
  };

  awaitable<void> follow(AccountsStream& stream);
  void apply(v1::AccountsUpdate update);
  void apply_keys(const v1::AccountsUpdate& update);
  bool apply_prices(const v1::AccountsUpdate& update);
  void add_key(const v1::Principal& wire);
  void publish_keys();
  void publish_prices();
  bool apply_caps(const v1::AccountsUpdate& update);
  void publish_caps();
  bool apply_limits(const v1::AccountsUpdate& update);
  /// True: these are the first that could be read.
  bool publish_limits();

  Accounts& accounts_;
  const std::string gateway_id_;
  PrincipalCache& principals_;
  FeedMetrics& metrics_;
  const Clock& clock_;
  Log& log_;
  const TopUp on_top_up_;
  const CapChange on_cap_changed_;
  Known known_;
  Backoff backoff_;
  AsyncSignal stopped_;
  std::unique_ptr<AccountsStream> stream_;
  bool is_stopping_ = false;
  bool is_silent_ = false;
  Mono heard_ = {};
  ClockError clock_error_;
  Snapshot<price::PriceBook> prices_;
  std::atomic<bool> has_prices_ = false;
  CapRules caps_published_;
  Snapshot<CapTable> caps_;
  Snapshot<RateRules> limits_;
  bool has_limits_ = false;
  std::atomic<bool> lacks_limits_ = false;
};

}  // namespace tidegate::gateway
