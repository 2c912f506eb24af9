#include "gateway/core/rate_limiter.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/core/check.h"

namespace tidegate::gateway {
namespace {

constexpr std::int64_t kMinuteMs = 60'000;
constexpr std::int64_t kDayMs = 86'400'000;
constexpr Duration kBeatEvery = std::chrono::seconds(1);
constexpr Duration kProbeLeast = std::chrono::milliseconds(100);
constexpr Duration kProbeMost = std::chrono::seconds(1);
/// Longer than the slowest gateway takes to find Redis again, and to tell.
constexpr Duration kReturning = std::chrono::seconds(2);
static_assert(kReturning > kProbeMost);
/// Requests end when they end: no honest instant can be named for a free slot.
constexpr Duration kSlotRetry = std::chrono::seconds(1);

bool counts_tokens(RateMeter meter) { return meter == RateMeter::kTokens || meter == RateMeter::kDailyTokens; }

std::string span_words(Duration span) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(span).count();
  return ms < 1'000 ? fmt::format("{} ms", ms) : fmt::format("{} s", (ms + 999) / 1'000);
}

/// The gauge with less left stays.
void keep_lesser(std::optional<RateGauge>& kept, const RateGauge& other) {
  if (!kept || other.remaining < kept->remaining) kept = other;
}

}  // namespace

RateLimiter::RateLimiter(RateLimiterOptions options, Wall wall, Mono now)
    : options_(options),
      clock_(wall, now),
      fleet_{.is_shared = false, .gateways = std::max<std::int64_t>(options.gateways, 1)},
      backoff_(kProbeLeast, kProbeMost, options.seed),
      probe_at_(options.has_store ? now : Mono::max()),
      shared_at_(now),
      beat_at_(now) {}

void RateLimiter::set_link(Link link) {
  link_ = link;
  fleet_.is_shared = link == Link::kShared;
}

Mono RateLimiter::next_wake() const {
  switch (link_) {
    case Link::kAway: return probe_at_;
    case Link::kReturning: return std::min(beat_at_, shared_at_);
    case Link::kShared: return beat_at_;
  }
  return beat_at_;
}

void RateLimiter::look_up(const RateDemand& demand, const RateFleet& fleet, Mono now) {
  parts_.clear();
  const std::int64_t now_ms = clock_.at(now);
  for (const RateRule* rule : demand.binding) {
    for (const RateMeter meter : kRateMeters) {
      const std::int64_t most = rule->limit_of(meter);
      if (most <= 0) continue;
      const RateKey key{.rule = rule->id, .meter = meter};
      auto found = limits_.find(key);
      if (found == limits_.end()) {
        Limit made = meter == RateMeter::kConcurrency
                         ? Limit(RateSlots())
                         : Limit(RateShare(meter == RateMeter::kDailyTokens ? kDayMs : kMinuteMs));
        found = limits_.emplace(key, std::move(made)).first;
      }
      const std::int64_t amount = counts_tokens(meter) ? demand.tokens : 1;
      Part part{.key = key, .rule = rule, .limit = &found->second};
      const auto look = [&](auto& limit) {
        limit.set_limit(most);
        limit.roll(now_ms);
        part.need = limit.need_of(amount, fleet);
        part.is_short = limit.room(fleet, now) < part.need;
      };
      std::visit(look, found->second);
      parts_.push_back(part);
    }
  }
}

