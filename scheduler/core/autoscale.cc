#include "scheduler/core/autoscale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace tidegate::scheduler {

namespace {

constexpr double kLoadMemory = 30;  ///< seconds; shorter follows the noise of single requests
constexpr double kServiceMemory = 180;
/// Below this share of the slots, replicas hold nothing back: what runs is what was offered.
constexpr double kFullShare = 0.85;
constexpr auto kWarmUp = std::chrono::minutes(1);
/// A replica that is so busy has no room for the next burst.
constexpr double kFullUse = 0.97;
/// A replica is kept awake for this much of itself.
constexpr double kAwakeLoad = 0.05;

void smooth(double& mean, double value, double elapsed, double memory) {
  mean += (1 - std::exp(-elapsed / memory)) * (value - mean);
}

std::int32_t whole(double replicas) { return static_cast<std::int32_t>(std::ceil(std::min(replicas, 1e6) - 1e-9)); }

double use_of(std::int64_t used, std::int64_t capacity) {
  return capacity > 0 ? static_cast<double>(used) / static_cast<double>(capacity) : 0;
}

double slot_use(const AutoscaleObservation& seen) { return use_of(seen.running, seen.slots); }
double kv_use(const AutoscaleObservation& seen) { return use_of(seen.kv_tokens_used, seen.kv_tokens_capacity); }
bool is_asked_for(const AutoscaleObservation& seen) {
  return seen.running > 0 ||
         (seen.is_demand_known && (seen.waiting > 0 || seen.arrivals_per_s > 0 || seen.refusals_per_s > 0));
}

/// What runs is held down by what there is.
bool is_full(const AutoscaleObservation& seen) {
  return slot_use(seen) > kFullShare || kv_use(seen) > kFullShare || (seen.is_demand_known && seen.waiting > 0);
}

/// Takes the observation into the smoothed rates. Each begins with the first value it is told: one that grew from zero
/// would look like a trend.
void follow(AutoscaleState& state, const AutoscaleObservation& seen, double elapsed) {
  if (seen.ready > 0 && seen.slots > 0) {
    state.slots_per_replica = static_cast<double>(seen.slots) / seen.ready;
    if (!std::exchange(state.has_supply, true)) state.running = static_cast<double>(seen.running);
  }
  smooth(state.running, static_cast<double>(seen.running), elapsed, kLoadMemory);
  if (!seen.is_demand_known) return;
  if (!std::exchange(state.has_demand, true)) {
    state.arrivals = seen.arrivals_per_s;
    state.prompt_tokens = seen.prompt_tokens_per_s;
  }
  smooth(state.arrivals, seen.arrivals_per_s, elapsed, kLoadMemory);
  smooth(state.prompt_tokens, seen.prompt_tokens_per_s, elapsed, kLoadMemory);
  // Full replicas keep requests waiting inside, and none lets nothing out: neither says how long one takes.
  if (seen.ready == 0 || (is_full(seen) && state.dispatches > 0)) return;
  smooth(state.dispatches, seen.dispatches_per_s, elapsed, kServiceMemory);
  smooth(state.served, static_cast<double>(seen.running), elapsed, kServiceMemory);
}

double slot_seconds(const AutoscaleState& state) {
  return state.dispatches > 1e-6 ? state.served / state.dispatches : 0;
}

/// In replicas at full use.
double offered_load(const AutoscaleState& state, const AutoscalePolicy& policy, const AutoscaleObservation& seen) {
  if (state.slots_per_replica <= 0) return 0;
  double busy = state.running;
  // What arrives is not held down, and waits inside full replicas do not swell it.
  if (seen.is_demand_known && (is_full(seen) || seen.ready == 0) && slot_seconds(state) > 0) {
    busy = state.arrivals * slot_seconds(state);
  }
  double load = busy / state.slots_per_replica;
  // Long contexts fill the memory before the slots.
  if (slot_use(seen) > 0.05) load *= std::max(1.0, kv_use(seen) / slot_use(seen));
  if (seen.is_demand_known && policy.prompt_tokens_per_s > 0) {
    load = std::max(load, state.prompt_tokens / static_cast<double>(policy.prompt_tokens_per_s));
  }
  return load;
}

/// The most that was needed within the policy's memory, this need included.
std::int32_t most_needed(AutoscaleState& state, const AutoscalePolicy& policy, std::int32_t need, Mono now) {
  while (!state.needs.empty() && state.needs.back().second <= need) state.needs.pop_back();
  state.needs.emplace_back(now, need);
  while (now - state.needs.front().first > std::chrono::seconds(policy.down_after_s)) state.needs.pop_front();
  return state.needs.front().second;
}

struct Ask {
  std::int32_t replicas = 0;
  AutoscaleCause cause = AutoscaleCause::kHold;
  void raise(std::int32_t to, AutoscaleCause why) {
    if (to <= replicas) return;
    replicas = to;
    cause = why;
  }
};

/// What a queue, refusals or full replicas ask for, once everything ordered has come: enough for the load and, beside
/// it, to have the queue gone in time. A queue that does not shrink although that much is there says that the load is
/// underestimated: one more.
std::int32_t reactive_floor(const AutoscaleState& state, const AutoscalePolicy& policy,
                            const AutoscaleSettings& settings, const AutoscaleObservation& seen, double load,
                            Mono now) {
  if (seen.pending > 0 || seen.ready == 0 || now - state.up_at < settings.settle) return 0;
  if (!seen.is_demand_known) return std::max(slot_use(seen), kv_use(seen)) > kFullUse ? seen.ready + 1 : 0;
  if (seen.oldest_wait <= std::chrono::milliseconds(policy.queue_wait_ms) && seen.refusals_per_s <= 0) return 0;
  double backlog = 0;
  if (state.slots_per_replica > 0) {
    backlog = static_cast<double>(seen.waiting) * slot_seconds(state) /
              (state.slots_per_replica * in_seconds(settings.drain_backlog));
  }
  const std::int32_t enough = whole(load + backlog);
  if (enough > seen.ready) return enough;
  return seen.arrivals_per_s >= seen.dispatches_per_s ? seen.ready + 1 : 0;
}

/// The least that must be there whatever the load: windows, and one for those who come.
Ask least(const AutoscaleState& state, const AutoscalePolicy& policy, const AutoscaleObservation& seen, Duration lead,
          Mono now) {
  Ask ask;
  const auto minutes = static_cast<std::int32_t>(in_seconds(lead) / 60) + 1;
  ask.raise(replicas_floor_until(policy, seen.week_minute, minutes), AutoscaleCause::kWindow);
  if (ask.replicas > 0) return ask;
  if (state.replicas == 0) {
    const bool is_foreseen = state.forecast.has_season() && state.forecast.at(lead) > 2 * kAwakeLoad;
    if (is_asked_for(seen))
      ask.raise(1, AutoscaleCause::kWake);
    else if (is_foreseen)
      ask.raise(1, AutoscaleCause::kForecast);
    return ask;
  }
  const Duration idle = std::max<Duration>(std::chrono::seconds(policy.idle_s), 2 * lead);
  const bool may_sleep = seen.is_demand_known && now - state.busy_at >= idle &&
                         (!state.forecast.has_season() || state.forecast.peak_until(lead) < kAwakeLoad);
  if (!may_sleep) ask.raise(1, AutoscaleCause::kHold);
  return ask;
}

std::string sentence(const AutoscaleDecision& made, const AutoscaleState& state, const AutoscalePolicy& policy,
                     const AutoscaleObservation& seen, Duration lead, std::int32_t before) {
  std::string text;
  switch (made.cause) {
    case AutoscaleCause::kHold:
      text = "enough";
      break;
    case AutoscaleCause::kForecast:
      text = "more will be needed by the time it is ready";
      break;
    case AutoscaleCause::kLoad:
      text = "the load needs more";
      break;
    case AutoscaleCause::kQueue:
      text = fmt::format("{} requests wait, the oldest for {:.1f} s", seen.waiting, in_seconds(seen.oldest_wait));
      break;
    case AutoscaleCause::kWindow:
      text = "its least number at this time of day";
      break;
    case AutoscaleCause::kWake:
      text = "none ran and a request came";
      break;
    case AutoscaleCause::kDown:
      text = fmt::format("fewer were enough for {} s", policy.down_after_s);
      break;
    case AutoscaleCause::kSleep:
      text = fmt::format("no request for {:.0f} s", in_seconds(state.decided_at - state.busy_at));
      break;
    case AutoscaleCause::kReclaim:
      text = "others of the pool need what it had";
      break;
    case AutoscaleCause::kLimit:
      text = replicas_ceiling(policy) < policy.replicas_max ? "the budget pays for no more"
                                                            : "replicas_max allows no more";
      break;
    case AutoscaleCause::kBlind:
      return "neither gateways nor workers report; it stays as it is";
  }
  if (made.replicas != before) text = fmt::format("{} -> {}: {}", before, made.replicas, text);
  text += fmt::format("; load {:.2f}, {:.2f} in {:.0f} s, at {} % of each {:.2f} needed; {} ready, {} on their way",
                      made.load, made.forecast, in_seconds(lead), policy.target_utilisation_percent, made.needed,
                      seen.ready, seen.pending);
  if (!seen.is_demand_known) text += "; no gateway reports";
  return text;
}

/// Moves towards what is asked, within the limits on speed.
void step(AutoscaleState& state, const AutoscalePolicy& policy, const AutoscaleSettings& settings,
          const AutoscaleObservation& seen, Ask up, std::int32_t kept, Mono now, AutoscaleDecision& made) {
  const std::int32_t before = state.replicas;
  const std::int32_t ceiling = replicas_ceiling(policy);
  if (up.replicas > before) {
    const auto reach = static_cast<std::int32_t>(settings.up_factor_max * std::max(seen.ready, 1));
    std::int32_t next = up.replicas;
    // Windows are the operator's word, not a guess that could run away.
    if (up.cause != AutoscaleCause::kWindow) next = std::min(next, std::max(before, reach));
    made.cause = next > ceiling ? AutoscaleCause::kLimit : up.cause;
    state.replicas = std::min(next, ceiling);
    if (state.replicas > before) {
      if (state.down_at > state.up_at && state.down_at > state.started_at && before > 0)
        state.held_until = now + settings.regret_hold;
      state.up_at = now;
    }
    if (next == before) made.cause = AutoscaleCause::kHold;
    return;
  }
  const bool has_memory = now - state.started_at >= std::chrono::seconds(policy.down_after_s);
  const bool may_fall = has_memory && now - state.up_at >= std::chrono::seconds(policy.down_after_s) &&
                        now - state.down_at >= settings.down_pause && now >= state.held_until;
  if (kept >= before || !may_fall || is_full(seen)) return;
  state.replicas = std::max(kept, before - std::max(before / 2, 1));
  state.down_at = now;
  made.cause = AutoscaleCause::kDown;
}

/// What is asked for beside `up`, and the move towards it.
void decide(AutoscaleState& state, const AutoscalePolicy& policy, const AutoscaleSettings& settings,
            const AutoscaleObservation& seen, Ask up, double needed_later, Mono now, AutoscaleDecision& made) {
  const std::int32_t before = state.replicas;
  const std::int32_t floor = up.replicas;
  // Rounded up, but not for a trace of one; a queue will tell if that was wrong.
  if (before > 0 || floor > 0) {
    const bool is_load = whole(made.load / kFullUse - 0.1) > before;
    up.raise(whole(made.needed - 0.1), is_load ? AutoscaleCause::kLoad : AutoscaleCause::kForecast);
  }
  up.raise(reactive_floor(state, policy, settings, seen, made.load, now), AutoscaleCause::kQueue);
  const std::int32_t with_band = floor == 0 ? 0 : whole(needed_later * (1 + settings.dead_band));
  const std::int32_t kept =
      most_needed(state, policy, std::max({floor, std::min(up.replicas, before), with_band}), now);
  if (before > 0 && floor == 0 && up.replicas == 0) {
    state.replicas = 0;
    state.down_at = now;
    state.needs.clear();
    made.cause = AutoscaleCause::kSleep;
  } else {
    step(state, policy, settings, seen, up, kept, now, made);
  }
}

}  // namespace

