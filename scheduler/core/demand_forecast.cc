#include "scheduler/core/demand_forecast.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tidegate::scheduler {

namespace {

constexpr double kLevelMemory = 60;
constexpr double kSlowMemory = 600;
constexpr double kSlopeMemory = 600;
constexpr double kErrorMemory = 3'600;
/// A trend is believed for this long; further ahead it bends flat.
constexpr double kTrendHorizon = 600;
constexpr double kWeekMemory = 0.4;  ///< share of the newest week in a quarter-hour's mean
constexpr double kScaleLeast = 0.4;  ///< today against the week before
constexpr double kScaleMost = 2.5;
constexpr auto kGuessEvery = std::chrono::seconds(30);
constexpr std::size_t kGuessesMax = 128;
/// After a longer silence level and trend start over.
constexpr auto kGap = std::chrono::minutes(5);

enum Expert : std::size_t { kLevel, kTrend, kSeason };

double share(double elapsed, double memory) { return 1 - std::exp(-elapsed / memory); }

}  // namespace

void DemandForecast::observe(double load, std::int32_t week_minute, Duration lead, Mono now) {
  week_minute_ = week_minute;
  const bool is_gap = !is_started_ || now - last_ > kGap;
  const double elapsed = is_gap ? 0 : in_seconds(now - last_);
  if (!is_gap && elapsed <= 0) return;
  last_ = now;
  learn(load, week_minute);
  const Season season = season_at(0);
  if (is_gap) {
    is_started_ = true;
    level_ = slow_level_ = load;
    slow_season_ = season.value;
    slope_ = 0;
    guesses_.clear();
    next_guess_ = now;
  } else {
    const double before = slow_level_;
    level_ += share(elapsed, kLevelMemory) * (load - level_);
    slow_level_ += share(elapsed, kSlowMemory) * (load - slow_level_);
    // A season that begins is compared with today from its beginning.
    if (season.has_value && !had_season_) slow_season_ = season.value;
    slow_season_ += share(elapsed, kSlowMemory) * (season.value - slow_season_);
    slope_ += share(elapsed, kSlopeMemory) * ((slow_level_ - before) / elapsed - slope_);
  }
  had_season_ = season.has_value;
  judge(now);
  if (now < next_guess_) return;
  next_guess_ = now + kGuessEvery;
  Guess guess;
  guess.due = now + lead;
  guess.values = guesses(lead);
  guess.blend = at(lead);
  if (guesses_.size() >= kGuessesMax) guesses_.pop_front();
  guesses_.push_back(guess);
}

/// The quarter-hour that ended is learned when the next begins: half a quarter-hour says nothing about it.
void DemandForecast::learn(double load, std::int32_t week_minute) {
  const std::int32_t bin = week_minute / kBinMinutes;
  if (bin != bin_now_) {
    if (bin_now_ >= 0 && bin_count_ > 0) {
      Bin& old = bins_[static_cast<std::size_t>(bin_now_)];
      const double mean = bin_sum_ / bin_count_;
      old.mean = static_cast<float>(old.is_seen ? old.mean + kWeekMemory * (mean - old.mean) : mean);
      old.is_seen = true;
    }
    bin_now_ = bin;
    bin_sum_ = 0;
    bin_count_ = 0;
  }
  bin_sum_ += load;
  ++bin_count_;
}

void DemandForecast::judge(Mono now) {
  while (!guesses_.empty() && guesses_.front().due <= now) {
    const Guess guess = guesses_.front();
    guesses_.pop_front();
    const double memory = share(in_seconds(kGuessEvery), kErrorMemory);
    for (std::size_t i = 0; i < guess.values.size(); ++i) {
      const double missed = guess.values[i] - level_;
      squared_error_[i] =
          is_judged_ ? squared_error_[i] + memory * (missed * missed - squared_error_[i]) : missed * missed;
    }
    const double under = std::max(0.0, level_ - guess.blend);
    under_squared_ += memory * (under * under - under_squared_);
    is_judged_ = true;
  }
}

