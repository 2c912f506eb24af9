#include "gateway/core/fair_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace tidegate::gateway {
namespace {

constexpr std::size_t kIdleLinesMax = 16'384;
/// A tenant's line may be this many times as long as what is free (Choudhury and Hahne's dynamic threshold): one alone
/// gets 8/9 of the length, and there is always room for a newcomer.
constexpr std::size_t kLineOverFree = 8;
/// Until answers were seen.
constexpr double kOutputGuess = 256;
constexpr double kAnswersRemembered = 64;
/// How fast the fastest prefill is forgotten, per sample.
constexpr double kPrefillFades = 1.02;
constexpr double kTimeMostSeconds = 86'400;

}  // namespace

void FairQueue::Account::charge(double work, double lowest) {
  counter = std::max(counter + work / weight, std::min(counter, lowest));
}

FairQueue::FairQueue(FairQueueLimits limits)
    : limits_(limits), gate_(OverloadLimits{.wait_max = limits.wait_max, .wait_target = limits.wait_target}) {
  for (std::size_t i = 0; i < kServiceTiers; ++i) bands_[i].account.weight = kTierWeights[i];
}

void FairQueue::set_limits(FairQueueLimits limits) {
  limits.input_weight = limits_.input_weight;
  limits.output_weight = limits_.output_weight;
  limits_ = limits;
  gate_.set_limits(OverloadLimits{.wait_max = limits.wait_max, .wait_target = limits.wait_target});
}

std::optional<Refusal> FairQueue::refuse(const QueueAsk& ask, Mono now) {
  const bool is_return = promises_.take(ask.tenant.uuid, now);
  const std::optional<Duration> wait = estimate(ask, now);
  if (is_full(ask)) {
    return refusal("queue_full", "Too many requests are waiting for this model; retry after the given time.", wait,
                   limits_.wait_target, ask, now);
  }
  if (!wait) return std::nullopt;  // nobody knows: it may wait, for wait_max at most
  const Duration allowed = gate_.wait_allowed(is_return);
  if (*wait > allowed) {
    return refusal("queue_full",
                   fmt::format("The wait for this model would be about {} s, more than the {:.1f} s that are offered "
                               "now; retry after the given time.",
                               std::chrono::ceil<std::chrono::seconds>(*wait).count(),
                               std::chrono::duration<double>(allowed).count()),
                   wait, *wait - allowed, ask, now);
  }
  if (ask.deadline.is_never()) return std::nullopt;
  const auto prefill = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(prefill_seconds_per_token_ * static_cast<double>(ask.input)));
  const Duration left = ask.deadline.remaining(now);
  if (*wait + prefill <= left) return std::nullopt;
  return refusal("would_be_late",
                 fmt::format("The answer would begin in about {} ms, and the deadline is in {} ms; give it more time, "
                             "or retry after the given time.",
                             std::chrono::ceil<std::chrono::milliseconds>(*wait + prefill).count(),
                             std::chrono::floor<std::chrono::milliseconds>(left).count()),
                 wait, *wait + prefill - left, ask, now);
}

std::expected<std::size_t, Refusal> FairQueue::push(QueueTicket ticket, const QueueAsk& ask, Mono now) {
  tick(now);
  if (is_full(ask)) {
    return std::unexpected(refusal("queue_full",
                                   "Too many requests are waiting for this model; retry after the given time.",
                                   std::nullopt, limits_.wait_target, ask, now));
  }
  forget_idle();
  Band& band = bands_[tier_index(ask.tier)];
  Line& line = band.lines[ask.tenant.uuid];
  line.account.weight = static_cast<double>(std::max<std::int64_t>(ask.weight, 1));
  const double cost = cost_of(ask);
  const std::int64_t input_most = std::max(ask.input, ask.input_max);
  input_most_ = std::max(input_most_, input_most);
  running_most_ = std::max(running_most_, input_most + ask.output_max);  // it will run
  join(band, line, cost);
  const std::uint64_t order = ++last_order_;
  line.waiting.push_back(Waiting{ticket, ask, cost, now, order});
  spots_.emplace(ticket, Spot{tier_index(ask.tier), ask.tenant.uuid, order});
  look_at_load(now);
  return size_ - 1;
}

