#pragma once

#include <gmock/gmock.h>

#include <memory>
#include <optional>
#include <string>

#include "scheduler/core/ports.h"
#include "tests/support/eventually.h"

/// What every RuntimeDriver promises (scheduler/core/ports.h), run on the fake and on the real ones.
/// A World has:   RuntimeDriver& driver();   std::unique_ptr<RuntimeDriver> another();   on the same state
///                void kill(const std::string& replica);   ends it as an outsider would
///                Mono now();
/// and may have:  const char* reason_to_skip() const;   null: none. Then nothing else of it is touched
namespace tidegate::scheduler {

template <typename World>
class RuntimeDriverContract : public ::testing::Test {
 protected:
  void SetUp() override {
    if constexpr (requires { world.reason_to_skip(); }) {
      if (const char* why = world.reason_to_skip()) GTEST_SKIP() << why;
    }
  }
  static ReplicaSpec spec(std::string replica = "d-0") {
    return {.replica = std::move(replica), .deployment = "d", .model = "m", .variant = "sim", .engine = "sim",
            .region = "local", .pool = "cpu"};
  }
  std::optional<ReplicaProcess> seen(const std::string& replica) { return seen_by(world.driver(), replica); }
  std::optional<ReplicaProcess> seen_by(RuntimeDriver& driver, const std::string& replica) {
    for (ReplicaProcess& process : driver.observe(world.now())) {
      if (process.replica == replica) return std::move(process);
    }
    return std::nullopt;
  }
  bool ends(const std::string& replica) {
    return test::eventually([&] {
      const auto process = seen(replica);
      return !process || !process->alive;
    });
  }

  World world;
};

TYPED_TEST_SUITE_P(RuntimeDriverContract);

TYPED_TEST_P(RuntimeDriverContract, StartedReplicaIsSeenAliveWithItsSpec) {
  const ReplicaSpec spec = this->spec();
  ASSERT_TRUE(this->world.driver().start(spec, 1));
  const auto process = this->seen("d-0");
  ASSERT_TRUE(process);
  EXPECT_TRUE(process->alive);
  EXPECT_EQ(process->deployment, "d");
  EXPECT_EQ(process->spec_digest, spec.digest());
}

TYPED_TEST_P(RuntimeDriverContract, StartingALiveReplicaChangesNothing) {
  ASSERT_TRUE(this->world.driver().start(this->spec(), 1));
  const auto before = this->seen("d-0");
  ASSERT_TRUE(this->world.driver().start(this->spec(), 1));
  EXPECT_EQ(this->seen("d-0")->incarnation, before->incarnation);
}

TYPED_TEST_P(RuntimeDriverContract, KilledReplicaIsSeenDeadAndHow) {
  ASSERT_TRUE(this->world.driver().start(this->spec(), 1));
  this->world.kill("d-0");
  ASSERT_TRUE(this->ends("d-0"));
  const auto process = this->seen("d-0");
  ASSERT_TRUE(process) << "an end nobody asked for is not forgotten";
  EXPECT_EQ(process->exit, "signal 9");
}

TYPED_TEST_P(RuntimeDriverContract, StartedAgainItIsAnotherIncarnation) {
  ASSERT_TRUE(this->world.driver().start(this->spec(), 1));
  const auto first = this->seen("d-0");
  this->world.kill("d-0");
  ASSERT_TRUE(this->ends("d-0"));
  ASSERT_TRUE(this->world.driver().start(this->spec(), 1));
  const auto second = this->seen("d-0");
  EXPECT_TRUE(second->alive);
  EXPECT_NE(second->incarnation, first->incarnation);
}

TYPED_TEST_P(RuntimeDriverContract, StoppedReplicaEndsAndOthersRunOn) {
  ASSERT_TRUE(this->world.driver().start(this->spec("d-0"), 1));
  ASSERT_TRUE(this->world.driver().start(this->spec("d-1"), 1));
  ASSERT_TRUE(this->world.driver().stop("d-0", 1));
  EXPECT_TRUE(this->ends("d-0"));
  EXPECT_TRUE(this->seen("d-1")->alive);
}

TYPED_TEST_P(RuntimeDriverContract, StoppingWhatIsNotThereIsNoError) {
  EXPECT_TRUE(this->world.driver().stop("nobody", 1));
}

TYPED_TEST_P(RuntimeDriverContract, OlderTermIsRefusedAndHasNoEffect) {
  ASSERT_TRUE(this->world.driver().start(this->spec("d-0"), 5));
  const Status started = this->world.driver().start(this->spec("d-1"), 4);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().reason, "stale_term");
  EXPECT_FALSE(this->seen("d-1"));
  const Status stopped = this->world.driver().stop("d-0", 4);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().reason, "stale_term");
  EXPECT_TRUE(this->seen("d-0")->alive);
}

