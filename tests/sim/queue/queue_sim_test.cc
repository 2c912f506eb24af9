#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/core/check.h"
#include "tests/sim/queue/queue_world.h"

namespace tidegate::gateway::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Stream = QueueWorld::Stream;
using Request = QueueWorld::Request;

constexpr std::uint64_t kSeeds = 200;

double percentile(std::vector<double> values, double part) {
  TG_CHECK(!values.empty());
  std::ranges::sort(values);
  return values[std::min(values.size() - 1, static_cast<std::size_t>(part * static_cast<double>(values.size())))];
}

/// Requests a second that this many slots can serve.
double capacity(std::size_t slots) { return static_cast<double>(slots) / QueueWorld::kServiceSeconds; }

/// Times to the first token of what came in the window and was taken at once; how many were refused.
std::size_t add_ttft(const QueueWorld& world, std::uint64_t not_tenant, Duration from, Duration until,
                     std::vector<double>& out) {
  std::size_t refused = 0;
  for (const Request& request : world.requests()) {
    if (world.stream_of(request).tenant == not_tenant || request.came < from || request.came >= until) continue;
    if (request.told) {
      ++refused;
    } else {
      out.push_back(in_seconds(*request.first_token - request.came));
    }
  }
  return refused;
}

TEST(QueueSim, ATenantAtAHundredTimesItsShareMovesTheOthersByATenthAtMost) {
  constexpr std::size_t kSlots = 64;
  constexpr std::uint64_t kCrowd = 10;
  const double share = capacity(kSlots) / 10;
  std::vector<double> without, with;
  std::size_t refused = 0;
  std::size_t crowd_offered = 0;
  std::size_t crowd_served = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    for (const bool is_crowded : {false, true}) {
      QueueWorld world(seed, kSlots);
      for (std::uint64_t tenant = 1; tenant <= 9; ++tenant) {
        world.add(Stream{.tenant = tenant, .per_second = share / 2, .surge_per_second = 0});
      }
      if (is_crowded) world.add(Stream{.tenant = kCrowd, .per_second = 100 * share, .surge_per_second = 0});
      world.run(seconds(20));
      // Answers that the crowd began while the workers were idle last some seconds: it is not cut for others.
      refused += add_ttft(world, kCrowd, seconds(10), seconds(20), is_crowded ? with : without);
      ASSERT_LE(world.gap_over_bound_most(), 1) << "seed " << seed;
      for (const Request& request : world.requests()) {
        if (world.stream_of(request).tenant != kCrowd) continue;
        ++crowd_offered;
        crowd_served += request.first_token ? 1 : 0;
      }
    }
  }
  ASSERT_EQ(without.size(), with.size() + refused) << "the others' requests are the same in both runs";
  ASSERT_GT(without.size(), 5'000U);
  EXPECT_LE(refused, without.size() / 1'000);
  EXPECT_LE(percentile(with, 0.99), 1.10 * percentile(without, 0.99));
  EXPECT_LE(percentile(with, 0.50), 1.10 * percentile(without, 0.50));
  // It gets what the others leave, and not more: ten shares less the four and a half that they use, of a hundred.
  const double served = static_cast<double>(crowd_served) / static_cast<double>(crowd_offered);
  EXPECT_GT(served, 0.03) << "idle shares are used";
  EXPECT_LT(served, 0.20);
}

TEST(QueueSim, TheGapIsWithinItsBoundWhateverComes) {
  double most = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Rng rng(seed);
    const std::size_t slots = 1 + rng.below(80);
    const std::uint64_t tenants = 2 + rng.below(12);
    const double load = 0.5 + 6 * rng.unit();
    QueueWorld world(seed, slots);
    for (std::uint64_t tenant = 1; tenant <= tenants; ++tenant) {
      const double rate = load * capacity(slots) / static_cast<double>(tenants);
      world.add(Stream{.tenant = tenant,
                       .weight = 1 + static_cast<std::int64_t>(rng.below(8)),
                       .tier = static_cast<ServiceTier>(rng.below(kServiceTiers)),
                       .per_second = rate,
                       .surge_per_second = rate * (1 + 9 * rng.unit()),
                       .keeps_time = rng.below(2) == 0,
                       .from = milliseconds(rng.below(4'000))});
    }
    world.surge(seconds(3), seconds(5));
    world.run(seconds(8));
    ASSERT_LE(world.gap_over_bound_most(), 1) << "seed " << seed;
    ASSERT_EQ(world.queue().size(), 0U) << "seed " << seed << ": somebody waits for ever";
    most = std::max(most, world.gap_most());
  }
  EXPECT_GT(most, 0) << "somebody waited";
}

/// 20 tenants at 70 % of what the workers can, and from the 8th to the 20th second at a multiple of it.
class OverloadSimTest : public testing::Test {
 protected:
  static constexpr std::size_t kSlots = 128;
  static constexpr double kUsual = 0.7;
  static constexpr Duration kFrom = seconds(8);
  static constexpr Duration kUntil = seconds(20);

  static void run(QueueWorld& world, double load, Duration until) {
    constexpr std::uint64_t kTenants = 20;
    for (std::uint64_t tenant = 1; tenant <= kTenants; ++tenant) {
      const double each = capacity(kSlots) / static_cast<double>(kTenants);
      world.add(Stream{.tenant = tenant, .per_second = kUsual * each, .surge_per_second = load * each});
    }
    world.surge(kFrom, kUntil);
    world.run(until);
  }
};

TEST_F(OverloadSimTest, AtTenTimesTheLoadGoodputIsNineTenthsOfPeak) {
  double at_ten = 0;
  std::vector<double> peaks(3);
  constexpr double kLoads[] = {1.0, 1.2, 1.5};
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    QueueWorld flood(seed, kSlots);
    run(flood, 10, seconds(21));
    at_ten += flood.goodput(seconds(13), kUntil);
    for (std::size_t i = 0; i < peaks.size(); ++i) {
      QueueWorld world(seed, kSlots);
      run(world, kLoads[i], seconds(21));
      peaks[i] += world.goodput(seconds(13), kUntil);
    }
  }
  EXPECT_GE(at_ten, 0.9 * std::ranges::max(peaks));
}

TEST_F(OverloadSimTest, WhoWaitedRetryAfterIsTakenAtTheNextTry) {
  std::size_t tried = 0;
  std::size_t taken = 0;
  std::size_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    QueueWorld world(seed, kSlots);
    run(world, 10, seconds(70));
    for (const Request& request : world.requests()) {
      refused += request.told ? 1 : 0;
      if (!request.second_at) continue;
      ++tried;
      taken += request.second_admitted ? 1 : 0;
      EXPECT_GE(*request.second_at - request.came, *request.told);
    }
  }
  ASSERT_GT(tried, 500U);
  ASSERT_GT(refused, tried) << "most are told the truth: not within a minute";
  EXPECT_GE(static_cast<double>(taken), 0.95 * static_cast<double>(tried));
}

/// Those who were told to come back do so in this time, so the slowest hundredth still waits longer than usual.
TEST_F(OverloadSimTest, TenSecondsAfterItsEndHalfNoticesNothingAndTheSlowestLittle) {
  std::vector<double> after, never;
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    QueueWorld world(seed, kSlots);
    run(world, 10, seconds(60));
    EXPECT_EQ(add_ttft(world, 0, kUntil + seconds(10), seconds(60), after), 0U) << "seed " << seed;
    QueueWorld calm(seed, kSlots);
    run(calm, kUsual, seconds(60));
    add_ttft(calm, 0, kUntil + seconds(10), seconds(60), never);
  }
  EXPECT_LE(percentile(after, 0.99), 1.60 * percentile(never, 0.99));
  EXPECT_LE(percentile(after, 0.50), 1.15 * percentile(never, 0.50));
}

TEST_F(OverloadSimTest, NobodyWhoIsTakenWaitsLong) {
  double longest = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    QueueWorld world(seed, kSlots);
    run(world, 10, seconds(30));
    for (const Request& request : world.requests()) {
      if (request.admitted) longest = std::max(longest, in_seconds(*request.first_token - *request.admitted));
    }
  }
  // What a burst may queue before it is known to be none: kStandsAfter of ten times the load, and the prompt.
  EXPECT_LE(longest, 22);
}

