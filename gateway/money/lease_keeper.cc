#include "gateway/money/lease_keeper.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "gateway/money/lease_wire.h"

namespace tidegate::gateway {
namespace {

constexpr Duration kLeaseRetryLeast = std::chrono::milliseconds(20);
constexpr Duration kLeaseRetryMost = std::chrono::seconds(1);

std::unexpected<Error> stopping() {
  return fail(Code::kUnavailable, "billing_unreachable", "this gateway is shutting down; try again on another one");
}

}  // namespace

LeaseKeeper::LeaseKeeper(Accounts& accounts, std::string gateway_id, LeasePolicy policy, LeaseMetrics& metrics,
                         const Clock& clock, EntropySource& entropy, Log& log, Executor executor)
    : accounts_(accounts),
      gateway_id_(std::move(gateway_id)),
      policy_(policy),
      metrics_(metrics),
      clock_(clock),
      entropy_(entropy),
      log_(log),
      executor_(executor),
      calls_ended_(executor),
      stopping_(executor) {}

awaitable<Result<Hold>> LeaseKeeper::hold(WalletId wallet, std::span<const NodeId> caps, Money amount, Mono give_up) {
  const Mono begin = clock_.mono();
  LeaseTree::Ticket ticket = 0;
  std::optional<Result<Hold>> at_once;
  Work work;
  {
    const std::lock_guard lock(mutex_);
    if (is_stopping_) co_return stopping();
    ticket = next_ticket_++;
    waiting_.try_emplace(ticket);
    collect(tree_of(wallet).request(ticket, caps, amount, give_up, begin), work);
    const auto mine = waiting_.find(ticket);
    if (mine->second.answer) {
      at_once = std::move(mine->second.answer);
      waiting_.erase(mine);
    }
  }
  perform(wallet, std::move(work));
  if (!at_once) {
    metrics_.waiting.add(1);
    auto start = [this, ticket](Resume<Result<Hold>> resume) {
      std::unique_lock lock(mutex_);
      const auto mine = waiting_.find(ticket);
      if (!mine->second.answer) {
        mine->second.resume = std::move(resume);
        return;
      }
      Result<Hold> answer = *std::move(mine->second.answer);
      waiting_.erase(mine);
      lock.unlock();
      resume(std::move(answer));
    };
    // The wait has its own limit (give_up), and a hold that was granted must reach its owner: not cancellable.
    auto cancel = [] {};
    auto waiting = suspend<Result<Hold>>(std::move(start), std::move(cancel));
    at_once = co_await std::move(waiting);
    metrics_.waiting.add(-1);
  }
  metrics_.hold_seconds.observe(std::chrono::duration<double>(clock_.mono() - begin).count());
  if (*at_once) {
    metrics_.holds_granted.add();
  } else if (at_once->error().reason == "insufficient_balance") {
    metrics_.holds_refused.add();
  } else if (at_once->error().reason == "budget_exceeded") {
    metrics_.holds_over_cap.add();
  } else {
    metrics_.holds_unreachable.add();
  }
  co_return *std::move(at_once);
}

template <typename Event>
void LeaseKeeper::feed(WalletId wallet, Event event) {
  Work work;
  {
    const std::lock_guard lock(mutex_);
    collect(event(tree_of(wallet)), work);
  }
  perform(wallet, std::move(work));
}

void LeaseKeeper::shrink(WalletId wallet, Hold& hold, Money amount) {
  feed(wallet, [&](LeaseTree& tree) { return tree.shrink(hold, amount, clock_.mono()); });
}

void LeaseKeeper::settle(WalletId wallet, const Hold& hold, Money spent) {
  feed(wallet, [&](LeaseTree& tree) { return tree.settle(hold, spent, clock_.mono()); });
}

void LeaseKeeper::on_top_up(WalletId wallet) {
  {
    const std::lock_guard lock(mutex_);
    if (!trees_.contains(wallet)) return;
  }
  feed(wallet, [&](LeaseTree& tree) { return tree.on_top_up(clock_.mono()); });
}

void LeaseKeeper::on_cap_changed(const Uuid& cap, bool is_lowered) {
  std::vector<std::pair<WalletId, Work>> todo;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [wallet, tree] : trees_) {
      Work work;
      collect(tree.on_cap_changed(cap, is_lowered, clock_.mono()), work);
      todo.emplace_back(wallet, std::move(work));
    }
  }
  for (auto& [wallet, work] : todo) perform(wallet, std::move(work));
}

