#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/core/clock.h"
#include "scheduler/core/autoscale_policy.h"

namespace tidegate::scheduler {

/// What a deployment's load will be, a few seconds to an hour ahead. Three guesses, weighed by how wrong each was
/// lately at just that distance: it stays (level), it goes on as it goes (damped trend), and it does what it did at
/// this time of the week, scaled to today's level (season). A guess that is broken, or that has no data, loses its
/// weight by itself. Gaps in what is observed cost accuracy, nothing else: nothing is learned from silence.
///
/// The season is a week of quarter-hours of local time. One that was never seen is taken from the same time of the
/// other days.
class DemandForecast {
 public:
  static constexpr std::int32_t kBinMinutes = 15;
  static constexpr std::size_t kBins = kMinutesPerWeek / kBinMinutes;

  /// Load now, in any unit >= 0. `lead`: how far ahead it is asked; the errors at that distance are what is measured.
  void observe(double load, std::int32_t week_minute, Duration lead, Mono now);

  /// Zero before the first observation. The load `ahead` of the last one.
  double at(Duration ahead) const;
  /// The greatest from now to `ahead`.
  double peak_until(Duration ahead) const;
  /// Standard deviation of what was underestimated at the lead time, lately.
  double error() const;
  bool has_season() const { return season_at(0).has_value; }
  /// Of level, trend, season; sums to one.
  std::array<double, 3> weights() const;

  /// The learned week, for another leader: mean load per quarter-hour, negative where it was never seen.
  std::vector<float> profile() const;
  /// Fails silently on another length: it is only a better start.
  void restore(const std::vector<float>& profile);

 private:
  struct Bin {
    float mean = 0;
    bool is_seen = false;
  };
  struct Season {
    double value = 0;
    bool has_value = false;
  };
  struct Guess {
    Mono due;
    std::array<double, 3> values{};
    double blend = 0;
  };

  void learn(double load, std::int32_t week_minute);
  void judge(Mono now);
  Season bin_value(std::int32_t bin) const;
  Season season_at(std::int32_t minutes_ahead) const;
  std::array<double, 3> guesses(Duration ahead) const;

  std::array<Bin, kBins> bins_{};
  std::int32_t bin_now_ = -1;
  double bin_sum_ = 0;
  std::int32_t bin_count_ = 0;

  bool is_started_ = false;
  Mono last_{};
  std::int32_t week_minute_ = 0;
  double level_ = 0;       ///< memory of a minute
  double slow_level_ = 0;  ///< memory of ten minutes, as the next
  double slow_season_ = 0;
  bool had_season_ = false;
  double slope_ = 0;  ///< per second

  std::deque<Guess> guesses_;
  Mono next_guess_{};
  std::array<double, 3> squared_error_{};
  bool is_judged_ = false;
  double under_squared_ = 0;
};

}  // namespace tidegate::scheduler
