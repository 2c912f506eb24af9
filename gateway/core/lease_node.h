#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/money.h"
#include "base/core/result.h"

namespace tidegate::gateway {

struct LeasePolicy {
  /// The free part aims at this much recent demand, and at this many holds of the largest recent size: few enough to
  /// strand little, enough that admissions need no round trip.
  Duration burst = std::chrono::seconds(2);
  std::int64_t holds_least = 4;
  /// Beside that, what is spent in this time: for as long billing may be away and nobody waits. Counted in what requests
  /// cost, not in what they hold: of a hold all but its cost comes back while billing is away. 0: no such reserve.
  Duration horizon = Duration::zero();
  /// The reserve is at most this part of what the wallet, or the cap's period, has left for everybody: with as many
  /// gateways half of it stays for who comes next.
  std::int64_t reserve_parts = 8;
  /// Once it is more than this part of it, somebody else may lack it: billing is asked again what is left.
  std::int64_t look_parts = 64;
  Duration look_every = std::chrono::seconds(5);
  /// Free money that nobody asked for this long, or for the horizon if that is longer, goes back to the wallet.
  Duration idle_return = std::chrono::seconds(10);
  /// A call that billing has not answered for so long: who needs its answer is refused at once, instead of waiting in
  /// vain as long as everybody before.
  Duration answer_max = std::chrono::seconds(5);
  /// "The wallet is empty" is believed this long, unless billing announces a top-up before.
  Duration denied_memory = std::chrono::milliseconds(500);
  std::size_t waiters_max = 4096;
  /// End users of one wallet with a cap of their own, known at the same time.
  std::size_t nodes_max = 65'536;
};

/// What is being spent: a wallet (`end_user` nil), a cap, or the share of one end user in the cap of every end user.
struct NodeId {
  Uuid id;
  Uuid end_user;
  auto operator<=>(const NodeId&) const = default;
};

/// One escrow on this gateway: spendable rights that billing has already taken out of a wallet or of a cap's period.
/// Pure; LeaseTree asks it and performs what it decides. At most one Acquire or Return is under way at a time.
///
///   granted - returned = free + held + consumed          (checked at every event)
class LeaseNode {
 public:
  struct Acquire {
    Money want;
    Money least;
  };
  struct Return {
    LeaseId lease;
    Money amount;             ///< already out of these books
    bool is_awaited = true;   ///< false: of a lease that was replaced; on_returned() is not called
  };
  /// Billing's answer to an Acquire. `lease_amount` is what billing believes the lease has granted less returned.
  struct Grant {
    LeaseId lease;
    Money granted;
    Money lease_amount;
    Money wallet_available;  ///< or what the cap's period has left
    Mono expires;            ///< of a cap also the end of its period: a lease belongs to one period
    Mono renew_from;
  };
  enum class Verdict : std::uint8_t { kAsk, kDenied, kBlocked };

  LeaseNode(NodeId id, const LeasePolicy& policy, Mono now) : id_(id), policy_(&policy), last_request_(now) {}

  // Money.
  /// What a hold may take now.
  Money usable(Mono now) const { return is_usable(now) ? free_ : Money(); }
  /// free -> held; `amount` is at most usable(). The lease it came from.
  LeaseId take(Money amount);
  /// held -> free, or out of these books when `lease` is not the present one any more.
  void release(const LeaseId& lease, Money amount);
  /// held -> consumed.
  void spend(Money amount);

  // Those who wait for it, as LeaseTree counts them.
  void note_request(Money amount, Mono now);
  void enter(Money amount);
  void leave(Money amount);
  bool is_waited_for() const { return waiting_ > 0; }
  /// What earlier waiters of this walk over the line need of usable(); forgotten by the next walk.
  Money claimed(std::uint64_t walk) const { return walk_ == walk ? claimed_ : Money(); }
  void claim(Money amount, std::uint64_t walk);

  // Decisions.
  bool is_in_flight() const { return flight_ != Flight::kNone; }
  /// It is in flight, and billing has been silent for too long to wait for it.
  bool is_unanswered(Mono now) const { return is_in_flight() && now - flight_since_ >= policy_->answer_max; }
  /// Whether asking billing for `lack` makes sense, or it was refused too shortly ago.
  Verdict verdict(Money lack, Mono now) const;
  /// What kDenied says to the customer.
  const Error& denial() const { return denial_; }
  /// For a waiter who lacks `lack`; covers the others as well. Not in flight.
  Acquire ask(Money lack, Mono now);
  /// When nobody waits and nothing is in flight: keep the reserve, or in tail mode keep nothing.
  std::optional<Acquire> refill(Mono now);
  std::optional<Return> give_up_tail(Mono now);
  /// The same, for what time alone brings: renewal, expiry, idle money.
  std::optional<Acquire> renew(Mono now);
  std::optional<Return> give_up_idle(Mono now);
  /// Nothing of it is here and nobody asked for it lately.
  bool is_forgettable(Mono now) const;

