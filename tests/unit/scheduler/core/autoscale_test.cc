#include "scheduler/core/autoscale.h"

#include <gtest/gtest.h>

#include "base/core/random.h"

namespace tidegate::scheduler {
namespace {

using namespace std::chrono_literals;

/// A deployment whose replicas have ten slots and whose requests take ten seconds: one replica serves one a second.
class AutoscaleTest : public ::testing::Test {
 protected:
  AutoscaleTest() {
    policy.is_on = true;
    policy.replicas_min = 1;
    policy.replicas_max = 40;
    policy.target_utilisation_percent = 80;
    policy.time_to_ready_s = 60;
  }
  void begin(std::int32_t replicas) {
    state = AutoscaleState{};
    ready = replicas;
    begin_autoscale(state, policy, replicas, 0, now);
  }
  /// One interval with so many arrivals a second, all served at once if they find a slot.
  AutoscaleDecision step(double arrivals) {
    now += 5s;
    AutoscaleObservation seen;
    seen.ready = ready;
    seen.pending = std::max(0, state.replicas - ready);
    seen.is_demand_known = has_gateways;
    const double busy = std::min(arrivals * 10, ready * 10.0);
    seen.arrivals_per_s = arrivals;
    seen.dispatches_per_s = busy / 10;
    backlog = has_gateways ? std::max(0.0, backlog + (arrivals - busy / 10) * 5) : 0;
    seen.waiting = static_cast<std::int64_t>(backlog);
    seen.oldest_wait = seen.waiting > 0 ? Duration(3s) : Duration(0s);
    seen.running = static_cast<std::int64_t>(busy);
    seen.slots = ready * 10;
    seen.surplus = surplus;
    last = autoscale(state, policy, settings, seen, now);
    return last;
  }
  void steps(int count, double arrivals, bool become_ready = true) {
    for (int i = 0; i < count; ++i) {
      step(arrivals);
      if (become_ready) ready = std::min(state.replicas, ready + 1);
      if (state.replicas < ready) ready = state.replicas;
    }
  }

