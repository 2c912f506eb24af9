#include "gateway/core/lease_tree.h"

#include <utility>

#include "base/core/check.h"

namespace tidegate::gateway {
namespace {

Error unreachable() {
  return Error(Code::kUnavailable, "billing_unreachable",
               "the account's balance cannot be checked right now; nothing was charged, try again soon");
}

}  // namespace

LeaseTree::LeaseTree(WalletId wallet, LeasePolicy policy) : policy_(policy) {
  const NodeId id{.id = wallet.uuid, .end_user = {}};
  wallet_ = &nodes_.try_emplace(id, id, policy_, Mono{}).first->second;
}

LeaseTree::Actions LeaseTree::request(Ticket ticket, std::span<const NodeId> caps, Money amount, Mono give_up, Mono now) {
  TG_CHECK(!amount.is_negative());
  Actions actions;
  if (amount.is_zero()) {  // priced at nothing: no lease is needed, or charged
    actions.granted.push_back({ticket, {.lease = wallet_->lease(), .amount = amount, .caps = {}}});
    return actions;
  }
  if (waiters_.size() >= policy_.waiters_max || nodes_.size() + caps.size() > policy_.nodes_max) {
    wallet_->note_request(amount, now);
    actions.refused.push_back({ticket, unreachable()});
    return actions;
  }
  Waiter waiter{.ticket = ticket, .path = {wallet_}, .amount = amount, .give_up = give_up};
  waiter.path.reserve(1 + caps.size());
  for (const NodeId& cap : caps) waiter.path.push_back(&node_of(cap, now));
  for (LeaseNode* node : waiter.path) {
    node->note_request(amount, now);
    node->enter(amount);
    touched_.push_back(node);
  }
  waiters_.push_back(std::move(waiter));
  pump(actions, now);
  return actions;
}

LeaseTree::Actions LeaseTree::shrink(Hold& hold, Money amount, Mono now) {
  TG_CHECK(!amount.is_negative() && amount <= hold.amount);
  const Money freed = hold.amount - amount;
  Actions actions;
  if (hold.amount.is_zero()) return actions;
  wallet_->release(hold.lease, freed);
  touched_.push_back(wallet_);
  for (const CapHold& cap : hold.caps) {
    LeaseNode& node = known(cap.node);
    node.release(cap.lease, freed);
    touched_.push_back(&node);
  }
  hold.amount = amount;
  pump(actions, now);
  return actions;
}

LeaseTree::Actions LeaseTree::settle(const Hold& hold, Money spent, Mono now) {
  TG_CHECK(!spent.is_negative() && spent <= hold.amount);
  wallet_->spend(spent);
  for (const CapHold& cap : hold.caps) known(cap.node).spend(spent);
  Hold rest{.lease = hold.lease, .amount = hold.amount - spent, .caps = hold.caps};
  return shrink(rest, Money(), now);
}

LeaseTree::Actions LeaseTree::on_granted(const NodeId& id, const Grant& grant, Mono now) {
  LeaseNode& node = known(id);
  Actions actions;
  const std::uint64_t before = node.mismatches();
  if (const auto old = node.on_granted(grant, now)) add(actions, node, *old);
  mismatches_ += node.mismatches() - before;
  touched_.push_back(&node);
  pump(actions, now);
  return actions;
}

LeaseTree::Actions LeaseTree::on_refused(const NodeId& id, const Error& error, Mono now) {
  LeaseNode& node = known(id);
  node.on_refused(error, now);
  touched_.push_back(&node);
  Actions actions;
  pump(actions, now);
  return actions;
}

LeaseTree::Actions LeaseTree::on_returned(const NodeId& id, Mono now) {
  LeaseNode& node = known(id);
  node.on_returned();
  touched_.push_back(&node);
  Actions actions;
  pump(actions, now);
  return actions;
}

LeaseTree::Actions LeaseTree::on_top_up(Mono now) {
  wallet_->on_top_up();
  touched_.push_back(wallet_);
  Actions actions;
  pump(actions, now);
  return actions;
}

LeaseTree::Actions LeaseTree::on_cap_changed(const Uuid& cap, bool is_lowered, Mono now) {
  Actions actions;
  for (auto& [id, node] : nodes_) {
    if (id.id != cap) continue;
    if (is_lowered) {
      node.on_lowered();
    } else {
      node.on_top_up();
    }
    touched_.push_back(&node);
  }
  if (!touched_.empty()) pump(actions, now);
  return actions;
}

LeaseTree::Actions LeaseTree::tick(Mono now) {
  Actions actions;
  std::erase_if(waiters_, [&](const Waiter& waiter) {
    if (now < waiter.give_up) return false;
    actions.refused.push_back({waiter.ticket, unreachable()});
    leave(waiter);
    return true;
  });
  for (auto& [id, node] : nodes_) {
    node.age(now);
    touched_.push_back(&node);
  }
  pump(actions, now);
  for (auto& [id, node] : nodes_) {
    if (node.is_in_flight() || node.is_waited_for() || node.lease().is_nil()) continue;
    if (const auto back = node.give_up_idle(now)) {
      add(actions, node, *back);
    } else if (const auto more = node.renew(now)) {
      add(actions, node, *more);
    }
  }
  std::erase_if(nodes_, [&](const auto& entry) { return &entry.second != wallet_ && entry.second.is_forgettable(now); });
  return actions;
}

const LeaseNode* LeaseTree::find(const NodeId& node) const {
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? nullptr : &found->second;
}

LeaseNode& LeaseTree::node_of(const NodeId& id, Mono now) { return nodes_.try_emplace(id, id, policy_, now).first->second; }

LeaseNode& LeaseTree::known(const NodeId& id) {
  const auto found = nodes_.find(id);
  TG_CHECK(found != nodes_.end());  // what holds or asks is never forgotten
  return found->second;
}

void LeaseTree::pump(Actions& actions, Mono now) {
  ++walk_;
  for (auto waiter = waiters_.begin(); waiter != waiters_.end();) {
    const Step step = serve(*waiter, actions, now);
    if (step == Step::kWalletIsShort) break;
    waiter = step == Step::kWaits ? waiter + 1 : waiters_.erase(waiter);
  }
  rest(actions, now);
}

LeaseTree::Step LeaseTree::serve(Waiter& waiter, Actions& actions, Mono now) {
  bool lacks_any = false;
  for (LeaseNode* node : waiter.path) {
    const Money lack = waiter.amount - (node->usable(now) - node->claimed(walk_));
    if (lack <= Money()) continue;
    lacks_any = true;
    if (node->is_in_flight() && !node->is_unanswered(now)) continue;  // its answer decides
    const auto verdict = node->is_in_flight() ? LeaseNode::Verdict::kBlocked : node->verdict(lack, now);
    if (verdict == LeaseNode::Verdict::kAsk) continue;
    actions.refused.push_back({waiter.ticket, verdict == LeaseNode::Verdict::kDenied ? node->denial() : unreachable()});
    leave(waiter);
    return Step::kRefused;
  }
  if (!lacks_any) {
    actions.granted.push_back({waiter.ticket, take(waiter)});
    leave(waiter);
    return Step::kServed;
  }
  bool lacks_wallet = false;
  for (LeaseNode* node : waiter.path) {
    const Money lack = waiter.amount - (node->usable(now) - node->claimed(walk_));
    if (lack > Money()) {
      lacks_wallet |= node == wallet_;
      if (!node->is_in_flight()) add(actions, *node, node->ask(lack, now));
    }
    node->claim(waiter.amount, walk_);
  }
  // Everybody needs the wallet: behind this one nobody can be served.
  return lacks_wallet ? Step::kWalletIsShort : Step::kWaits;
}

Hold LeaseTree::take(const Waiter& waiter) {
  Hold hold{.lease = wallet_->take(waiter.amount), .amount = waiter.amount, .caps = {}};
  hold.caps.reserve(waiter.path.size() - 1);
  for (LeaseNode* node : std::span(waiter.path).subspan(1)) hold.caps.push_back({node->id(), node->take(waiter.amount)});
  return hold;
}

void LeaseTree::leave(const Waiter& waiter) {
  for (LeaseNode* node : waiter.path) {
    node->leave(waiter.amount);
    touched_.push_back(node);
  }
}

void LeaseTree::rest(Actions& actions, Mono now) {
  for (LeaseNode* node : touched_) {
    if (node->is_in_flight() || node->is_waited_for()) continue;
    if (const auto back = node->give_up_tail(now)) {
      add(actions, *node, *back);
    } else if (const auto more = node->refill(now)) {
      add(actions, *node, *more);
    }
  }
  touched_.clear();
}

void LeaseTree::add(Actions& actions, LeaseNode& node, const LeaseNode::Acquire& what) {
  actions.acquires.push_back({node.id(), what.want, what.least});
}

void LeaseTree::add(Actions& actions, LeaseNode& node, const LeaseNode::Return& what) {
  actions.returns.push_back({node.id(), what.lease, what.amount, what.is_awaited});
}

}  // namespace tidegate::gateway