std::optional<FairQueue::Waiting> FairQueue::pop(Mono now, std::size_t slots_free) {
  tick(now);
  const Choice choice = choose(slots_free);
  if (choice.line == nullptr) return std::nullopt;
  Band& band = bands_[choice.band];
  Line& line = *choice.line;
  band.virtual_time = std::max(band.virtual_time, least_line(band)->account.counter);
  virtual_time_ = std::max(virtual_time_, bands_[least_band()].account.counter);
  Waiting next = line.waiting.front();
  line.waiting.pop_front();
  leave(band, line, next.cost);
  spots_.erase(next.ticket);
  ++line.running;

  Running running;
  running.band = choice.band;
  running.tenant = next.ask.tenant.uuid;
  running.tokens = std::max(next.ask.input, next.ask.input_max) + next.ask.output_max;
  running.input = static_cast<double>(limits_.input_weight * next.ask.input);
  running.output = next.cost - running.input;
  running.since = now;
  charge(running, next.cost);
  running_now_ += running.tokens;
  running_most_ = std::max(running_most_, running_now_);
  running_.emplace(next.ticket, running);
  look_at_load(now);
  return next;
}

const FairQueue::Waiting* FairQueue::peek(std::size_t slots_free) {
  const Choice choice = choose(slots_free);
  return choice.line == nullptr ? nullptr : &choice.line->waiting.front();
}

bool FairQueue::remove(QueueTicket ticket, Mono now) {
  const auto spot = spots_.find(ticket);
  if (spot == spots_.end()) return false;
  tick(now);
  Band& band = bands_[spot->second.band];
  Line& line = band.lines[spot->second.tenant];
  const std::uint64_t order = spot->second.order;
  spots_.erase(spot);
  const auto found = find_waiting(line, order);
  const double cost = found->cost;
  line.waiting.erase(found);
  leave(band, line, cost);
  look_at_load(now);
  return true;
}

void FairQueue::accept(QueueTicket ticket, std::int64_t uncached, Mono now) {
  const auto found = running_.find(ticket);
  if (found == running_.end()) return;
  tick(now);
  Running& running = found->second;
  const double input = static_cast<double>(limits_.input_weight * std::max<std::int64_t>(uncached, 0));
  charge(running, input - running.input);
  running.input = input;
  running.uncached = uncached;
  rate_.serve(input, size_ > 0);
  look_at_load(now);
}

void FairQueue::produce(QueueTicket ticket, std::int64_t output, Mono now) {
  const auto found = running_.find(ticket);
  if (found == running_.end() || output <= found->second.produced) return;
  tick(now);
  Running& running = found->second;
  if (running.produced == 0 && running.uncached > 0) {
    const double sample =
        std::chrono::duration<double>(now - running.since).count() / static_cast<double>(running.uncached);
    const double known = prefill_seconds_per_token_ * kPrefillFades;
    prefill_seconds_per_token_ = known > 0 ? std::min(known, sample) : sample;
  }
  rate_.serve(static_cast<double>(limits_.output_weight * (output - running.produced)), size_ > 0);
  running.produced = output;
  const double work = static_cast<double>(limits_.output_weight * output);
  if (work > running.output) {
    charge(running, work - running.output);
    running.output = work;
  }
  look_at_load(now);
}

void FairQueue::finish(QueueTicket ticket, Mono now) {
  const auto found = running_.find(ticket);
  if (found == running_.end()) return;
  tick(now);
  const Running running = found->second;
  running_.erase(found);
  running_now_ -= running.tokens;
  charge(running, static_cast<double>(limits_.output_weight * running.produced) - running.output);
  auto& lines = bands_[running.band].lines;
  if (const auto line = lines.find(running.tenant); line != lines.end() && line->second.running > 0) {
    --line->second.running;
  }
  if (running.produced > 0) {
    ++answers_seen_;
    const double share = std::max(1.0 / kAnswersRemembered, 1.0 / static_cast<double>(answers_seen_));
    output_usual_ += share * (static_cast<double>(running.produced) - output_usual_);
  }
  forget_idle();
}

std::vector<FairQueue::Waiting> FairQueue::take_expired(Mono now) {
  tick(now);
  std::vector<Waiting> expired;
  for (Band& band : bands_) {
    for (auto& [tenant, line] : band.lines) {
      // Arrival order within a line is age order.
      while (!line.waiting.empty() && now - line.waiting.front().since >= limits_.wait_max) {
        expired.push_back(line.waiting.front());
        line.waiting.pop_front();
        leave(band, line, expired.back().cost);
        spots_.erase(expired.back().ticket);
      }
    }
  }
  if (!expired.empty()) look_at_load(now);
  return expired;
}

bool FairQueue::is_shared() const {
  const Uuid* one = nullptr;
  for (const Band& band : bands_) {
    for (const auto& [tenant, line] : band.lines) {
      if (!line.is_active()) continue;
      if (one != nullptr && *one != tenant) return true;
      one = &tenant;
    }
  }
  return false;
}