  // Answers. A Return is due when the answer brought another lease.
  std::optional<Return> on_granted(const Grant& grant, Mono now);
  /// insufficient_balance and budget_exceeded are denials; after any other error waiting is pointless for a moment.
  void on_refused(const Error& error, Mono now);
  void on_returned();
  /// There is more: forget every denial.
  void on_top_up();
  /// The limit was lowered or is gone: keep nothing that is not needed.
  void on_lowered() { is_tail_ = true; }
  void age(Mono now);

  const NodeId& id() const { return id_; }
  const LeaseId& lease() const { return lease_; }
  Money free() const { return free_; }
  Money held() const { return held_; }
  Money consumed() const { return consumed_; }
  bool is_tail() const { return is_tail_; }
  /// What is here would not last for the horizon, because the wallet is too small for that or billing does not answer.
  bool is_short(Mono now) const;
  std::uint64_t mismatches() const { return mismatches_; }

 private:
  enum class Flight : std::uint8_t { kNone, kAcquire, kReturn };

  bool is_usable(Mono now) const { return !lease_.is_nil() && now < expires_; }
  bool is_quiet(Mono now) const { return now - last_request_ >= std::max(policy_->idle_return, policy_->horizon); }
  /// What a moment of the present load may hold at once.
  Money burst() const;
  /// What the horizon costs beside it.
  Money wish() const;
  /// The same as far as the wallet is large enough; at least this is kept.
  Money reserve() const;
  /// What an acquire brings free_ up to: a quarter of the reserve more, so that calls are few.
  Money goal() const;
  /// Billing's word is so old, and so much is kept here, that others may be told of an empty wallet because of it.
  bool must_look(Mono now) const;
  void note_largest(Mono now);
  Acquire start_acquire(Money want, Money least, Mono now);
  Return start_return(Money amount, Mono now);
  void check() const;

  NodeId id_;
  const LeasePolicy* policy_;  // the tree's
  LeaseId lease_;              ///< nil before the first grant
  Money free_;
  Money held_;
  Money consumed_;
  Money total_;    ///< granted less returned, of this lease, and what is carried
  Money carried_;  ///< of total_, what this lease of billing's does not know: held and consumed under earlier ones
  Mono expires_ = {};
  Mono renew_from_ = {};
  Money available_;          ///< what the wallet had left for everybody when billing last told
  Mono told_ = {};           ///< when that was
  Mono reserve_from_ = {};   ///< billing gave less than was wished: the reserve is not asked for before
  Flight flight_ = Flight::kNone;
  Mono flight_since_ = {};
  Money flight_least_;
  Money flight_want_;
  bool is_tail_ = false;
  Error denial_;
  Money denied_least_;
  Mono denied_until_ = {};
  Mono blocked_until_ = {};  ///< after an answer that is neither money nor "no money"
  std::size_t waiting_ = 0;
  Money waiting_sum_;
  Money claimed_;
  std::uint64_t walk_ = 0;
  // Demand: the sum of holds asked for in the current second and, decayed, in those before.
  Money demand_now_;
  Money demand_per_s_;
  Money largest_hold_;
  Mono demand_since_ = {};
  // What requests cost: in the current second, and the mean of the seconds before, of the last ones above all.
  Money spent_now_;
  Money spent_per_s_;
  std::int64_t spent_steps_ = 0;
  // The largest hold of this horizon and of the one before.
  Money largest_kept_;
  Money largest_before_;
  Mono kept_since_ = {};
  Mono last_request_ = {};
  std::uint64_t mismatches_ = 0;
};

}  // namespace tidegate::gateway

template <>
struct std::hash<tidegate::gateway::NodeId> {
  std::size_t operator()(const tidegate::gateway::NodeId& node) const noexcept {
    return std::hash<tidegate::Uuid>()(node.id) ^ (std::hash<tidegate::Uuid>()(node.end_user) << 1);
  }
};
