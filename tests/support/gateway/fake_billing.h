#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/money.h"
#include "base/net/signal.h"
#include "base/price/price_book.h"
#include "gateway/money/accounts_port.h"

namespace tidegate::gateway::test {

/// Billing in memory, with its rules: leases are taken out of wallets, sequences have no gaps, every event is
/// rated again and a difference refused. Thread-safe; streams and answers live on the executor it is given.
class FakeBilling final : public Accounts {
 public:
  enum class Call : std::uint8_t { kOpenEpoch, kCloseEpoch, kAcquire, kReturn, kSubmit };

  FakeBilling(Executor executor, const Clock& clock);

  // What tests set up.
  WalletId add_wallet(Money balance, Money credit_limit = {});
  /// Tells watchers as billing does.
  void top_up(WalletId wallet, Money amount);
  void add_key(v1::Principal principal);
  void remove_key(const std::string& key_id);
  void add_price(v1::PriceVersion version);
  void add_modifier(v1::PriceModifier modifier);
  /// Of key_for()'s ids: a rule as billing tells it; `subject` raw, empty = the tenant, or with kUser each end user.
  Uuid add_cap(const std::string& tenant, v1::CapScope scope, const std::string& subject, Money limit);
  void set_cap_limit(const Uuid& cap, Money limit);
  void remove_cap(const Uuid& cap);
  /// Added, or changed when its id is known.
  void set_limit(v1::RateLimitRule rule);
  void remove_limit(const std::string& limit_id);
  /// The present period of every cap ends; what it counted stays spent in the past.
  void roll_periods(Wall end_of_next);
  void set_gateways(std::int64_t gateways) { gateways_ = gateways; }
  void set_lease_life(Duration life) { lease_life_ = life; }
  /// The next `count` calls of this kind answer with `error`; `is_done`: although the work was done (a lost
  /// reply).
  void fail_next(Call call, Error error, bool is_done = false, int count = 1);
  /// Nothing answers, streams break.
  void set_down(bool is_down);
  void break_streams();

  // What tests look at.
  struct Wallet {
    Money balance;
    Money credit_limit;
    Money leased;
    Money spent;
    Money available() const { return balance + credit_limit - leased; }
  };
  Wallet wallet(WalletId id) const;
  struct CapSpend {
    Money spent;
    Money leased;
  };
  /// Of the present period; `end_user` nil but for the cap of every end user.
  CapSpend cap_spend(const Uuid& cap, const Uuid& end_user = {}) const;
  std::vector<v1::UsageEvent> events() const;
  std::optional<v1::UsageEvent> event(RequestId request) const;
  int calls(Call call) const;
  std::size_t open_epochs() const;
  std::size_t watchers() const;
  /// Every invariant of money at rest; empty when all hold.
  std::vector<std::string> reconcile() const;

  // Accounts
  std::unique_ptr<AccountsStream> watch(v1::WatchAccountsRequest request) override;
  awaitable<Result<v1::OpenEpochResponse>> open_epoch(v1::OpenEpochRequest request) override;
  awaitable<Result<v1::CloseEpochResponse>> close_epoch(v1::CloseEpochRequest request) override;
  awaitable<Result<v1::Lease>> acquire_lease(v1::AcquireLeaseRequest request) override;
  awaitable<Result<v1::Lease>> return_lease(v1::ReturnLeaseRequest request) override;
  awaitable<Result<v1::UsageAck>> submit_usage(v1::UsageBatch batch) override;

 private:
  struct Lease {
    WalletId wallet;
    std::string gateway;
    std::uint64_t epoch = 0;
    Money amount;
    Money consumed;
    bool is_open = true;
  };
  struct Cap {
    v1::CapRule rule;
    Money limit;
  };
  struct CapLease {
    std::string node;  ///< cap, end user and period
    std::string gateway;
    std::uint64_t epoch = 0;
    Money amount;
    Money consumed;
    bool is_open = true;
  };
  struct Epoch {
    std::string boot;
    std::uint64_t applied = 0;
    std::string receipt_link;
    bool is_closed = false;
  };
  struct Fault {
    Error error;
    bool is_done = false;
    int count = 0;
  };
  struct Inbox;
  class Stream;
  using EpochKey = std::pair<std::string, std::uint64_t>;

  /// Runs `work` unless a fault or an outage forbids it; loses the answer when a fault says so.
  template <typename Answer, typename Work>
  Result<Answer> answer(Call call, Work work);
  Result<v1::OpenEpochResponse> do_open(const v1::OpenEpochRequest& request);
  Result<v1::CloseEpochResponse> do_close(const v1::CloseEpochRequest& request);
  Result<v1::Lease> do_acquire(const v1::AcquireLeaseRequest& request);
  Result<v1::Lease> do_return(const v1::ReturnLeaseRequest& request);
  Result<v1::UsageAck> do_submit(const v1::UsageBatch& batch);
  Status check_event(const v1::UsageEvent& event, const std::map<std::string, Money>& consumed) const;
  Result<v1::Lease> do_acquire_of_cap(const v1::AcquireLeaseRequest& request);
  Result<v1::Lease> do_return_to_cap(const v1::ReturnLeaseRequest& request);
  v1::Lease cap_reply(const std::string& id, Money granted) const;
  std::string node_of(const std::string& cap, const std::string& end_user) const;
  /// Every event has a receipt that says the same, follows the one before it and is signed with the gateway's
  /// key. Moves `link` on.
  static Status check_receipt(const v1::UsageEvent& event, const EpochKey& epoch, const std::string& key,
                              std::string& link);
  v1::Lease lease_reply(const std::string& id, Money granted) const;
  v1::AccountsUpdate snapshot() const;
  void publish(const v1::AccountsUpdate& update);
  Result<price::PriceBook> book() const;

  const Executor executor_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<WalletId, Wallet> wallets_;
  std::map<std::string, Lease> leases_;
  std::map<std::string, Cap> caps_;
  std::map<std::string, v1::RateLimitRule> limits_;
  std::map<std::string, CapSpend> cap_nodes_;
  std::map<std::string, CapLease> cap_leases_;
  int period_ = 1;
  std::int64_t period_end_us_ = 0;
  std::map<EpochKey, Epoch> epochs_;
  std::map<std::string, std::string> receipt_keys_;  // by gateway
  std::map<std::string, v1::Lease> replies_;         // by grant_id or return_id
  std::map<std::string, v1::Principal> keys_;
  std::map<std::int64_t, v1::PriceVersion> prices_;
  std::vector<v1::PriceModifier> modifiers_;
  std::map<std::string, v1::UsageEvent> events_;
  std::map<Call, Fault> faults_;
  std::map<Call, int> calls_;
  std::vector<std::weak_ptr<Inbox>> inboxes_;
  std::uint64_t next_id_ = 1;
  std::int64_t gateways_ = 1;
  Duration lease_life_ = std::chrono::seconds(60);
  bool is_down_ = false;
};

}  // namespace tidegate::gateway::test