void LeaseKeeper::tick() {
  std::vector<std::pair<WalletId, Work>> todo;
  std::size_t tails = 0;
  std::size_t shorts = 0;
  {
    const std::lock_guard lock(mutex_);
    if (is_stopping_) return;
    for (auto& [wallet, tree] : trees_) {
      Work work;
      collect(tree.tick(clock_.mono()), work);
      tails += tree.root().is_tail() ? 1 : 0;
      shorts += tree.root().is_short(clock_.mono()) ? 1 : 0;
      todo.emplace_back(wallet, std::move(work));
    }
    metrics_.wallets.set(static_cast<double>(trees_.size()));
    metrics_.tail_wallets.set(static_cast<double>(tails));
    metrics_.short_wallets.set(static_cast<double>(shorts));
  }
  for (auto& [wallet, work] : todo) perform(wallet, std::move(work));
}

awaitable<void> LeaseKeeper::stop() {
  Work work;
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    std::vector<LeaseTree::Ticket> tickets;
    for (const auto& [ticket, waiting] : waiting_) tickets.push_back(ticket);
    for (const LeaseTree::Ticket ticket : tickets) answer(ticket, stopping(), work);
  }
  stopping_.set();
  for (Wake& wake : work.wakes) wake.resume(std::move(wake.answer));
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (calls_ == 0) co_return;
    }
    co_await calls_ended_.wait();
  }
}

Money LeaseKeeper::held() const {
  const std::lock_guard lock(mutex_);
  Money total;
  for (const auto& [wallet, tree] : trees_) total += tree.root().held();
  return total;
}

Money LeaseKeeper::free() const {
  const std::lock_guard lock(mutex_);
  Money total;
  for (const auto& [wallet, tree] : trees_) total += tree.root().free();
  return total;
}

LeaseTree& LeaseKeeper::tree_of(WalletId wallet) { return trees_.try_emplace(wallet, wallet, policy_).first->second; }

void LeaseKeeper::collect(LeaseTree::Actions actions, Work& work) {
  for (auto& granted : actions.granted) answer(granted.ticket, granted.hold, work);
  for (auto& refused : actions.refused) answer(refused.ticket, fail(std::move(refused.error)), work);
  // Charges may still end after stop(); billing takes back what they free when the epoch is closed.
  if (is_stopping_) return;
  calls_ += actions.acquires.size() + actions.returns.size();
  work.acquires = std::move(actions.acquires);
  work.returns = std::move(actions.returns);
}

void LeaseKeeper::answer(LeaseTree::Ticket ticket, Result<Hold> result, Work& work) {
  const auto found = waiting_.find(ticket);
  // Gone: stop() has answered it already, and the process ends; billing takes the hold back with the epoch.
  if (found == waiting_.end()) return;
  if (!found->second.resume) {
    found->second.answer = std::move(result);
    return;
  }
  work.wakes.push_back({*std::move(found->second.resume), std::move(result)});
  waiting_.erase(found);
}

void LeaseKeeper::perform(WalletId wallet, Work work) {
  for (Wake& wake : work.wakes) wake.resume(std::move(wake.answer));
  for (const auto& what : work.acquires) asio::co_spawn(executor_, acquire(wallet, what), asio::detached);
  for (const auto& what : work.returns) asio::co_spawn(executor_, give_back(wallet, what), asio::detached);
}