std::optional<Mono> FairQueue::next_expiry() const {
  std::optional<Mono> next;
  for (const Band& band : bands_) {
    for (const auto& [tenant, line] : band.lines) {
      if (line.waiting.empty()) continue;
      const Mono at = line.waiting.front().since + limits_.wait_max;
      if (!next || at < *next) next = at;
    }
  }
  return next;
}

Duration FairQueue::retry_after(const QueueAsk& ask, Mono now) {
  const std::optional<Duration> wait = estimate(ask, now);
  const std::optional<Duration> work = time_of(cost_of(ask));
  if (!wait || !work) return remember(ask, gate_.refuse_blindly(), now);
  return remember(ask, gate_.refuse(*wait, *work, now), now);
}

/// What is more than kPromiseMax away is told, and not promised.
Duration FairQueue::remember(const QueueAsk& ask, Duration after, Mono now) {
  if (after <= OverloadGate::kPromiseMax) promises_.add(ask.tenant.uuid, now + after, now);
  return after;
}

std::deque<FairQueue::Waiting>::const_iterator FairQueue::find_waiting(const Line& line, std::uint64_t order) {
  return std::ranges::lower_bound(line.waiting, order, {}, &Waiting::order);
}

FairQueue::Ahead FairQueue::first_of(const Line& line, std::size_t count, std::size_t& looks) {
  Ahead out;
  const std::size_t seen = std::min(count, looks);
  for (std::size_t i = 0; i < seen; ++i) out.cost += line.waiting[i].cost;
  looks -= seen;
  if (count > seen) {
    const double mean = std::max(line.backlog, 0.0) / static_cast<double>(line.waiting.size());
    out.cost += mean * static_cast<double>(count - seen);
  }
  out.count = count;
  return out;
}

FairQueue::Ahead FairQueue::before_tag(const Line& line, double tag, std::size_t& looks) {
  Ahead out;
  double start = line.account.counter;
  while (out.count < line.waiting.size() && start < tag && looks > 0) {
    const double cost = line.waiting[out.count].cost;
    start += cost / line.account.weight;
    out.cost += cost;
    ++out.count;
    --looks;
  }
  const std::size_t left = line.waiting.size() - out.count;
  if (left == 0 || start >= tag) return out;
  const double mean = std::max(line.backlog, 0.0) / static_cast<double>(line.waiting.size());
  double more = static_cast<double>(left);
  if (mean > 0) more = std::min(more, std::ceil((tag - start) * line.account.weight / mean));
  out.count += static_cast<std::size_t>(more);
  out.cost += more * mean;
  return out;
}

std::optional<QueuePlace> FairQueue::place(QueueTicket ticket, Mono now) {
  const auto spot = spots_.find(ticket);
  if (spot == spots_.end()) return std::nullopt;
  tick(now);
  const Band& band = bands_[spot->second.band];
  const Line& own = band.lines.at(spot->second.tenant);
  const auto mine = find_waiting(own, spot->second.order);
  std::size_t looks = kPlaceLooks;
  const Ahead own_ahead = first_of(own, static_cast<std::size_t>(mine - own.waiting.begin()), looks);
  const double ahead = own_ahead.cost;
  QueuePlace out;
  out.position += own_ahead.count;
  const double tag = own.account.counter + ahead / own.account.weight;
  double band_ahead = ahead;
  for (const auto& [tenant, line] : band.lines) {
    if (&line == &own) continue;
    const Ahead others = before_tag(line, tag, looks);
    band_ahead += others.cost;
    out.position += others.count;
  }
  const double band_tag = band.account.counter + band_ahead / band.account.weight;
  for (const Band& other : bands_) {
    if (&other == &band || other.waiting == 0 || other.backlog <= 0) continue;
    const double before = std::clamp((band_tag - other.account.counter) * other.account.weight, 0.0, other.backlog);
    out.position += static_cast<std::size_t>(before / other.backlog * static_cast<double>(other.waiting));
  }
  out.eta = time_of(work_before(mine->ask, ahead) + backlog() / static_cast<double>(size_));
  return out;
}

std::optional<Duration> FairQueue::estimate(const QueueAsk& ask, Mono now) {
  tick(now);
  look_at_load(now);
  if (size_ == 0) return Duration::zero();
  const Line* line = find_line(ask);
  // And one usual request for the slot it needs. Not its own cost: at the edge only short prompts would pass.
  return time_of(work_before(ask, line == nullptr ? 0 : line->backlog) + backlog() / static_cast<double>(size_));
}

