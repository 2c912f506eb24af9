#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/money.h"
#include "base/core/result.h"

namespace tidegate::gateway {

/// Money set aside for one request. Given back in full by exactly one settle().
struct Hold {
  LeaseId lease;
  Money amount;
};

struct LeasePolicy {
  /// The free part aims at this much recent demand, and at this many holds of the largest recent size: few enough to
  /// strand little, enough that admissions need no round trip.
  Duration horizon = std::chrono::seconds(2);
  std::int64_t holds_least = 4;
  /// Free money that nobody asked for this long goes back to the wallet.
  Duration idle_return = std::chrono::seconds(10);
  /// "The wallet is empty" is believed this long, unless billing announces a top-up before.
  Duration denied_memory = std::chrono::milliseconds(500);
  std::size_t waiters_max = 4096;
};

/// One wallet's spendable rights on this gateway: an escrow that billing has already taken out of the wallet, so that
/// admitting costs no round trip and no crash can overspend (M1). Pure: events in, actions out; the owner performs
/// them and reports back. At most one Acquire or Return is under way at a time.
///
///   granted - returned = free + held + consumed          (checked at every event)
///
/// Modes: normal, a reserve is kept and refilled before it runs out; tail, the wallet is nearly empty, so nothing is
/// kept: each request acquires exactly what it lacks and what is freed goes back at once, for other gateways to use.
class LeaseBook {
 public:
  using Ticket = std::uint64_t;

  struct Acquire {
    Money want;
    Money least;
  };
  struct Return {
    LeaseId lease;
    Money amount;  ///< already out of these books
  };
  struct Granted {
    Ticket ticket;
    Hold hold;
  };
  struct Refused {
    Ticket ticket;
    Error error;
  };
  struct Actions {
    std::optional<Acquire> acquire;
    std::optional<Return> give_back;
    std::vector<Granted> granted;
    std::vector<Refused> refused;
  };
  /// Billing's answer to an Acquire. `lease_amount` is what billing believes the lease has granted less returned.
  struct Grant {
    LeaseId lease;
    Money granted;
    Money lease_amount;
    Money wallet_available;
    Mono expires;
    Mono renew_from;
  };

  explicit LeaseBook(LeasePolicy policy) : policy_(policy) {}

  /// Asks for `amount`; answered under `ticket`, at once when the free part allows, at `give_up` at the latest (by
  /// tick). Refusals: resource_exhausted/insufficient_balance (billing said so), unavailable/billing_unreachable.
  Actions request(Ticket ticket, Money amount, Mono give_up, Mono now);
  /// The hold gets smaller: what is freed is usable at once. `amount` is at most hold.amount.
  Actions shrink(Hold& hold, Money amount, Mono now);
  /// Ends a hold with what was spent of it, 0 <= spent <= hold.amount.
  Actions settle(const Hold& hold, Money spent, Mono now);

  Actions on_granted(const Grant& grant, Mono now);
  /// insufficient_balance is final for the head; any other error ends every wait as billing_unreachable.
  Actions on_refused(const Error& error, Mono now);
  Actions on_returned(Mono now);
  Actions on_top_up(Mono now);
  /// At least every quarter second: time limits, renewal, idle money.
  Actions tick(Mono now);

  Money free() const { return free_; }
  Money held() const { return held_; }
  Money consumed() const { return consumed_; }
  bool is_tail() const { return is_tail_; }
  bool is_in_flight() const { return flight_ != Flight::kNone; }
  std::size_t waiting() const { return waiters_.size(); }
  /// Answers of billing that did not match these books; the smaller figure was taken.
  std::uint64_t mismatches() const { return mismatches_; }

 private:
  enum class Flight : std::uint8_t { kNone, kAcquire, kReturn };
  struct Waiter {
    Ticket ticket;
    Money amount;
    Mono give_up;
  };

  void pump(Actions& actions, Mono now);
  void serve(Actions& actions, Mono now);
  void start_for_head(Actions& actions, Mono now);
  void start_for_reserve(Actions& actions, Mono now);
  void start_acquire(Actions& actions, Money want, Money least);
  void start_return(Actions& actions, Money amount);
  void refuse_late(Actions& actions, Mono now);
  void age_demand(Mono now);
  bool is_usable(Mono now) const { return !lease_.is_nil() && now < expires_; }
  Money target() const;
  void check() const;

  LeasePolicy policy_;
  LeaseId lease_;  ///< nil before the first grant
  Money free_;
  Money held_;
  Money consumed_;
  Money total_;    ///< granted less returned, of this lease, and what is carried
  Money carried_;  ///< held and consumed under leases before this one
  Mono expires_ = {};
  Mono renew_from_ = {};
  Flight flight_ = Flight::kNone;
  Money flight_least_;
  bool is_tail_ = false;
  Money denied_least_;
  Mono denied_until_ = {};
  Mono blocked_until_ = {};  ///< after an answer that is neither money nor "no money"
  std::deque<Waiter> waiters_;
  // Demand: the sum of holds asked for in the current second and, decayed, in those before.
  Money demand_now_;
  Money demand_per_s_;
  Money largest_hold_;
  Mono demand_since_ = {};
  Mono last_request_ = {};
  std::uint64_t mismatches_ = 0;
};

}  // namespace tidegate::gateway
