#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "gateway/core/lease_node.h"

namespace tidegate::gateway {

/// The part of a hold that belongs to a cap.
struct CapHold {
  NodeId node;
  LeaseId lease;
};

/// Money set aside for one request, the same amount at every level. Given back in full by exactly one settle().
struct Hold {
  LeaseId lease;  ///< the wallet's
  Money amount;
  std::vector<CapHold> caps;
};

/// One wallet's spendable rights on this gateway, and those of the caps below it: escrows that billing has already taken
/// out of the wallet and of the caps' periods, so that admitting costs no round trip and no crash can overspend (M1).
/// A hold is taken at every level or at none, and spent <= cap follows at each level for the reason it does at the
/// wallet's. Pure: events in, actions out; the owner performs them and reports back. Not thread-safe.
///
/// Requests wait in line: one that lacks something at any level keeps its place at every level, so nobody overtakes it
/// there, and requests that need other caps pass by.
///
/// Modes, per node: normal, a reserve is kept and refilled before it runs out; tail, the wallet or the cap's period is
/// nearly used up, so nothing is kept: each request acquires exactly what it lacks and what is freed goes back at once,
/// for other gateways to use.
class LeaseTree {
 public:
  using Ticket = std::uint64_t;

  struct Acquire {
    NodeId node;
    Money want;
    Money least;
  };
  struct Return {
    NodeId node;
    LeaseId lease;
    Money amount;     ///< already out of these books
    bool is_awaited;  ///< on_returned() is called for it
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
    std::vector<Acquire> acquires;
    std::vector<Return> returns;
    std::vector<Granted> granted;
    std::vector<Refused> refused;
  };
  using Grant = LeaseNode::Grant;

  LeaseTree(WalletId wallet, LeasePolicy policy);
  LeaseTree(const LeaseTree&) = delete;
  LeaseTree& operator=(const LeaseTree&) = delete;

  /// Asks for `amount` of the wallet and of each of `caps` (distinct); answered under `ticket`, at once when every
  /// level has room, at `give_up` at the latest (by tick). Refusals: resource_exhausted/{insufficient_balance,
  /// budget_exceeded} (billing said so), unavailable/billing_unreachable.
  Actions request(Ticket ticket, std::span<const NodeId> caps, Money amount, Mono give_up, Mono now);
  /// The hold gets smaller: what is freed is usable at once. `amount` is at most hold.amount.
  Actions shrink(Hold& hold, Money amount, Mono now);
  /// Ends a hold with what was spent of it, 0 <= spent <= hold.amount.
  Actions settle(const Hold& hold, Money spent, Mono now);

  /// Answers to an Acquire or an awaited Return of this node.
  Actions on_granted(const NodeId& node, const Grant& grant, Mono now);
  Actions on_refused(const NodeId& node, const Error& error, Mono now);
  Actions on_returned(const NodeId& node, Mono now);
  /// The wallet holds more.
  Actions on_top_up(Mono now);
  /// A cap's limit has changed, or it is gone: every node of it.
  Actions on_cap_changed(const Uuid& cap, bool is_lowered, Mono now);
  /// At least every quarter second: time limits, renewal, idle money.
  Actions tick(Mono now);

  const NodeId& wallet() const { return wallet_->id(); }
  const LeaseNode& root() const { return *wallet_; }
  /// Null: never used, or forgotten.
  const LeaseNode* find(const NodeId& node) const;
  std::size_t nodes() const { return nodes_.size(); }
  std::size_t waiting() const { return waiters_.size(); }
  /// Money of every node together; of the wallet alone: root().
  std::uint64_t mismatches() const { return mismatches_; }

 private:
  struct Waiter {
    Ticket ticket;
    std::vector<LeaseNode*> path;  // the wallet first
    Money amount;
    Mono give_up;
  };

  LeaseNode& node_of(const NodeId& id, Mono now);
  LeaseNode& known(const NodeId& id);
  /// Walks the line, then lets every node of touched_ that nobody waits for come to rest.
  void pump(Actions& actions, Mono now);
  void rest(Actions& actions, Mono now);
  /// Whether the walk goes on behind this waiter.
  enum class Step : std::uint8_t { kServed, kRefused, kWaits, kWalletIsShort };
  Step serve(Waiter& waiter, Actions& actions, Mono now);
  Hold take(const Waiter& waiter);
  void leave(const Waiter& waiter);
  void add(Actions& actions, LeaseNode& node, const LeaseNode::Acquire& what);
  void add(Actions& actions, LeaseNode& node, const LeaseNode::Return& what);

  LeasePolicy policy_;
  std::unordered_map<NodeId, LeaseNode> nodes_;  // addresses stay
  LeaseNode* wallet_;
  std::deque<Waiter> waiters_;
  std::vector<LeaseNode*> touched_;  // by the event under way
  std::uint64_t walk_ = 0;
  std::uint64_t mismatches_ = 0;
};

}  // namespace tidegate::gateway
