#include "scheduler/core/demand_forecast.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

namespace tidegate::scheduler {
namespace {

using namespace std::chrono_literals;

/// A day's wave between 2 and 10, at its top at noon.
double wave(double minute) { return 6 - 4 * std::cos(2 * std::numbers::pi * minute / kMinutesPerDay); }

class DemandForecastTest : public ::testing::Test {
 protected:
  /// Every 30 s until that minute.
  template <typename Load>
  void play(int until_minute, Load load) {
    for (; minute < until_minute; minute += 0.5) {
      const auto at = static_cast<std::int32_t>(minute) % kMinutesPerWeek;
      forecast.observe(load(minute), at, 30min, Mono(1h + std::chrono::seconds(static_cast<int>(minute * 60))));
    }
  }
  DemandForecast forecast;
  double minute = 0;
};

TEST_F(DemandForecastTest, NothingSeenForecastsNothing) {
  EXPECT_EQ(forecast.at(1h), 0);
  EXPECT_FALSE(forecast.has_season());
}

TEST_F(DemandForecastTest, ASteadyLoadStays) {
  play(60, [](double) { return 5.0; });
  EXPECT_NEAR(forecast.at(30min), 5, 1e-6);
  EXPECT_NEAR(forecast.error(), 0, 1e-6);
}

TEST_F(DemandForecastTest, ADaySeenOnceIsKnownTheNextMorning) {
  play(kMinutesPerDay + 8 * 60, wave);
  EXPECT_NEAR(forecast.at(30min), wave(8.5 * 60), 0.25);
  EXPECT_GT(forecast.at(30min), wave(8 * 60) + 0.3) << "it would only know what is";
  EXPECT_GT(forecast.weights()[2], 0.8);
}

TEST_F(DemandForecastTest, ADayHalfAsBusyScalesWhatWasLearned) {
  play(kMinutesPerDay, wave);
  play(kMinutesPerDay + 9 * 60, [](double at) { return wave(at) / 2; });
  EXPECT_NEAR(forecast.at(30min), wave(9.5 * 60) / 2, 0.3);
}

TEST_F(DemandForecastTest, AGapOfHoursLearnsNothingAndBreaksNothing) {
  play(kMinutesPerDay + 8 * 60, wave);
  const auto learned = forecast.profile();
  minute += 4 * 60;  // silence until noon
  play(static_cast<int>(minute) + 5, wave);
  EXPECT_NEAR(forecast.at(30min), wave(12.5 * 60), 0.5);
  const std::size_t ten = kMinutesPerDay / DemandForecast::kBinMinutes + 10 * 4;
  EXPECT_EQ(forecast.profile()[ten], learned[ten]);
}

TEST_F(DemandForecastTest, AWeekThatMisleadsLosesItsWeight) {
  play(kMinutesPerDay, wave);
  play(kMinutesPerDay + 6 * 60, [](double) { return 9.0; });  // the wave says 2 to 6
  EXPECT_LT(forecast.weights()[2], 0.2);
  EXPECT_NEAR(forecast.at(30min), 9, 0.5);
}

TEST_F(DemandForecastTest, WeightsAlwaysSumToOne) {
  play(kMinutesPerDay * 2, [](double at) { return at < 100 ? 0.0 : wave(at); });
  const auto weights = forecast.weights();
  EXPECT_NEAR(std::accumulate(weights.begin(), weights.end(), 0.0), 1, 1e-9);
}

TEST_F(DemandForecastTest, TheProfileGoesToAnotherLeader) {
  play(kMinutesPerDay + 15, wave);
  DemandForecast next;
  next.restore(forecast.profile());
  next.observe(wave(8 * 60), 8 * 60, 30min, Mono(5h));
  EXPECT_NEAR(next.at(30min), wave(8.5 * 60), 0.4);
}

TEST_F(DemandForecastTest, AProfileThatMakesNoSenseIsNotBelieved) {
  forecast.restore({1, 2, 3});
  EXPECT_FALSE(forecast.has_season());
  forecast.restore(std::vector<float>(DemandForecast::kBins, std::numeric_limits<float>::quiet_NaN()));
  EXPECT_FALSE(forecast.has_season());
}

}  // namespace
}  // namespace tidegate::scheduler
