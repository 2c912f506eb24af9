#include "gateway/core/lease_book.h"

#include <algorithm>
#include <utility>

#include "base/core/check.h"

namespace tidegate::gateway {
namespace {

constexpr Money kLeastGrant = Money::from_pico(1);
constexpr Duration kDemandStep = std::chrono::seconds(1);

Money fraction(Money amount, std::int64_t divisor) { return Money::from_pico(amount.pico() / divisor); }

Error exhausted() {
  return Error(Code::kResourceExhausted, "insufficient_balance",
               "the wallet cannot cover the most this request may cost; top it up, or lower max_tokens");
}
Error unreachable() {
  return Error(Code::kUnavailable, "billing_unreachable",
               "the account's balance cannot be checked right now; nothing was charged, try again soon");
}

}  // namespace

LeaseBook::Actions LeaseBook::request(Ticket ticket, Money amount, Mono give_up, Mono now) {
  TG_CHECK(!amount.is_negative());
  Actions actions;
  if (amount.is_zero()) {  // priced at nothing: no lease is needed, or charged
    actions.granted.push_back({ticket, {.lease = lease_, .amount = amount}});
    return actions;
  }
  age_demand(now);
  last_request_ = now;
  demand_now_ += amount;
  largest_hold_ = std::max(largest_hold_, amount);
  if (waiters_.size() >= policy_.waiters_max) {
    actions.refused.push_back({ticket, unreachable()});
    return actions;
  }
  waiters_.push_back({ticket, amount, give_up});
  pump(actions, now);
  return actions;
}

LeaseBook::Actions LeaseBook::shrink(Hold& hold, Money amount, Mono now) {
  TG_CHECK(!amount.is_negative() && amount <= hold.amount);
  const Money freed = hold.amount - amount;
  held_ -= freed;
  // Money of a lease that billing has replaced is not ours to spend again.
  if (hold.lease == lease_) {
    free_ += freed;
  } else {
    total_ -= freed;
    carried_ -= freed;
  }
  hold.amount = amount;
  Actions actions;
  pump(actions, now);
  return actions;
}

LeaseBook::Actions LeaseBook::settle(const Hold& hold, Money spent, Mono now) {
  TG_CHECK(!spent.is_negative() && spent <= hold.amount);
  held_ -= spent;
  consumed_ += spent;
  Hold rest{.lease = hold.lease, .amount = hold.amount - spent};
  return shrink(rest, Money(), now);
}

LeaseBook::Actions LeaseBook::on_granted(const Grant& grant, Mono now) {
  TG_CHECK(flight_ == Flight::kAcquire);
  flight_ = Flight::kNone;
  if (grant.lease != lease_) {
    // Billing opened another lease: only what it granted now is free; earlier holds keep their own lease's id.
    total_ -= free_;
    free_ = Money();
    carried_ = total_;
    lease_ = grant.lease;
  }
  free_ += grant.granted;
  total_ += grant.granted;
  const Money excess = total_ - carried_ - grant.lease_amount;
  if (!excess.is_zero()) ++mismatches_;
  // Billing knows of less than we do: never spend the difference.
  const Money cut = std::min(std::max(excess, Money()), free_);
  free_ -= cut;
  total_ -= cut;
  expires_ = grant.expires;
  renew_from_ = grant.renew_from;
  denied_until_ = {};
  // An answer that is already too old, or a clock that is wrong: asking again at once would never end.
  if (expires_ <= now) blocked_until_ = now + policy_.denied_memory;
  // Little is left: from here on what we keep is what another gateway, or this one, will lack.
  is_tail_ = grant.wallet_available < target().times(is_tail_ ? 3 : 1);
  Actions actions;
  pump(actions, now);
  return actions;
}

LeaseBook::Actions LeaseBook::on_refused(const Error& error, Mono now) {
  TG_CHECK(flight_ == Flight::kAcquire);
  flight_ = Flight::kNone;
  Actions actions;
  if (error.reason == "insufficient_balance") {
    is_tail_ = true;
    denied_least_ = flight_least_;
    denied_until_ = now + policy_.denied_memory;
  } else {
    blocked_until_ = now + policy_.denied_memory;
    for (const Waiter& waiter : waiters_) actions.refused.push_back({waiter.ticket, unreachable()});
    waiters_.clear();
  }
  pump(actions, now);
  return actions;
}

LeaseBook::Actions LeaseBook::on_returned(Mono now) {
  TG_CHECK(flight_ == Flight::kReturn);
  flight_ = Flight::kNone;
  Actions actions;
  pump(actions, now);
  return actions;
}

LeaseBook::Actions LeaseBook::on_top_up(Mono now) {
  denied_until_ = {};
  blocked_until_ = {};
  is_tail_ = false;
  Actions actions;
  pump(actions, now);
  return actions;
}

LeaseBook::Actions LeaseBook::tick(Mono now) {
  Actions actions;
  age_demand(now);
  refuse_late(actions, now);
  pump(actions, now);
  if (flight_ != Flight::kNone || !waiters_.empty() || lease_.is_nil()) return actions;
  const bool is_quiet = now - last_request_ >= policy_.idle_return;
  if (!free_.is_zero() && (is_quiet || now >= expires_)) {
    start_return(actions, free_);
  } else if (!is_quiet && !is_tail_ && now >= renew_from_ && now >= blocked_until_) {
    start_acquire(actions, std::max(target() - free_, kLeastGrant), kLeastGrant);
  } else if (free_ > target().times(4)) {
    start_return(actions, free_ - target());
  }
  return actions;
}

void LeaseBook::pump(Actions& actions, Mono now) {
  for (;;) {
    serve(actions, now);
    if (waiters_.empty() || flight_ != Flight::kNone) break;
    const Money shortage = waiters_.front().amount - (is_usable(now) ? free_ : Money());
    const bool is_denied = now < denied_until_ && shortage >= denied_least_;
    const bool is_blocked = now < blocked_until_;
    if (!is_denied && !is_blocked) {
      start_for_head(actions, now);
      break;
    }
    actions.refused.push_back({waiters_.front().ticket, is_denied ? exhausted() : unreachable()});
    waiters_.pop_front();
  }
  if (waiters_.empty() && flight_ == Flight::kNone) start_for_reserve(actions, now);
  check();
}

void LeaseBook::serve(Actions& actions, Mono now) {
  while (!waiters_.empty() && is_usable(now) && waiters_.front().amount <= free_) {
    const Waiter& head = waiters_.front();
    free_ -= head.amount;
    held_ += head.amount;
    actions.granted.push_back({head.ticket, {.lease = lease_, .amount = head.amount}});
    waiters_.pop_front();
  }
}

void LeaseBook::start_for_head(Actions& actions, Mono now) {
  const Money usable = is_usable(now) ? free_ : Money();
  const Money least = std::max(waiters_.front().amount - usable, kLeastGrant);
  Money asked;
  for (const Waiter& waiter : waiters_) asked += waiter.amount;
  const Money reserve = is_tail_ ? Money() : target();
  start_acquire(actions, std::max(least, asked - usable + reserve), least);
}

void LeaseBook::start_for_reserve(Actions& actions, Mono now) {
  if (is_tail_) {
    if (!free_.is_zero()) start_return(actions, free_);
    return;
  }
  // Nobody waits yet: refill while half the reserve is still there.
  if (!is_usable(now) || now < blocked_until_ || now - last_request_ >= policy_.idle_return) return;
  if (free_ >= fraction(target(), 2)) return;
  start_acquire(actions, target() - free_, kLeastGrant);
}

void LeaseBook::start_acquire(Actions& actions, Money want, Money least) {
  flight_ = Flight::kAcquire;
  flight_least_ = least;
  actions.acquire = Acquire{.want = want, .least = least};
}

void LeaseBook::start_return(Actions& actions, Money amount) {
  free_ -= amount;
  total_ -= amount;
  flight_ = Flight::kReturn;
  actions.give_back = Return{.lease = lease_, .amount = amount};
}

void LeaseBook::refuse_late(Actions& actions, Mono now) {
  std::erase_if(waiters_, [&](const Waiter& waiter) {
    if (now < waiter.give_up) return false;
    actions.refused.push_back({waiter.ticket, unreachable()});
    return true;
  });
}

void LeaseBook::age_demand(Mono now) {
  if (demand_since_ == Mono{}) demand_since_ = now;
  // A long silence has decayed everything after a few steps.
  for (int steps = 0; now - demand_since_ >= kDemandStep; ++steps) {
    if (steps >= 64) {
      demand_since_ = now;
      break;
    }
    demand_per_s_ = fraction(demand_per_s_ + std::exchange(demand_now_, Money()), 2);
    largest_hold_ = largest_hold_ - fraction(largest_hold_, 8);
    demand_since_ += kDemandStep;
  }
}

Money LeaseBook::target() const {
  const auto horizon_s = std::chrono::duration_cast<std::chrono::seconds>(policy_.horizon).count();
  const Money demand_per_s = std::max(demand_per_s_, demand_now_);  // a burst shows in its first second
  return std::max(demand_per_s.times(horizon_s), largest_hold_.times(policy_.holds_least));
}

void LeaseBook::check() const {
  TG_CHECK(!free_.is_negative() && !held_.is_negative() && !consumed_.is_negative());
  TG_CHECK(total_ == free_ + held_ + consumed_);
}

}  // namespace tidegate::gateway