RateDecision RateLimiter::decide(const RateDemand& demand, const RateFleet& fleet, Mono now) {
  look_up(demand, fleet, now);
  RateDecision decision;
  const Part* refused = nullptr;
  bool is_short = false;
  for (const Part& part : parts_) {
    if (!part.is_short) continue;
    is_short = true;
    const auto is_denied = [&](const auto& limit) { return limit.is_denied(part.need, now); };
    if (fleet.is_shared && !std::visit(is_denied, *part.limit)) continue;
    // Of several, the one that will be there last: coming back earlier would be in vain.
    if (refused == nullptr || part.key.meter == RateMeter::kDailyTokens) refused = &part;
  }
  if (refused != nullptr) return refuse(*refused, fleet, now);
  if (is_short) return decision;
  if (!fleet.is_shared) is_fresh_ = false;
  for (const Part& part : parts_) {
    const auto take = [&](auto& limit) {
      const std::int64_t window = limit.take(part.need, now);
      decision.hold.taken.push_back({part.key, window, part.need});
      if (fleet_.is_shared && limit.is_low(fleet_, now)) dirty_.insert(part.key);
    };
    std::visit(take, *part.limit);
  }
  decision.verdict = RateVerdict::kAdmitted;
  decision.status = status_of(fleet, now);
  return decision;
}

RateStatus RateLimiter::status_of(const RateFleet& fleet, Mono now) const {
  const std::int64_t now_ms = clock_.at(now);
  RateStatus status;
  for (const Part& part : parts_) {
    const auto read = [&](const auto& limit) { return limit.gauge(fleet, now_ms, now); };
    const RateGauge gauge = std::visit(read, *part.limit);
    switch (part.key.meter) {
      case RateMeter::kRequests: keep_lesser(status.requests, gauge); break;
      case RateMeter::kTokens: keep_lesser(status.tokens, gauge); break;
      case RateMeter::kDailyTokens: keep_lesser(status.daily_tokens, gauge); break;
      case RateMeter::kConcurrency: keep_lesser(status.concurrency, gauge); break;
    }
  }
  return status;
}

RateDecision RateLimiter::refuse(const Part& part, const RateFleet& fleet, Mono now) const {
  const auto read = [&](const auto& limit) { return limit.gauge(fleet, clock_.at(now), now); };
  const RateGauge gauge = std::visit(read, *part.limit);
  const bool is_slots = part.key.meter == RateMeter::kConcurrency;
  const Duration wait = is_slots ? kSlotRetry : gauge.reset;
  const std::string model = part.rule->model.empty() ? std::string() : fmt::format(" for {}", part.rule->model);
  std::string message = fmt::format("Rate limit reached: {} of this {}{}: limit {}, left {}, needed {}. ",
                                    rate_meter_words(part.key.meter), rate_scope_name(part.rule->scope), model,
                                    gauge.limit, std::min(gauge.remaining, part.need - 1), part.need);
  message += is_slots ? std::string("Try again when one of them has ended.")
                      : fmt::format("Try again in {}.", span_words(wait));
  RateDecision decision;
  decision.verdict = RateVerdict::kRefused;
  decision.refused_by = part.key.meter;
  decision.refusal = Refusal(Error(Code::kResourceExhausted, "rate_limit_exceeded", std::move(message)), wait);
  decision.status = status_of(fleet, now);
  return decision;
}

RateDecision RateLimiter::admit(const RateDemand& demand, Mono now) { return decide(demand, fleet_, now); }

RateDecision RateLimiter::admit_or_wait(RateTicket ticket, RateDemand demand, Mono give_up, Mono now) {
  RateDecision decision = decide(demand, fleet_, now);
  if (decision.verdict != RateVerdict::kShort) return decision;
  if (waiting_.size() >= options_.waiters_max) return decide(demand, alone(), now);
  waiting_.push_back({ticket, std::move(demand), give_up});
  return decision;
}

std::vector<RateLimiter::Wake> RateLimiter::resolve(Mono now) {
  std::vector<Wake> wakes;
  std::deque<Waiting> still;
  for (Waiting& waiting : waiting_) {
    const bool is_over = waiting.give_up <= now;
    RateDecision decision = decide(waiting.demand, is_over ? alone() : fleet_, now);
    if (decision.verdict == RateVerdict::kShort) {
      still.push_back(std::move(waiting));
    } else {
      wakes.emplace_back(waiting.ticket, std::move(decision));
    }
  }
  waiting_.swap(still);
  return wakes;
}