  AutoscalePolicy policy;
  AutoscaleSettings settings;
  AutoscaleState state;
  AutoscaleDecision last;
  Mono now{1h};
  std::int32_t ready = 0;
  double backlog = 0;
  bool has_gateways = true;
  std::optional<std::int32_t> surplus;
};

TEST_F(AutoscaleTest, ASteadyLoadGetsWhatItNeedsAtItsTargetAndNothingMoves) {
  begin(5);
  steps(100, 4.0);  // 4 replicas' worth, at 80 %
  EXPECT_EQ(state.replicas, 5);
  EXPECT_EQ(last.cause, AutoscaleCause::kHold);
  EXPECT_NEAR(last.needed, 5, 0.2);
}

TEST_F(AutoscaleTest, WhileReplicasLoadTheyAreCountedAndNoMoreAreOrderedThanTheLoadNeeds) {
  begin(4);
  steps(60, 3.0);
  ASSERT_EQ(state.replicas, 4);
  std::int32_t most = 0;
  for (int i = 0; i < 60; ++i) {  // five minutes in which nothing becomes ready and the queue grows and grows
    step(6.0);
    most = std::max(most, state.replicas);
  }
  EXPECT_GE(most, 7);
  EXPECT_LE(most, 8) << "6 at 80 % are 7.5";
}

TEST_F(AutoscaleTest, OneGoAtMostDoublesWhatServes) {
  begin(2);
  steps(60, 1.5);
  std::int32_t before = state.replicas;
  for (int i = 0; i < 40; ++i) {
    step(30);
    EXPECT_LE(state.replicas, 2 * ready);
    before = std::max(before, state.replicas);
  }
  EXPECT_EQ(before, 4);
}

TEST_F(AutoscaleTest, FewerMustHaveBeenEnoughForAllOfItsMemory) {
  begin(10);
  steps(100, 8.0);
  ASSERT_EQ(state.replicas, 10);
  const Mono fell = now;
  while (state.replicas == 10) steps(1, 2.0);
  EXPECT_GE(now - fell, 300s);
  EXPECT_EQ(last.cause, AutoscaleCause::kDown);
  while (state.replicas > 3 && now - fell < 30min) {
    const std::int32_t before = state.replicas;
    const Mono since = state.down_at;
    steps(1, 2.0);
    if (state.replicas == before) continue;
    EXPECT_GE(state.replicas, before - before / 2) << "at most half in one step";
    EXPECT_GE(now - since, 60s);
  }
  EXPECT_EQ(state.replicas, 3);
}

TEST_F(AutoscaleTest, FivePercentNoiseTurnsItRoundAtMostTwiceAnHour) {
  Rng rng(7);
  for (const double load : {4.0, 7.2, 8.0, 8.1, 12.4}) {
    begin(static_cast<std::int32_t>(load / 0.8) + 1);
    int direction = 0;
    std::vector<Mono> reversals;
    for (int i = 0; i < 6 * 720; ++i) {  // six hours
      const std::int32_t before = state.replicas;
      steps(1, load * (1 + 0.05 * 2 * 1.73 * (rng.unit() - 0.5)));
      const int moved = state.replicas > before ? 1 : state.replicas < before ? -1 : 0;
      if (moved != 0 && direction != 0 && moved != direction) reversals.push_back(now);
      if (moved != 0) direction = moved;
    }
    for (std::size_t i = 2; i < reversals.size(); ++i) EXPECT_GT(reversals[i] - reversals[i - 2], 1h) << load;
  }
}

TEST_F(AutoscaleTest, AQueueAsksForOneMoreOnceEverythingOrderedIsThere) {
  begin(4);
  steps(60, 3.0);
  backlog = 30;
  step(3.0);
  EXPECT_EQ(last.cause, AutoscaleCause::kQueue);
  EXPECT_GT(state.replicas, 4);
  const std::int32_t asked = state.replicas;
  for (int i = 0; i < 10; ++i) {
    backlog = 200;
    step(3.0);
  }
  EXPECT_LE(state.replicas, asked + 1) << "what is on its way has not been seen to be too little";
}

TEST_F(AutoscaleTest, WithoutGatewaysFullReplicasStillGetHelpAndNothingIsTakenAway) {
  begin(3);
  steps(60, 2.4);
  has_gateways = false;
  for (int i = 0; i < 30; ++i) {
    step(9.0);
    ready = state.replicas;
  }
  EXPECT_GE(state.replicas, 4);
  EXPECT_NE(last.why.find("no gateway reports"), std::string::npos);
}

TEST_F(AutoscaleTest, WithoutAnyReportItStaysAsItIs) {
  begin(6);
  steps(60, 4.5);
  has_gateways = false;
  ready = 0;
  for (int i = 0; i < 500; ++i) step(0);
  EXPECT_EQ(state.replicas, 6);
  EXPECT_EQ(last.cause, AutoscaleCause::kBlind);
}

TEST_F(AutoscaleTest, ANewLeaderBeginsWithWhatRunsAndDoesNotJump) {
  begin(9);
  steps(60, 7.0);
  ASSERT_EQ(state.replicas, 9);
  begin(9);  // everything learned is gone
  for (int i = 0; i < 60; ++i) {
    step(7.0);
    EXPECT_EQ(state.replicas, 9) << i;
  }
}

TEST_F(AutoscaleTest, NobodyAskingPutsItToSleepAndTheFirstRequestWakesIt) {
  policy.replicas_min = 0;
  policy.idle_s = 600;
  begin(1);
  steps(10, 0.5);
  const Mono idle_from = now;
  while (state.replicas > 0 && now - idle_from < 2h) steps(1, 0);
  EXPECT_EQ(state.replicas, 0);
  EXPECT_GE(now - idle_from, 600s);
  EXPECT_LE(now - idle_from, 700s);
  EXPECT_EQ(last.cause, AutoscaleCause::kSleep);
  steps(100, 0);
  EXPECT_EQ(state.replicas, 0);
  step(0.2);
  EXPECT_EQ(state.replicas, 1);
  EXPECT_EQ(last.cause, AutoscaleCause::kWake);
}

TEST_F(AutoscaleTest, AReplicaThatLoadsForLongerThanItsIdleTimeIsNotPutToSleepBeforeItServed) {
  policy.replicas_min = 0;
  policy.idle_s = 60;
  begin(0);
  step(0.2);
  ASSERT_EQ(state.replicas, 1);
  backlog = 0;
  steps(100, 0, false);  // 500 s of loading, its client long gone
  EXPECT_EQ(state.replicas, 1);
}

TEST_F(AutoscaleTest, AWindowIsServedAheadOfTimeWhateverTheLoad) {
  policy.windows.push_back(*parse_autoscale_window("mon 00:02-12:00 min=6"));
  begin(1);
  step(0.1);
  EXPECT_EQ(state.replicas, 6) << "Monday 00:00, and a minute to get ready";
  EXPECT_EQ(last.cause, AutoscaleCause::kWindow);
}

TEST_F(AutoscaleTest, TheBudgetIsAHardCap) {
  policy.price_micros_per_hour = 1'000'000;
  policy.budget_micros_per_hour = 5'500'000;
  begin(4);
  steps(200, 20);
  EXPECT_EQ(state.replicas, 5);
  EXPECT_NE(last.why.find("20"), std::string::npos) << last.why;
}

TEST_F(AutoscaleTest, BatchWorkGivesBackAtOnceWhatOthersNeed) {
  policy.replicas_min = 0;
  surplus = 8;
  begin(6);
  steps(100, 5.0);
  ASSERT_GE(state.replicas, 6);
  surplus = 2;
  step(5.0);
  EXPECT_EQ(state.replicas, 2);
  EXPECT_EQ(last.cause, AutoscaleCause::kReclaim);
}

TEST_F(AutoscaleTest, EveryCauseHasAName) {
  for (int i = 0; i <= static_cast<int>(AutoscaleCause::kBlind); ++i) {
    EXPECT_FALSE(autoscale_cause_name(static_cast<AutoscaleCause>(i)).empty()) << i;
  }
}

}  // namespace
}  // namespace tidegate::scheduler