DemandForecast::Season DemandForecast::bin_value(std::int32_t bin) const {
  const Bin& own = bins_[static_cast<std::size_t>(bin)];
  if (own.is_seen) return {own.mean, true};
  constexpr std::int32_t kDayBins = kMinutesPerDay / kBinMinutes;
  double sum = 0;
  int days = 0;
  for (std::int32_t day = 0; day < 7; ++day) {
    const Bin& other = bins_[static_cast<std::size_t>(day * kDayBins + bin % kDayBins)];
    if (!other.is_seen) continue;
    sum += other.mean;
    ++days;
  }
  if (days == 0) return {};
  return {sum / days, true};
}

/// Between the middles of quarter-hours it goes straight.
DemandForecast::Season DemandForecast::season_at(std::int32_t minutes_ahead) const {
  const double minute = week_minute_ + minutes_ahead - kBinMinutes / 2.0 + kMinutesPerWeek;
  const double whole = std::floor(minute / kBinMinutes);
  const double part = minute / kBinMinutes - whole;
  const auto bins = static_cast<std::int32_t>(kBins);
  const auto first = static_cast<std::int32_t>(whole) % bins;
  const Season left = bin_value(first);
  const Season right = bin_value((first + 1) % bins);
  if (!left.has_value) return right;
  if (!right.has_value) return left;
  return {left.value * (1 - part) + right.value * part, true};
}

std::array<double, 3> DemandForecast::guesses(Duration ahead) const {
  const double far = in_seconds(ahead);
  std::array<double, 3> out{};
  out[kLevel] = level_;
  const double bent = kTrendHorizon * (1 - std::exp(-far / kTrendHorizon));
  // The slow level lags behind a slope by its memory; the fast one starts where the load is.
  out[kTrend] = std::max(0.0, level_ + slope_ * bent);
  const Season then = season_at(static_cast<std::int32_t>(std::lround(far / 60)));
  if (then.has_value && slow_season_ > 0) {
    out[kSeason] = then.value * std::clamp(slow_level_ / slow_season_, kScaleLeast, kScaleMost);
  } else {
    out[kSeason] = then.has_value ? then.value : level_;
  }
  return out;
}

std::array<double, 3> DemandForecast::weights() const {
  // Unjudged, the season is preferred where there is one: it is what a restored week is for.
  if (!is_judged_) return has_season() ? std::array<double, 3>{0.1, 0.1, 0.8} : std::array<double, 3>{0.5, 0.5, 0};
  std::array<double, 3> weights{};
  double sum = 0;
  const double noise = 1e-4 + 1e-4 * level_ * level_;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    // The fourth power of the error: the best one speaks nearly alone.
    const double inverse = 1 / (squared_error_[i] + noise);
    weights[i] = i == kSeason && !has_season() ? 0 : inverse * inverse;
    sum += weights[i];
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

double DemandForecast::at(Duration ahead) const {
  if (!is_started_) return 0;
  const auto values = guesses(ahead);
  const auto shares = weights();
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) sum += values[i] * shares[i];
  return sum;
}

double DemandForecast::peak_until(Duration ahead) const {
  double peak = at(Duration::zero());
  for (Duration step = std::min<Duration>(std::chrono::minutes(1), ahead); step < ahead;
       step += std::chrono::minutes(1)) {
    peak = std::max(peak, at(step));
  }
  return std::max(peak, at(ahead));
}

double DemandForecast::error() const { return std::sqrt(under_squared_); }

std::vector<float> DemandForecast::profile() const {
  std::vector<float> out;
  out.reserve(kBins);
  for (const Bin& bin : bins_) out.push_back(bin.is_seen ? bin.mean : -1);
  return out;
}

void DemandForecast::restore(const std::vector<float>& profile) {
  if (profile.size() != kBins) return;
  for (std::size_t i = 0; i < kBins; ++i) {
    const bool is_good = std::isfinite(profile[i]) && profile[i] >= 0;
    bins_[i] = {is_good ? profile[i] : 0, is_good};
  }
}

}  // namespace tidegate::scheduler
