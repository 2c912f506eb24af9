#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "gateway/core/lease_tree.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway {

/// A lease tree without caps, seen as the one escrow it then is: at most one call at a time.
class LeaseBook {
 public:
  using Ticket = LeaseTree::Ticket;
  using Acquire = LeaseNode::Acquire;
  using Return = LeaseNode::Return;
  using Grant = LeaseNode::Grant;
  struct Actions {
    std::optional<Acquire> acquire;
    std::optional<Return> give_back;
    std::vector<LeaseTree::Granted> granted;
    std::vector<LeaseTree::Refused> refused;
  };

  explicit LeaseBook(LeasePolicy policy)
      : tree_(std::make_unique<LeaseTree>(WalletId{tidegate::test::SequentialIds::make(900)}, policy)) {}

  Actions request(Ticket ticket, Money amount, Mono give_up, Mono now) {
    return one(tree_->request(ticket, {}, amount, give_up, now));
  }
  Actions shrink(Hold& hold, Money amount, Mono now) { return one(tree_->shrink(hold, amount, now)); }
  Actions settle(const Hold& hold, Money spent, Mono now) { return one(tree_->settle(hold, spent, now)); }
  Actions on_granted(const Grant& grant, Mono now) { return one(tree_->on_granted(tree_->wallet(), grant, now)); }
  Actions on_refused(const Error& error, Mono now) { return one(tree_->on_refused(tree_->wallet(), error, now)); }
  Actions on_returned(Mono now) { return one(tree_->on_returned(tree_->wallet(), now)); }
  Actions on_top_up(Mono now) { return one(tree_->on_top_up(now)); }
  Actions tick(Mono now) { return one(tree_->tick(now)); }

  Money free() const { return tree_->root().free(); }
  Money held() const { return tree_->root().held(); }
  Money consumed() const { return tree_->root().consumed(); }
  bool is_tail() const { return tree_->root().is_tail(); }
  bool is_short(Mono now) const { return tree_->root().is_short(now); }
  std::uint64_t mismatches() const { return tree_->mismatches(); }

 private:
  static Actions one(LeaseTree::Actions all) {
    Actions out;
    out.granted = std::move(all.granted);
    out.refused = std::move(all.refused);
    for (const auto& what : all.acquires) out.acquire = Acquire{.want = what.want, .least = what.least};
    for (const auto& what : all.returns) {
      if (what.is_awaited) out.give_back = Return{.lease = what.lease, .amount = what.amount};
    }
    return out;
  }
  std::unique_ptr<LeaseTree> tree_;
};

}  // namespace tidegate::gateway