TYPED_TEST_P(RuntimeDriverContract, NextSchedulerFindsTheReplicaAliveAndDoesNotStartItTwice) {
  ASSERT_TRUE(this->world.driver().start(this->spec(), 1));
  const auto before = this->seen("d-0");
  const auto next = this->world.another();
  const auto found = this->seen_by(*next, "d-0");
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->alive);
  ASSERT_TRUE(next->start(this->spec(), 2));
  EXPECT_EQ(this->seen_by(*next, "d-0")->incarnation, before->incarnation);
}

TYPED_TEST_P(RuntimeDriverContract, StoppedReplicaCanBeStartedAgain) {
  ASSERT_TRUE(this->world.driver().start(this->spec(), 1));
  const auto first = this->seen("d-0");
  ASSERT_TRUE(this->world.driver().stop("d-0", 1));
  ASSERT_TRUE(this->ends("d-0"));
  ASSERT_TRUE(this->world.driver().start(this->spec(), 1));
  const auto second = this->seen("d-0");
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->alive);
  EXPECT_NE(second->incarnation, first->incarnation);
}

TYPED_TEST_P(RuntimeDriverContract, RepeatedOrdersAreOne) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(this->world.driver().start(this->spec(), 1));
  const auto before = this->seen("d-0");
  ASSERT_TRUE(before);
  EXPECT_TRUE(before->alive);
  EXPECT_EQ(this->world.driver().observe(this->world.now()).size(), 1u);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(this->world.driver().stop("d-0", 1));
  EXPECT_TRUE(this->ends("d-0"));
  EXPECT_TRUE(this->world.driver().stop("d-0", 1)) << "of one that has ended";
}

TYPED_TEST_P(RuntimeDriverContract, StartOfADifferentSpecLeavesALiveReplicaAsItIs) {
  ASSERT_TRUE(this->world.driver().start(this->spec(), 1));
  ReplicaSpec other = this->spec();
  other.variant = "fp8";
  ASSERT_TRUE(this->world.driver().start(other, 1));
  EXPECT_EQ(this->seen("d-0")->spec_digest, this->spec().digest());
}

TYPED_TEST_P(RuntimeDriverContract, LookingChangesNothing) {
  ASSERT_TRUE(this->world.driver().start(this->spec(), 1));
  const auto before = this->seen("d-0");
  for (int i = 0; i < 20; ++i) {
    const auto again = this->seen("d-0");
    ASSERT_TRUE(again);
    EXPECT_EQ(again->incarnation, before->incarnation);
    EXPECT_TRUE(again->alive);
  }
}

TYPED_TEST_P(RuntimeDriverContract, SchedulerOfAnOlderTermIsFencedByWhatANewerOneDid) {
  ASSERT_TRUE(this->world.driver().start(this->spec("d-0"), 5));
  const auto before = this->seen("d-0");
  const auto older = this->world.another();
  // It may take the order before it finds out; carried out it never is.
  EXPECT_TRUE(test::eventually([&] {
    const Status started = older->start(this->spec("d-1"), 4);
    return !started && started.error().reason == "stale_term";
  }));
  EXPECT_TRUE(test::eventually([&] {
    const Status stopped = older->stop("d-0", 4);
    return !stopped && stopped.error().reason == "stale_term";
  }));
  EXPECT_TRUE(test::eventually([&] { return !this->seen_by(*older, "d-1"); }));
  EXPECT_FALSE(this->seen("d-1"));
  const auto after = this->seen("d-0");
  ASSERT_TRUE(after);
  EXPECT_TRUE(after->alive);
  EXPECT_EQ(after->incarnation, before->incarnation);
}

TYPED_TEST_P(RuntimeDriverContract, NextSchedulerStopsWhatTheOneBeforeStarted) {
  ASSERT_TRUE(this->world.driver().start(this->spec(), 1));
  const auto next = this->world.another();
  ASSERT_TRUE(next->stop("d-0", 2));
  EXPECT_TRUE(test::eventually([&] {
    const auto process = this->seen_by(*next, "d-0");
    return !process || !process->alive;
  }));
}

REGISTER_TYPED_TEST_SUITE_P(RuntimeDriverContract, StartedReplicaIsSeenAliveWithItsSpec,
                            StartingALiveReplicaChangesNothing, KilledReplicaIsSeenDeadAndHow,
                            StartedAgainItIsAnotherIncarnation, StoppedReplicaEndsAndOthersRunOn,
                            StoppingWhatIsNotThereIsNoError, OlderTermIsRefusedAndHasNoEffect,
                            NextSchedulerFindsTheReplicaAliveAndDoesNotStartItTwice, StoppedReplicaCanBeStartedAgain,
                            RepeatedOrdersAreOne, StartOfADifferentSpecLeavesALiveReplicaAsItIs, LookingChangesNothing,
                            SchedulerOfAnOlderTermIsFencedByWhatANewerOneDid, NextSchedulerStopsWhatTheOneBeforeStarted);

}  // namespace tidegate::scheduler