std::vector<RateLimiter::Wake> RateLimiter::expire(Mono now) {
  if (next_give_up() > now) return {};
  return resolve(now);
}

Mono RateLimiter::next_give_up() const {
  Mono first = Mono::max();
  for (const Waiting& waiting : waiting_) first = std::min(first, waiting.give_up);
  return first;
}

std::vector<RateLimiter::Wake> RateLimiter::close(Mono now) {
  is_closed_ = true;
  set_link(Link::kAway);
  probe_at_ = Mono::max();
  return resolve(now);
}

void RateLimiter::shrink(RateHold& hold, std::int64_t tokens) {
  for (RateHold::Taken& taken : hold.taken) {
    if (!counts_tokens(taken.key.meter) || tokens >= taken.amount) continue;
    const auto found = limits_.find(taken.key);
    if (found != limits_.end()) std::get<RateShare>(found->second).correct(taken.window, taken.amount, tokens);
    taken.amount = tokens;
  }
}

void RateLimiter::settle(RateHold& hold, std::int64_t tokens) {
  for (RateHold::Taken& taken : hold.taken) {
    if (!counts_tokens(taken.key.meter)) continue;
    const auto found = limits_.find(taken.key);
    if (found != limits_.end()) std::get<RateShare>(found->second).correct(taken.window, taken.amount, tokens);
    taken.amount = tokens;
  }
}

void RateLimiter::release(RateHold& hold, Mono now) {
  for (const RateHold::Taken& taken : hold.taken) {
    if (taken.key.meter != RateMeter::kConcurrency) continue;
    const auto found = limits_.find(taken.key);
    if (found == limits_.end()) continue;
    auto& slots = std::get<RateSlots>(found->second);
    slots.release(taken.amount);
    if (fleet_.is_shared && slots.has_surplus(fleet_, now)) dirty_.insert(taken.key);
  }
  hold.taken.clear();
}

std::optional<RateCall> RateLimiter::next_call(Mono now) {
  if (call_ || is_closed_) return std::nullopt;
  RateCall call;
  if (link_ == Link::kAway) {
    if (now < probe_at_) return std::nullopt;
    call.is_beat = true;
    call_ = UnderWay{.keys = {}, .sent = now};
    return call;
  }
  if (link_ == Link::kReturning && now >= shared_at_) set_link(Link::kShared);
  call_ = UnderWay{.keys = {}, .sent = now};
  AskPlaces places;
  if (fleet_.is_shared) add_waiting(call, places, now);
  auto it = fleet_.is_shared ? dirty_.begin() : dirty_.end();
  for (; it != dirty_.end() && call.asks.size() < options_.asks_max; it = dirty_.erase(it)) {
    const auto found = limits_.find(*it);
    if (found == limits_.end()) continue;
    const auto wants = [&](auto& limit) {
      limit.roll(clock_.at(now));
      return limit.is_low(fleet_, now) || limit.has_surplus(fleet_, now);
    };
    if (std::visit(wants, found->second)) add_ask(call, *it, found->second, 0, call.asks.size(), now);
  }
  if (now >= beat_at_) {
    call.is_beat = true;
    beat_at_ = now + kBeatEvery;
    look_after_all(call, now);
  }
  if (call.asks.empty() && !call.is_beat) {
    call_.reset();
    return std::nullopt;
  }
  return call;
}

