#pragma once

#include <mutex>
#include <unordered_map>

#include "base/core/backoff.h"
#include "base/core/log.h"
#include "base/core/random.h"
#include "base/net/signal.h"
#include "base/net/suspend.h"
#include "gateway/core/lease_tree.h"
#include "gateway/money/accounts_port.h"
#include "gateway/money/money_metrics.h"

namespace tidegate::gateway {

/// Performs what the lease trees decide: one tree per wallet, calls to billing on one executor, waiting requests woken
/// on theirs. hold(), shrink(), settle() and on_top_up() from any thread; no lock is held across a wait.
///
/// A call without an answer is repeated with the same id until there is one, because billing may have moved the money.
class LeaseKeeper {
 public:
  /// References outlive the keeper; `executor` is where calls to billing run (one thread).
  LeaseKeeper(Accounts& accounts, std::string gateway_id, LeasePolicy policy, LeaseMetrics& metrics, const Clock& clock,
              EntropySource& entropy, Log& log, Executor executor);

  /// Before the first hold.
  void open_epoch(std::uint64_t epoch) { epoch_ = epoch; }

  /// Takes `amount` from the wallet's lease and from that of each cap, all or nothing; waits for billing at most until
  /// `give_up` when one of them is short. `caps` are distinct and outlive the wait.
  /// Fails: resource_exhausted/{insufficient_balance, budget_exceeded}, unavailable/billing_unreachable.
  awaitable<Result<Hold>> hold(WalletId wallet, std::span<const NodeId> caps, Money amount, Mono give_up);
  void shrink(WalletId wallet, Hold& hold, Money amount);
  void settle(WalletId wallet, const Hold& hold, Money spent);
  void on_top_up(WalletId wallet);
  void on_cap_changed(const Uuid& cap, bool is_lowered);
  /// Every quarter second, on the executor.
  void tick();
  /// Ends every wait as billing_unreachable and returns once no call is under way. On the executor.
  awaitable<void> stop();

  /// Sum over all wallets, caps not counted, for tests and metrics.
  Money held() const;
  Money free() const;

 private:
  struct Waiting {
    std::optional<Result<Hold>> answer;
    std::optional<Resume<Result<Hold>>> resume;
  };
  struct Wake {
    Resume<Result<Hold>> resume;
    Result<Hold> answer;
  };
  /// What to do once the lock is gone.
  struct Work {
    std::vector<Wake> wakes;
    std::vector<LeaseTree::Acquire> acquires;
    std::vector<LeaseTree::Return> returns;
  };

  LeaseTree& tree_of(WalletId wallet);
  void collect(LeaseTree::Actions actions, Work& work);
  void answer(LeaseTree::Ticket ticket, Result<Hold> result, Work& work);
  void perform(WalletId wallet, Work work);
  /// Runs `event` on the wallet's tree under the lock, then performs the actions.
  template <typename Event>
  void feed(WalletId wallet, Event event);

  awaitable<void> acquire(WalletId wallet, LeaseTree::Acquire what);
  awaitable<void> give_back(WalletId wallet, LeaseTree::Return what);
  v1::AcquireLeaseRequest acquire_request(WalletId wallet, const LeaseTree::Acquire& what, const std::string& grant_id) const;
  void call_ended();
  awaitable<bool> pause(Backoff& backoff);
  std::string new_id();

  Accounts& accounts_;
  const std::string gateway_id_;
  const LeasePolicy policy_;
  LeaseMetrics& metrics_;
  const Clock& clock_;
  EntropySource& entropy_;
  Log& log_;
  Executor executor_;
  std::uint64_t epoch_ = 0;

  mutable std::mutex mutex_;
  std::unordered_map<WalletId, LeaseTree> trees_;             // guarded by mutex_
  std::unordered_map<LeaseTree::Ticket, Waiting> waiting_;    // guarded by mutex_
  LeaseTree::Ticket next_ticket_ = 1;                         // guarded by mutex_
  bool is_stopping_ = false;                                  // guarded by mutex_
  std::size_t calls_ = 0;                                     // guarded by mutex_
  AsyncSignal calls_ended_;
  Event stopping_;
};

}  // namespace tidegate::gateway