v1::AcquireLeaseRequest LeaseKeeper::acquire_request(WalletId wallet, const LeaseTree::Acquire& what,
                                                     const std::string& grant_id) const {
  v1::AcquireLeaseRequest request;
  request.set_gateway_id(gateway_id_);
  request.set_epoch(epoch_);
  request.set_want(what.want.to_string());
  request.set_least(what.least.to_string());
  request.set_grant_id(grant_id);
  if (what.node.id == wallet.uuid) {
    request.set_wallet_id(std::string(wallet.raw()));
    return request;
  }
  request.set_cap_id(std::string(what.node.id.raw()));
  if (!what.node.end_user.is_nil()) request.set_end_user(std::string(what.node.end_user.raw()));
  request.set_at_us(unix_micros(clock_.wall()));
  return request;
}

void LeaseKeeper::call_ended() {
  const std::lock_guard lock(mutex_);
  --calls_;
  calls_ended_.notify();
}

awaitable<void> LeaseKeeper::acquire(WalletId wallet, LeaseTree::Acquire what) {
  Backoff backoff(kLeaseRetryLeast, kLeaseRetryMost,
                  epoch_ ^ static_cast<std::uint64_t>(clock_.mono().time_since_epoch().count()));
  const std::string grant_id = new_id();
  for (;;) {
    auto request = acquire_request(wallet, what, grant_id);
    auto answered = co_await accounts_.acquire_lease(std::move(request));
    Result<LeaseTree::Grant> grant;
    if (answered) {
      grant = grant_from_wire(*answered, clock_.mono(), clock_.wall());
    } else {
      grant = fail(answered.error());
    }
    if (grant) {
      metrics_.acquired.add();
      feed(wallet, [&](LeaseTree& tree) {
        const std::uint64_t before = tree.mismatches();
        auto actions = tree.on_granted(what.node, *grant, clock_.mono());
        metrics_.mismatches.add(static_cast<double>(tree.mismatches() - before));
        return actions;
      });
      break;
    }
    if (!is_transient(grant.error())) {
      if (grant.error().code != Code::kResourceExhausted) {
        log_.error("lease_refused", {kv("wallet_id", wallet.to_string()), kv("node_id", what.node.id.to_string()),
                                     kv("error", grant.error().to_string())});
      }
      feed(wallet, [&](LeaseTree& tree) { return tree.on_refused(what.node, grant.error(), clock_.mono()); });
      break;
    }
    metrics_.retries.add();
    if (!co_await pause(backoff)) break;
  }
  call_ended();
}

awaitable<void> LeaseKeeper::give_back(WalletId wallet, LeaseTree::Return what) {
  Backoff backoff(kLeaseRetryLeast, kLeaseRetryMost,
                  epoch_ ^ static_cast<std::uint64_t>(clock_.mono().time_since_epoch().count()));
  const std::string return_id = new_id();
  for (;;) {
    v1::ReturnLeaseRequest request;
    request.set_gateway_id(gateway_id_);
    request.set_epoch(epoch_);
    request.set_lease_id(std::string(what.lease.raw()));
    request.set_amount(what.amount.to_string());
    request.set_return_id(return_id);
    request.set_is_cap_lease(what.node.id != wallet.uuid);
    const auto answered = co_await accounts_.return_lease(std::move(request));
    if (answered || !is_transient(answered.error())) {
      if (!answered) {
        // The money stays with the lease on billing's side and goes back when the epoch is closed.
        log_.error("lease_return_refused",
                   {kv("wallet_id", wallet.to_string()), kv("error", answered.error().to_string())});
      }
      metrics_.returned.add();
      if (what.is_awaited) {
        feed(wallet, [&](LeaseTree& tree) { return tree.on_returned(what.node, clock_.mono()); });
      }
      break;
    }
    metrics_.retries.add();
    if (!co_await pause(backoff)) break;
  }
  call_ended();
}

awaitable<bool> LeaseKeeper::pause(Backoff& backoff) {
  const Deadline until = Deadline::after(clock_.mono(), backoff.next());
  const bool is_over = co_await stopping_.wait_until(until);
  co_return !is_over;
}

std::string LeaseKeeper::new_id() {
  std::string id(16, '\0');
  entropy_.fill(id.data(), id.size());
  return id;
}

}  // namespace tidegate::gateway
