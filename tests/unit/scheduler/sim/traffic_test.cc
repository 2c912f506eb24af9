#include "scheduler/sim/traffic.h"

#include <gtest/gtest.h>

#include "scheduler/core/autoscale_policy.h"

namespace tidegate::scheduler {
namespace {

constexpr const char* kCsv =
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 "
    "18:15:50.9951690,396,109\n";

std::vector<TraceRequest> even(int count) {
  std::vector<TraceRequest> trace;
  for (int i = 0; i < count; ++i) trace.push_back({i * 0.5, 100, 10});
  return trace;
}

TEST(Trace, BothFormatsAreReadAndStartAtZero) {
  const auto csv = parse_trace(kCsv);
  ASSERT_TRUE(csv) << csv.error().to_string();
  EXPECT_EQ(csv->front().at_s, 0);
  EXPECT_NEAR(csv->back().at_s, 4.314579, 1e-5);
  EXPECT_EQ(csv->back().completion_tokens, 109);
  const auto lines = parse_trace(
      "{\"timestamp\": 3000, \"input_length\": 6758, \"output_length\": 500, \"hash_ids\": [0]}\n"
      "{\"timestamp\": 5000, \"input_length\": 1, \"output_length\": 2, \"hash_ids\": []}\n");
  ASSERT_TRUE(lines) << lines.error().to_string();
  EXPECT_EQ(lines->front().prompt_tokens, 6758);
  EXPECT_EQ(lines->back().at_s, 2);
}

TEST(Trace, ABadLineIsNamed) {
  const std::string text = std::string(kCsv) + "2023-11-16 18:15:51,x,1\n";
  EXPECT_EQ(parse_trace(text).error().field, "trace:4");
  EXPECT_FALSE(parse_trace(""));
  EXPECT_FALSE(parse_trace("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,1\n"));
}

TEST(DayShape, IsGreatestAtMiddayOfWeekdaysAndNeverZero) {
  double most = 0;
  for (std::int32_t minute = 0; minute < kMinutesPerWeek; ++minute) {
    EXPECT_GT(day_shape(minute), 0.1);
    EXPECT_LE(day_shape(minute), 1);
    most = std::max(most, day_shape(minute));
  }
  EXPECT_EQ(most, 1);
  EXPECT_LT(day_shape(4 * 60), 0.3);
  EXPECT_LT(day_shape(5 * kMinutesPerDay + 15 * 60), 0.75) << "Saturday";
}

TEST(Traffic, ComesAtTheRateOfTheHourWithItsNoise) {
  const auto trace = even(1'000);
  Traffic traffic(trace, {.peak_per_s = 20, .noise = 0.05}, 0, 3);
  int at_night = 0, at_noon = 0;
  while (traffic.peek().at_s < 16 * 3'600) {
    const double at = traffic.take().at_s;
    at_night += at >= 3 * 3'600 && at < 4 * 3'600 ? 1 : 0;
    at_noon += at >= 15 * 3'600 ? 1 : 0;
  }
  EXPECT_NEAR(at_night, 20 * 0.25 * 3'600, 0.05 * 20 * 0.25 * 3'600);
  EXPECT_NEAR(at_noon, 20 * 0.995 * 3'600, 0.05 * 20 * 3'600);
}

TEST(Traffic, AStepMultipliesTheRateFromItsInstant) {
  const auto trace = even(1'000);
  Traffic traffic(trace, {.peak_per_s = 10, .noise = 0, .is_flat = true, .step_at_s = 100, .step_factor = 3}, 0, 3);
  int before = 0, after = 0;
  while (traffic.peek().at_s < 200) (traffic.take().at_s < 100 ? before : after) += 1;
  EXPECT_NEAR(before, 1'000, 20);
  EXPECT_NEAR(after, 3'000, 60);
}

TEST(LoadLatency, DrawsHaveTheQuantilesOfTheTrace) {
  Rng rng(1);
  const LoadLatency latency;
  std::vector<double> drawn;
  for (int i = 0; i < 20'000; ++i) drawn.push_back(latency.draw(rng));
  std::sort(drawn.begin(), drawn.end());
  EXPECT_NEAR(drawn[10'000], 22.7, 1);
  EXPECT_NEAR(drawn[18'000], 42.0, 1);
}

TEST(LoadLatency, AFileOfItsOwnIsReadAndABadLineNamed) {
  const auto two = LoadLatency::parse("timestamp_anon,value,container_ip\n1.0,2000.0,a\n2.0,4000.0,b\n");
  ASSERT_TRUE(two) << two.error().to_string();
  Rng rng(1);
  for (int i = 0; i < 100; ++i) EXPECT_NEAR(two->draw(rng), 3, 1);
  EXPECT_FALSE(LoadLatency::parse("value\nx\n"));
  EXPECT_FALSE(LoadLatency::parse("value\n-1\n"));
}

}  // namespace
}  // namespace tidegate::scheduler