FairnessGap FairQueue::fairness() const {
  FairnessGap out;
  for (const Band& band : bands_) {
    const Line* least = nullptr;
    const Line* most = nullptr;
    for (const auto& [tenant, line] : band.lines) {
      if (line.waiting.empty()) continue;
      if (least == nullptr || line.account.counter < least->account.counter) least = &line;
      if (most == nullptr || line.account.counter > most->account.counter) most = &line;
    }
    if (least != nullptr) out.gap = std::max(out.gap, most->account.counter - least->account.counter);
  }
  out.bound = fairness_bound();
  return out;
}

double FairQueue::fairness_bound() const {
  const std::int64_t input = limits_.input_weight * input_most_;
  // M holds prompts too, so it counts with the heavier of the two weights.
  const std::int64_t run = std::max(limits_.input_weight, limits_.output_weight) * running_most_;
  return 2.0 * static_cast<double>(std::max(input, run));
}

double FairQueue::cost_of(const QueueAsk& ask) const {
  const double usual = answers_seen_ == 0 ? kOutputGuess : output_usual_;
  return static_cast<double>(limits_.input_weight * ask.input) +
         static_cast<double>(limits_.output_weight) * std::min(usual, static_cast<double>(ask.output_max));
}

double FairQueue::backlog() const {
  double work = 0;
  for (const Band& band : bands_) work += band.backlog;
  return work;
}

/// What fairness serves before a request whose own line has `own_ahead` before it: first within its tier, then, by the
/// same rule, of the other tiers. A fluid's arithmetic: requests in service are not cut.
double FairQueue::work_before(const QueueAsk& ask, double own_ahead) const {
  const std::size_t at = tier_index(ask.tier);
  const Band& band = bands_[at];
  const Line* own = find_line(ask);
  const double weight = static_cast<double>(std::max<std::int64_t>(ask.weight, 1));
  double counter = own == nullptr ? 0 : own->account.counter;
  if (own == nullptr || own->waiting.empty()) counter = std::max(counter, entry_of(band));
  const double tag = counter + own_ahead / weight;
  double ahead = own_ahead;
  for (const auto& [tenant, line] : band.lines) {
    if (&line == own || line.waiting.empty()) continue;
    ahead += std::clamp((tag - line.account.counter) * line.account.weight, 0.0, std::max(line.backlog, 0.0));
  }
  const double band_counter =
      band.waiting == 0 ? std::max(band.account.counter, entry_of_bands()) : band.account.counter;
  const double band_tag = band_counter + ahead / band.account.weight;
  for (const Band& other : bands_) {
    if (&other == &band || other.waiting == 0) continue;
    const double gets = (band_tag - other.account.counter) * other.account.weight;
    ahead += std::clamp(gets, 0.0, std::max(other.backlog, 0.0));
  }
  return ahead;
}

