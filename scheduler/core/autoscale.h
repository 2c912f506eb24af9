#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "scheduler/core/autoscale_policy.h"
#include "scheduler/core/demand_forecast.h"

namespace tidegate::scheduler {

/// What is seen of one deployment at one moment. Rates are means since the decision before.
struct AutoscaleObservation {
  std::int32_t ready = 0;    ///< replicas that serve
  std::int32_t pending = 0;  ///< ordered or loading: capacity that is on its way
  /// A gateway has reported lately. Without it the next six are void.
  bool is_demand_known = false;
  double arrivals_per_s = 0;
  double dispatches_per_s = 0;  ///< requests that left a queue for a worker
  double prompt_tokens_per_s = 0;
  double refusals_per_s = 0;  ///< for want of a worker
  std::int64_t waiting = 0;   ///< requests in queues
  Duration oldest_wait{};
  // Sums over the replicas that serve, as their workers said.
  std::int64_t running = 0;
  std::int64_t slots = 0;
  std::int64_t kv_tokens_used = 0;
  std::int64_t kv_tokens_capacity = 0;
  /// Of the policy's zone; Monday 00:00 = 0.
  std::int32_t week_minute = 0;
  /// From order to service, as measured here; zero: not yet.
  Duration time_to_ready{};
  /// Only for batch work: what the others of the pool leave.
  std::optional<std::int32_t> surplus = std::nullopt;
};

enum class AutoscaleCause : std::uint8_t {
  kHold,      ///< nothing asks for a change
  kForecast,  ///< more will be needed when a replica ordered now is ready
  kLoad,      ///< more is needed already
  kQueue,     ///< requests wait too long, or are refused
  kWindow,    ///< a window of the policy asks for it
  kWake,      ///< none runs and a request waits
  kDown,      ///< fewer were enough for all of down_after_s
  kSleep,     ///< nobody asked for idle_s
  kReclaim,   ///< batch work gives back what others need
  kLimit,     ///< more would be needed than replicas_max or the budget allows
  kBlind,     ///< neither gateways nor workers say anything: it stays
};
/// "hold", "forecast", ...
std::string_view autoscale_cause_name(AutoscaleCause cause);

struct AutoscaleDecision {
  std::int32_t replicas = 0;
  AutoscaleCause cause = AutoscaleCause::kHold;
  std::string why;      ///< one sentence with the figures
  double load = 0;      ///< offered now, in replicas at full use
  double forecast = 0;  ///< the same, at its greatest until a replica ordered now is ready
  double needed = 0;    ///< replicas, before rounding and damping
};

/// What every deployment shares.
struct AutoscaleSettings {
  Duration interval = std::chrono::seconds(5);
  bool use_forecast = true;    ///< false: the reactive floor alone, for comparison
  double error_margin = 2.0;   ///< standard deviations of the forecast's misses that must still find room
  double up_factor_max = 2.0;  ///< of the replicas that serve, in one go
  double dead_band = 0.05;     ///< fewer must be enough by this share before one goes
  Duration down_outlook = std::chrono::minutes(20);  ///< one that will be needed again so soon does not go
  Duration down_pause = std::chrono::seconds(60);    ///< between two steps down, each at most half
  /// A step up that takes back a step down says that it went too low. It stays up for this long, which alone allows no
  /// more than two reversals within such a span.
  Duration regret_hold = std::chrono::hours(1);
  Duration settle = std::chrono::seconds(15);         ///< between two steps up that a queue asks for
  Duration drain_backlog = std::chrono::seconds(60);  ///< in which a queue should be gone
};

/// The memory of one deployment's scaling. Plain data; a new leader starts with the replicas that run.
struct AutoscaleState {
  bool is_started = false;
  std::int32_t replicas = 0;
  DemandForecast forecast;
  AutoscaleDecision last;

  Mono started_at{};
  Mono decided_at{};
  Mono up_at{};
  Mono down_at{};
  Mono held_until{};        ///< no step down before
  Mono busy_at{};           ///< a request, or a replica that was not ready yet
  bool has_demand = false;  ///< the next five began with a measured value
  bool has_supply = false;
  double arrivals = 0;  ///< smoothed, as the next four
  double running = 0;
  double dispatches = 0;
  double served = 0;  ///< running over the dispatches' memory: with them, seconds in a slot
  double prompt_tokens = 0;
  double slots_per_replica = 0;
  std::deque<std::pair<Mono, std::int32_t>> needs;  ///< falling: the greatest within down_after_s stands first
};

/// One step of the law: how many replicas there should be now.
///
///   offered  = arrivals x seconds in a slot / slots of a replica   (Little; exact also while requests queue)
///   load     = the scarcest of slots, KV memory and prompt rate, in replicas
///   needed   = greatest of: forecast until ready / target; forecast + misses, and load now, / 97 %
///
/// Up at once, at most doubling what serves, where replicas on their way count as there. Down to the most that was
/// needed within down_after_s, at least a tenth less, at most half a step. The reactive floor (wait, refusals, full
/// replicas) asks for more when nothing is on its way already. The state belongs to one caller: nobody else writes
/// `replicas`.
AutoscaleDecision autoscale(AutoscaleState& state, const AutoscalePolicy& policy, const AutoscaleSettings& settings,
                            const AutoscaleObservation& seen, Mono now);

/// Begins with this many, clamped to the policy. Decisions go on from there.
void begin_autoscale(AutoscaleState& state, const AutoscalePolicy& policy, std::int32_t replicas,
                     std::int32_t week_minute, Mono now);

/// How far ahead is looked: until a replica ordered now serves.
Duration autoscale_lead(const AutoscalePolicy& policy, const AutoscaleSettings& settings, Duration time_to_ready);

}  // namespace tidegate::scheduler