std::string_view autoscale_cause_name(AutoscaleCause cause) {
  switch (cause) {
    case AutoscaleCause::kHold:
      return "hold";
    case AutoscaleCause::kForecast:
      return "forecast";
    case AutoscaleCause::kLoad:
      return "load";
    case AutoscaleCause::kQueue:
      return "queue";
    case AutoscaleCause::kWindow:
      return "window";
    case AutoscaleCause::kWake:
      return "wake";
    case AutoscaleCause::kDown:
      return "down";
    case AutoscaleCause::kSleep:
      return "sleep";
    case AutoscaleCause::kReclaim:
      return "reclaim";
    case AutoscaleCause::kLimit:
      return "limit";
    case AutoscaleCause::kBlind:
      return "blind";
  }
  return "";
}

Duration autoscale_lead(const AutoscalePolicy& policy, const AutoscaleSettings& settings, Duration time_to_ready) {
  const Duration ready =
      time_to_ready > Duration::zero() ? time_to_ready : Duration(std::chrono::seconds(policy.time_to_ready_s));
  return ready + settings.interval;
}

void begin_autoscale(AutoscaleState& state, const AutoscalePolicy& policy, std::int32_t replicas,
                     std::int32_t week_minute, Mono now) {
  state.is_started = true;
  const std::int32_t ceiling = replicas_ceiling(policy);
  state.replicas = std::clamp(replicas, std::min(replicas_floor(policy, week_minute), ceiling), ceiling);
  state.started_at = state.decided_at = state.up_at = state.down_at = state.busy_at = now;
}