std::optional<Duration> FairQueue::time_of(double work) const {
  const std::optional<double> rate = rate_.per_second();
  if (!rate) return std::nullopt;
  const double seconds = std::min(work / *rate, kTimeMostSeconds);
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

Refusal FairQueue::refusal(const char* reason, std::string message, std::optional<Duration> wait, Duration excess,
                           const QueueAsk& ask, Mono now) {
  const std::optional<Duration> work = time_of(cost_of(ask));
  const Duration after = work ? gate_.refuse(excess, *work, now) : gate_.refuse_blindly();
  Refusal out(Error(Code::kResourceExhausted, reason, std::move(message)), remember(ask, after, now));
  out.queue_wait = wait;
  return out;
}

bool FairQueue::is_full(const QueueAsk& ask) const {
  if (size_ >= limits_.length_max) return true;
  const Line* line = find_line(ask);
  return line != nullptr && line->waiting.size() >= kLineOverFree * (limits_.length_max - size_);
}

const FairQueue::Line* FairQueue::find_line(const QueueAsk& ask) const {
  const auto& lines = bands_[tier_index(ask.tier)].lines;
  const auto found = lines.find(ask.tenant.uuid);
  return found == lines.end() ? nullptr : &found->second;
}

std::size_t FairQueue::least_band() const {
  std::size_t least = kServiceTiers;
  for (std::size_t i = kServiceTiers; i-- > 0;) {  // of equals the higher tier
    if (bands_[i].waiting == 0) continue;
    if (least == kServiceTiers || bands_[i].account.counter < bands_[least].account.counter) least = i;
  }
  return least;
}

const FairQueue::Line* FairQueue::least_line(const Band& band) const {
  // Linear in tenants waiting: tens in practice, and a pop happens once per request.
  const Line* least = nullptr;
  for (const auto& [tenant, line] : band.lines) {
    if (line.waiting.empty()) continue;
    if (least == nullptr || comes_before(line, *least)) least = &line;
  }
  return least;
}

/// Of equal counters the older request: newcomers are lifted to the least counter, and an endless row of them must not
/// starve who has it.
bool FairQueue::comes_before(const Line& a, const Line& b) {
  return std::pair(a.account.counter, a.waiting.front().ticket) <
         std::pair(b.account.counter, b.waiting.front().ticket);
}

double FairQueue::entry_of(const Band& band) const {
  const Line* least = least_line(band);
  return least == nullptr ? band.virtual_time : std::max(band.virtual_time, least->account.counter);
}

double FairQueue::entry_of_bands() const {
  const std::size_t least = least_band();
  return least == kServiceTiers ? virtual_time_ : std::max(virtual_time_, bands_[least].account.counter);
}

FairQueue::Choice FairQueue::choose(std::size_t slots_free) {
  if (size_ == 0) return {};
  const std::size_t slots = running_.size() + slots_free;
  if (slots_free <= slots / kHeadroomPart) return choose_near_share(slots);
  const std::size_t at = least_band();
  return {at, const_cast<Line*>(least_line(bands_[at]))};
}

/// Headroom. Who is served before its turn may be ahead of the least by one half of the bound of the gap: the other half
/// is what its requests that run may still add.
FairQueue::Choice FairQueue::choose_near_share(std::size_t slots) {
  double weights = 0;
  std::size_t active = 0;
  for (const Band& band : bands_) {
    for (const auto& [tenant, line] : band.lines) {
      if (!line.is_active()) continue;
      weights += line.account.weight * band.account.weight;
      ++active;
    }
  }
  const double half = fairness_bound() / 2;
  Choice best;
  for (std::size_t i = kServiceTiers; i-- > 0;) {
    Band& band = bands_[i];
    if (band.waiting == 0) continue;
    if (best.line != nullptr && bands_[best.band].account.counter <= band.account.counter) continue;
    const double most = least_line(band)->account.counter + half;
    Line* own = nullptr;
    for (auto& [tenant, line] : band.lines) {
      if (line.waiting.empty() || line.account.counter > most) continue;
      const double share = line.account.weight * band.account.weight / weights;
      const double far = std::min(2 * share, (1 + share) / 2) * static_cast<double>(slots);
      // One that runs nothing is below any share: there may be more tenants than slots.
      if (active > 1 && static_cast<double>(line.running + 1) > std::max(far, 1.0)) continue;
      if (own == nullptr || comes_before(line, *own)) own = &line;
    }
    if (own != nullptr) best = {i, own};
  }
  return best;
}

void FairQueue::join(Band& band, Line& line, double cost) {
  if (line.waiting.empty()) line.account.counter = std::max(line.account.counter, entry_of(band));
  if (band.waiting == 0) band.account.counter = std::max(band.account.counter, entry_of_bands());
  line.backlog += cost;
  band.backlog += cost;
  ++band.waiting;
  ++size_;
}

void FairQueue::leave(Band& band, Line& line, double cost) {
  line.backlog = line.waiting.empty() ? 0 : line.backlog - cost;
  --band.waiting;
  band.backlog = band.waiting == 0 ? 0 : band.backlog - cost;
  --size_;
}

void FairQueue::charge(const Running& running, double work) {
  Band& band = bands_[running.band];
  band.account.charge(work, virtual_time_);
  // A tenant that was forgotten meanwhile starts again at the lift, which costs it no less.
  const auto found = band.lines.find(running.tenant);
  if (found != band.lines.end()) found->second.account.charge(work, band.virtual_time);
}

void FairQueue::tick(Mono now) { rate_.pass(size_ > 0, now); }

void FairQueue::look_at_load(Mono now) {
  gate_.observe(size_ == 0 ? Duration::zero() : time_of(backlog()), now);
}

void FairQueue::forget_idle() {
  if (size_ == 0 && running_.empty()) {
    // Nobody waits and nobody runs: whoever comes next, all are equal again.
    for (Band& band : bands_) {
      band.lines.clear();
      band.account.counter = 0;
      band.virtual_time = 0;
    }
    virtual_time_ = 0;
    input_most_ = 0;
    running_most_ = 0;
    return;
  }
  for (Band& band : bands_) {
    if (band.lines.size() < kIdleLinesMax) continue;
    std::erase_if(band.lines, [](const auto& entry) { return !entry.second.is_active(); });
  }
}

}  // namespace tidegate::gateway
