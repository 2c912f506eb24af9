#include "gateway/core/lease_node.h"

#include <algorithm>
#include <utility>

#include "base/core/check.h"

namespace tidegate::gateway {
namespace {

constexpr Money kLeastGrant = Money::from_pico(1);
constexpr Duration kDemandStep = std::chrono::seconds(1);
/// Of idle_return: how long a node with nothing in it is remembered.
constexpr int kForgetAfter = 6;

Money fraction(Money amount, std::int64_t divisor) { return Money::from_pico(amount.pico() / divisor); }

Error exhausted() {
  return Error(Code::kResourceExhausted, "insufficient_balance",
               "the wallet cannot cover the most this request may cost; top it up, or lower max_tokens");
}

}  // namespace

LeaseId LeaseNode::take(Money amount) {
  free_ -= amount;
  held_ += amount;
  check();
  return lease_;
}

void LeaseNode::release(const LeaseId& lease, Money amount) {
  held_ -= amount;
  // Money of a lease that billing has replaced is not ours to spend again.
  if (lease == lease_) {
    free_ += amount;
  } else {
    total_ -= amount;
    carried_ -= amount;
  }
  check();
}

void LeaseNode::spend(Money amount) {
  held_ -= amount;
  consumed_ += amount;
  check();
}

void LeaseNode::note_request(Money amount, Mono now) {
  age(now);
  last_request_ = now;
  demand_now_ += amount;
  largest_hold_ = std::max(largest_hold_, amount);
}

void LeaseNode::enter(Money amount) {
  ++waiting_;
  waiting_sum_ += amount;
}

void LeaseNode::leave(Money amount) {
  TG_CHECK(waiting_ > 0);
  --waiting_;
  waiting_sum_ -= amount;
}

void LeaseNode::claim(Money amount, std::uint64_t walk) {
  claimed_ = claimed(walk) + amount;
  walk_ = walk;
}

LeaseNode::Verdict LeaseNode::verdict(Money lack, Mono now) const {
  if (now < denied_until_ && lack >= denied_least_) return Verdict::kDenied;
  return now < blocked_until_ ? Verdict::kBlocked : Verdict::kAsk;
}

LeaseNode::Acquire LeaseNode::ask(Money lack, Mono now) {
  const Money least = std::max(lack, kLeastGrant);
  const Money reserve = is_tail_ ? Money() : target();
  return start_acquire(std::max(least, waiting_sum_ - usable(now) + reserve), least);
}

std::optional<LeaseNode::Acquire> LeaseNode::refill(Mono now) {
  // Nobody waits yet: refill while half the reserve is still there.
  if (is_tail_ || !is_usable(now) || now < blocked_until_ || now - last_request_ >= policy_->idle_return) return std::nullopt;
  if (free_ >= fraction(target(), 2)) return std::nullopt;
  return start_acquire(target() - free_, kLeastGrant);
}

std::optional<LeaseNode::Return> LeaseNode::give_up_tail() {
  if (!is_tail_ || free_.is_zero()) return std::nullopt;
  return start_return(free_);
}

std::optional<LeaseNode::Acquire> LeaseNode::renew(Mono now) {
  const bool is_quiet = now - last_request_ >= policy_->idle_return;
  if (lease_.is_nil() || is_quiet || is_tail_ || now < renew_from_ || now < blocked_until_) return std::nullopt;
  return start_acquire(std::max(target() - free_, kLeastGrant), kLeastGrant);
}

std::optional<LeaseNode::Return> LeaseNode::give_up_idle(Mono now) {
  const bool is_quiet = now - last_request_ >= policy_->idle_return;
  if (!free_.is_zero() && (is_quiet || now >= expires_)) return start_return(free_);
  if (free_ > target().times(4)) return start_return(free_ - target());
  return std::nullopt;
}

bool LeaseNode::is_forgettable(Mono now) const {
  return flight_ == Flight::kNone && waiting_ == 0 && free_.is_zero() && held_.is_zero() &&
         now - last_request_ >= policy_->idle_return * kForgetAfter;
}

std::optional<LeaseNode::Return> LeaseNode::on_granted(const Grant& grant, Mono now) {
  TG_CHECK(flight_ == Flight::kAcquire);
  flight_ = Flight::kNone;
  std::optional<Return> old;
  if (lease_.is_nil()) {
    // Forgotten here and remembered there: what it granted before was consumed.
    carried_ = std::min(grant.granted - grant.lease_amount, Money());
    lease_ = grant.lease;
  } else if (grant.lease != lease_) {
    // Billing opened another lease: only what it granted now is free; earlier holds keep their own lease's id.
    if (!free_.is_zero()) old = Return{.lease = lease_, .amount = free_, .is_awaited = false};
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
  if (expires_ <= now) blocked_until_ = now + policy_->denied_memory;
  // Little is left: from here on what we keep is what another gateway, or this one, will lack.
  is_tail_ = grant.wallet_available < target().times(is_tail_ ? 3 : 1);
  check();
  return old;
}

void LeaseNode::on_refused(const Error& error, Mono now) {
  TG_CHECK(flight_ == Flight::kAcquire);
  flight_ = Flight::kNone;
  if (error.reason != "insufficient_balance" && error.reason != "budget_exceeded") {
    blocked_until_ = now + policy_->denied_memory;
    return;
  }
  denial_ = error.reason == "insufficient_balance" ? exhausted() : error;
  is_tail_ = true;
  denied_least_ = flight_least_;
  denied_until_ = now + policy_->denied_memory;
}

void LeaseNode::on_returned() {
  TG_CHECK(flight_ == Flight::kReturn);
  flight_ = Flight::kNone;
}

void LeaseNode::on_top_up() {
  denied_until_ = {};
  blocked_until_ = {};
  is_tail_ = false;
}

void LeaseNode::age(Mono now) {
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

Money LeaseNode::target() const {
  const auto horizon_s = std::chrono::duration_cast<std::chrono::seconds>(policy_->horizon).count();
  const Money demand_per_s = std::max(demand_per_s_, demand_now_);  // a burst shows in its first second
  return std::max(demand_per_s.times(horizon_s), largest_hold_.times(policy_->holds_least));
}

LeaseNode::Acquire LeaseNode::start_acquire(Money want, Money least) {
  TG_CHECK(flight_ == Flight::kNone);
  flight_ = Flight::kAcquire;
  flight_least_ = least;
  return {.want = want, .least = least};
}

LeaseNode::Return LeaseNode::start_return(Money amount) {
  TG_CHECK(flight_ == Flight::kNone);
  free_ -= amount;
  total_ -= amount;
  flight_ = Flight::kReturn;
  return {.lease = lease_, .amount = amount};
}

void LeaseNode::check() const {
  TG_CHECK(!free_.is_negative() && !held_.is_negative() && !consumed_.is_negative());
  TG_CHECK(total_ == free_ + held_ + consumed_);
}

}  // namespace tidegate::gateway