void RateLimiter::add_waiting(RateCall& call, AskPlaces& places, Mono now) {
  for (const Waiting& waiting : waiting_) {
    if (call.asks.size() >= options_.asks_max) return;
    look_up(waiting.demand, fleet_, now);
    bool must_wait = false;
    for (const Part& part : parts_) {
      const auto is_asking = [](const auto& limit) { return limit.is_asking(); };
      if (!part.is_short || !std::visit(is_asking, *part.limit)) continue;
      must_wait = true;
      // Somebody before it asks for the same: this one's need travels along, as far as there is enough.
      if (const auto place = places.find(part.key); place != places.end()) call.asks[place->second].want += part.need;
    }
    if (must_wait) continue;
    const std::size_t group = call.asks.size();
    for (const Part& part : parts_) {
      if (!part.is_short) continue;
      places.emplace(part.key, call.asks.size());
      add_ask(call, part.key, *part.limit, part.need, group, now);
    }
  }
}

void RateLimiter::add_ask(RateCall& call, const RateKey& key, Limit& limit, std::int64_t need, std::size_t group,
                          Mono now) {
  const auto make = [&](auto& one) { return one.ask(need, fleet_, now); };
  RateAsk ask = std::visit(make, limit);
  ask.key = key;
  ask.group = group;
  call.asks.push_back(ask);
  call_->keys.push_back(key);
}

/// Once a beat: renews slots, fills up, gives back what idles, forgets what nobody used for long.
void RateLimiter::look_after_all(RateCall& call, Mono now) {
  for (auto it = limits_.begin(); it != limits_.end();) {
    const auto wants = [&](auto& limit) {
      limit.roll(clock_.at(now));
      return fleet_.is_shared ? limit.wants_care(fleet_, now) : limit.must_tell(now);
    };
    const auto is_forgettable = [&](const auto& limit) { return limit.is_forgettable(now); };
    if (std::visit(wants, it->second)) {
      if (call.asks.size() < options_.asks_max) {
        add_ask(call, it->first, it->second, 0, call.asks.size(), now);
      } else if (fleet_.is_shared) {
        dirty_.insert(it->first);
      } else {
        beat_at_ = now;  // the rest is told with the next call
      }
    } else if (fleet_.is_shared && std::visit(is_forgettable, it->second)) {
      it = limits_.erase(it);
      continue;
    }
    ++it;
  }
}

std::vector<RateLimiter::Wake> RateLimiter::on_reply(const RateReply& reply, Mono now) {
  TG_CHECK(call_ && reply.answers.size() == call_->keys.size());
  const UnderWay call = *std::exchange(call_, std::nullopt);
  if (clock_.observe(reply.server_ms, call.sent, now)) {
    const auto forget = [](auto& limit) { limit.forget_windows(); };
    for (auto& [key, limit] : limits_) std::visit(forget, limit);
  }
  // A Redis that comes back without its memory has not heard of the others yet.
  const std::int64_t least = link_ == Link::kShared ? 1 : fleet_.gateways;
  fleet_.gateways = std::max({options_.gateways, reply.gateways, least});
  backoff_.reset();
  if (link_ == Link::kAway && !is_closed_) {
    set_link(is_fresh_ ? Link::kShared : Link::kReturning);
    is_fresh_ = false;
    shared_at_ = now + kReturning;
    beat_at_ = now;  // to tell at once
  }
  for (std::size_t i = 0; i < call.keys.size(); ++i) {
    const auto found = limits_.find(call.keys[i]);
    if (found == limits_.end()) continue;
    const auto tell = [&](auto& limit) { limit.on_answer(reply.answers[i], call.sent, now); };
    std::visit(tell, found->second);
  }
  return resolve(now);
}

std::vector<RateLimiter::Wake> RateLimiter::on_failure(bool is_unsent, Mono now) {
  TG_CHECK(call_.has_value());
  const UnderWay call = *std::exchange(call_, std::nullopt);
  for (const RateKey& key : call.keys) {
    const auto found = limits_.find(key);
    if (found == limits_.end()) continue;
    const auto tell = [&](auto& limit) { limit.on_failure(is_unsent); };
    std::visit(tell, found->second);
  }
  set_link(Link::kAway);
  if (!is_closed_) probe_at_ = now + backoff_.next();
  return resolve(now);
}

}  // namespace tidegate::gateway