TEST(QueueSim, TiersShareAsTheyWeighAndNoneStarves) {
  constexpr std::size_t kSlots = 64;
  constexpr Duration kFrom = seconds(30);  // by then what was queued before the overload was known has been served
  double work[kServiceTiers] = {};
  std::size_t refused[kServiceTiers] = {};
  std::size_t offered[kServiceTiers] = {};
  std::vector<double> waits[kServiceTiers];
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    QueueWorld world(seed, kSlots);
    // Default and flex each offer three times what the workers can; priority a third of it.
    for (const ServiceTier tier : {ServiceTier::kFlex, ServiceTier::kDefault, ServiceTier::kPriority}) {
      const double load = tier == ServiceTier::kPriority ? 0.3 : 3;
      for (std::uint64_t tenant = 1; tenant <= 3; ++tenant) {
        const double rate = load * capacity(kSlots) / 3;
        const std::uint64_t who = tenant + 10 * tier_index(tier);
        world.add(Stream{.tenant = who, .tier = tier, .per_second = rate, .surge_per_second = 0});
      }
    }
    world.run(seconds(60));
    for (const ServiceTier tier : {ServiceTier::kFlex, ServiceTier::kDefault, ServiceTier::kPriority}) {
      work[tier_index(tier)] += world.work_of(tier, kFrom, seconds(60));
    }
    for (const Request& request : world.requests()) {
      if (request.came < kFrom) continue;
      const std::size_t tier = tier_index(world.stream_of(request).tier);
      ++offered[tier];
      refused[tier] += request.told ? 1 : 0;
      if (request.admitted) waits[tier].push_back(in_seconds(*request.first_token - *request.admitted));
    }
  }
  const double all = work[0] + work[1] + work[2];
  EXPECT_GT(work[0], 0.05 * all) << "flex has its 1/21 at least";
  EXPECT_GT(work[1], 2 * work[0]) << "default is worth four flex";
  EXPECT_NEAR(work[2] / all, 0.3, 0.05) << "priority gets all that it asks for";
  const auto part = [&](std::size_t tier) {
    return static_cast<double>(refused[tier]) / static_cast<double>(offered[tier]);
  };
  EXPECT_LT(part(2), 0.01) << "priority last";
  EXPECT_GT(part(0), part(1)) << "flex first";
  EXPECT_LT(percentile(waits[2], 0.99), percentile(waits[1], 0.5));
}

}  // namespace
}  // namespace tidegate::gateway::test