AutoscaleDecision autoscale(AutoscaleState& state, const AutoscalePolicy& policy, const AutoscaleSettings& settings,
                            const AutoscaleObservation& seen, Mono now) {
  if (!state.is_started) begin_autoscale(state, policy, seen.ready + seen.pending, seen.week_minute, now);
  const std::int32_t before = state.replicas;
  const double elapsed = std::max(in_seconds(now - state.decided_at), 1e-3);
  state.decided_at = now;
  const Duration lead = autoscale_lead(policy, settings, seen.time_to_ready);
  // A replica that is still loading has not been idle: its first request may wait for it.
  if (is_asked_for(seen) || seen.pending > 0) state.busy_at = now;
  follow(state, seen, elapsed);

  AutoscaleDecision made;
  made.load = offered_load(state, policy, seen);
  const bool is_blind = !seen.is_demand_known && (seen.ready == 0 || seen.slots == 0);
  // A full replica hides what it cannot take: without the gateways' count that is no load to learn from.
  const bool is_hidden = !seen.is_demand_known && slot_use(seen) > kFullShare;
  // The first rates cover parts of their spans: no trend begins with them.
  const bool is_warm = now - state.started_at >= kWarmUp;
  if (is_warm && !is_blind && !is_hidden && state.slots_per_replica > 0)
    state.forecast.observe(made.load, seen.week_minute, lead, now);
  const double target = policy.target_utilisation_percent / 100.0;
  made.forecast = made.load;
  made.needed = made.load / target;
  double needed_later = made.needed;  // as far as a replica that goes now would be missed
  if (settings.use_forecast && !is_blind && is_warm) {
    made.forecast = state.forecast.peak_until(lead);
    // What the target leaves free is there for bursts and for misses of the forecast: they come on top only where they
    // are greater than that.
    const double missed = made.forecast + settings.error_margin * state.forecast.error();
    made.needed = std::max(made.forecast / target, std::max(missed, made.load) / kFullUse);
    needed_later =
        std::max(made.needed, state.forecast.peak_until(std::max<Duration>(lead, settings.down_outlook)) / target);
  }

  const Ask up = least(state, policy, seen, lead, now);
  const std::int32_t floor = up.replicas;
  if (is_blind && before > 0) {
    made.cause = AutoscaleCause::kBlind;
    state.replicas = std::max(before, floor);
  } else {
    decide(state, policy, settings, seen, up, needed_later, now, made);
  }

  const std::int32_t ceiling = replicas_ceiling(policy);
  if (state.replicas > ceiling) {  // the policy was changed
    state.replicas = ceiling;
    made.cause = AutoscaleCause::kLimit;
  }
  const std::int32_t own = replicas_floor(policy, seen.week_minute);
  if (seen.surplus && state.replicas > std::max(*seen.surplus, own)) {
    state.replicas = std::max(*seen.surplus, own);
    made.cause = AutoscaleCause::kReclaim;
  }
  made.replicas = state.replicas;
  made.why = sentence(made, state, policy, seen, lead, before);
  state.last = made;
  return made;
}

}  // namespace tidegate::scheduler
