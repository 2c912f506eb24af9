#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/core/result.h"

namespace tidegate::scheduler {

/// At least so many replicas while a local window is open. A window whose end is not after its start goes on past
/// midnight, and belongs to the weekday on which it starts.
struct AutoscaleWindow {
  std::uint8_t weekdays = 0x7f;   ///< bit 0 = Monday
  std::int32_t start_minute = 0;  ///< of the local day, 0..1439
  std::int32_t end_minute = 0;    ///< not of the window any more, 1..1440
  std::int32_t replicas_min = 1;

  bool operator==(const AutoscaleWindow&) const = default;
};

/// How many replicas a deployment may have, and what is asked of them. Off: it has `replicas` of them, always.
struct AutoscalePolicy {
  bool is_on = false;
  std::int32_t replicas_min = 1;  ///< 0: nobody is kept for a model that nobody asks for
  std::int32_t replicas_max = 1;
  std::int32_t target_utilisation_percent = 75;  ///< of the scarcest: sequence slots, KV memory, prompt rate
  std::int32_t queue_wait_ms = 1'000;            ///< a longer wait asks for one more at once, whatever is forecast
  std::int32_t down_after_s = 300;               ///< what was needed within this time is kept
  std::int32_t idle_s = 900;                     ///< without a request for so long: down to none, if replicas_min is 0
  std::int32_t time_to_ready_s = 60;             ///< from order to service; believed until it was measured
  std::int64_t prompt_tokens_per_s = 0;          ///< that one replica can read; 0 = not known
  std::int64_t price_micros_per_hour = 0;        ///< of one replica, in millionths of the price book's currency
  std::int64_t budget_micros_per_hour = 0;       ///< of the deployment; 0 = no cap beside replicas_max
  /// Batch work: takes only what the other deployments of its region and pool do not need now nor, as forecast, until
  /// their replicas would be ready again; gives it back at once.
  bool batch_surplus = false;
  std::string zone = "UTC";  ///< IANA; of the windows, and of the days that are learned
  std::vector<AutoscaleWindow> windows;

  bool operator==(const AutoscalePolicy&) const = default;
};

inline constexpr std::size_t kAutoscaleWindowsMax = 16;
inline constexpr std::int32_t kMinutesPerDay = 24 * 60;
inline constexpr std::int32_t kMinutesPerWeek = 7 * kMinutesPerDay;

/// Everything but the zone's existence, which needs the zone database.
/// Fails: invalid_argument/out_of_range naming the field ("autoscale.replicas_max"), its limits and the value.
Status check_autoscale(const AutoscalePolicy& policy, std::int32_t replicas_limit);

/// The windows' floor at a minute of the local week (Monday 00:00 = 0); replicas_min where none is open.
std::int32_t replicas_floor(const AutoscalePolicy& policy, std::int32_t week_minute);
/// The greatest floor from that minute to `minutes` later.
std::int32_t replicas_floor_until(const AutoscalePolicy& policy, std::int32_t week_minute, std::int32_t minutes);
/// replicas_max, or what the budget pays for if that is less.
std::int32_t replicas_ceiling(const AutoscalePolicy& policy);

/// "mon-fri 08:30-20:00 min=6", "sat,sun 22:00-06:00 min=2", "10:00-11:00 min=3" (every day).
/// Fails: invalid_argument/bad_window.
Result<AutoscaleWindow> parse_autoscale_window(std::string_view text);

}  // namespace tidegate::scheduler
