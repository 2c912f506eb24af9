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
/// Seconds that the mean cost of a second looks back: long enough that a single dear request moves it little.
constexpr std::int64_t kSpentSteps = 32;
/// Of what is held: how much more may be held before the end of an outage than at its beginning. Loads breathe.
constexpr std::int64_t kHeldParts = 4;
/// Of the reserve: what is acquired beyond it, and used up before the next call.
constexpr std::int64_t kSlackParts = 4;
/// After a grant that was smaller than the wish: the next one would be as well.
constexpr Duration kReservePause = std::chrono::seconds(1);
/// A silence of more steps than this has decayed everything.
constexpr int kStepsMax = 64;

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
  spent_now_ += amount;
  check();
}

void LeaseNode::note_request(Money amount, Mono now) {
  age(now);
  if (is_quiet(now)) {
    // It begins anew: the silence says nothing of what comes.
    spent_per_s_ = Money();
    spent_steps_ = 0;
  }
  last_request_ = now;
  demand_now_ += amount;
  largest_hold_ = std::max(largest_hold_, amount);
  largest_kept_ = std::max(largest_kept_, amount);
}

void LeaseNode::note_largest(Mono now) {
  const Duration past = now - kept_since_;
  if (past < policy_->horizon) return;
  largest_before_ = past < policy_->horizon * 2 ? largest_kept_ : Money();
  largest_kept_ = Money();
  kept_since_ = now;
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
  const Money rest = is_tail_ ? Money() : goal();
  return start_acquire(std::max(least, waiting_sum_ - usable(now) + rest), least, now);
}

std::optional<LeaseNode::Acquire> LeaseNode::refill(Mono now) {
  // Nobody waits yet: refill while half the reserve is still there.
  if (is_tail_ || !is_usable(now) || now < blocked_until_ || is_quiet(now)) return std::nullopt;
  const Money half = fraction(burst(), 2);
  const Money least = now < reserve_from_ ? half : half + reserve();
  if (free_ >= least) return std::nullopt;
  return start_acquire(std::max(goal() - free_, kLeastGrant), kLeastGrant, now);
}

std::optional<LeaseNode::Return> LeaseNode::give_up_tail(Mono now) {
  if (!is_tail_ || free_.is_zero()) return std::nullopt;
  return start_return(free_, now);
}

std::optional<LeaseNode::Acquire> LeaseNode::renew(Mono now) {
  if (lease_.is_nil() || is_quiet(now) || is_tail_ || now < blocked_until_) return std::nullopt;
  if (now < renew_from_ && !must_look(now)) return std::nullopt;
  return start_acquire(std::max(goal() - free_, kLeastGrant), kLeastGrant, now);
}

bool LeaseNode::must_look(Mono now) const {
  if (policy_->horizon == Duration::zero() || now - told_ < policy_->look_every) return false;
  return free_ > burst() && free_ > fraction(available_, policy_->look_parts);
}

std::optional<LeaseNode::Return> LeaseNode::give_up_idle(Mono now) {
  if (!free_.is_zero() && (is_quiet(now) || now >= expires_)) return start_return(free_, now);
  if (free_ > burst().times(4) + reserve().times(2)) return start_return(free_ - burst() - reserve(), now);
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
  if (policy_->horizon > Duration::zero()) {
    // What is left of the lease covers the horizon at any moment, where its life allows that.
    const Mono latest = std::max(expires_ - policy_->horizon, now + (expires_ - now) / 4);
    renew_from_ = std::min(renew_from_, latest);
  }
  available_ = grant.wallet_available;
  told_ = now;
  reserve_from_ = grant.granted < flight_want_ ? now + kReservePause : now;
  denied_until_ = {};
  // An answer that is already too old, or a clock that is wrong: asking again at once would never end.
  if (expires_ <= now) blocked_until_ = now + policy_->denied_memory;
  // Little is left: from here on what we keep is what another gateway, or this one, will lack.
  is_tail_ = grant.wallet_available < burst().times(is_tail_ ? 3 : 1);
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
  note_largest(now);
  for (int steps = 0; now - demand_since_ >= kDemandStep; ++steps) {
    if (steps >= kStepsMax) {
      spent_per_s_ = Money();
      spent_steps_ = 0;
      demand_since_ = now;
      break;
    }
    demand_per_s_ = fraction(demand_per_s_ + std::exchange(demand_now_, Money()), 2);
    largest_hold_ = largest_hold_ - fraction(largest_hold_, 8);
    // The mean of what there is at first, so that a load is known from its first seconds on.
    spent_steps_ = std::min(spent_steps_ + 1, kSpentSteps);
    spent_per_s_ += fraction(std::exchange(spent_now_, Money()) - spent_per_s_, spent_steps_);
    demand_since_ += kDemandStep;
  }
}

Money LeaseNode::burst() const {
  const auto burst_s = std::chrono::duration_cast<std::chrono::seconds>(policy_->burst).count();
  const Money demand_per_s = std::max(demand_per_s_, demand_now_);  // a burst shows in its first second
  return std::max(demand_per_s.times(burst_s), largest_hold_.times(policy_->holds_least));
}

Money LeaseNode::wish() const {
  if (policy_->horizon == Duration::zero()) return Money();
  const auto horizon_s = std::chrono::duration_cast<std::chrono::seconds>(policy_->horizon).count();
  const Money one = std::max(largest_kept_, largest_before_);  // who asks seldom holds nothing between its requests
  return spent_per_s_.times(horizon_s) + fraction(held_, kHeldParts) + one;
}

Money LeaseNode::reserve() const {
  if (told_ == Mono{}) return wish();  // billing's own limit will do for once
  return std::min(wish(), std::max(fraction(available_, policy_->reserve_parts), Money()));
}

bool LeaseNode::is_short(Mono now) const { return !is_quiet(now) && usable(now) < wish(); }

Money LeaseNode::goal() const {
  const Money kept = reserve();
  return burst() + kept + fraction(kept, kSlackParts);
}

LeaseNode::Acquire LeaseNode::start_acquire(Money want, Money least, Mono now) {
  TG_CHECK(flight_ == Flight::kNone);
  flight_ = Flight::kAcquire;
  flight_since_ = now;
  flight_least_ = least;
  flight_want_ = want;
  return {.want = want, .least = least};
}

LeaseNode::Return LeaseNode::start_return(Money amount, Mono now) {
  TG_CHECK(flight_ == Flight::kNone);
  flight_since_ = now;
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
