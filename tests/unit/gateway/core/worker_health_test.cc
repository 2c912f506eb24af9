#include "gateway/core/worker_health.h"

#include <gtest/gtest.h>

namespace tidegate::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr HealthOptions kOptions{.errors_in_a_row = 3,
                                 .stall_after = seconds(30),
                                 .eject_least = seconds(10),
                                 .eject_most = seconds(60),
                                 .ejected_share_max = 0.5};

class WorkerHealthTest : public testing::Test {
 protected:
  explicit WorkerHealthTest(WorkerHealth::Worker workers = 4) {
    for (WorkerHealth::Worker worker = 1; worker <= workers; ++worker) health_.join(worker, now_);
  }
  std::optional<WorkerHealth::Ejection> fail_one(WorkerHealth::Worker worker) {
    health_.on_start(worker, now_);
    return health_.on_over(worker, true, now_);
  }
  void answer_one(WorkerHealth::Worker worker) {
    health_.on_start(worker, now_);
    health_.on_good(worker, now_);
    health_.on_over(worker, false, now_);
  }
  /// Until it is out.
  WorkerHealth::Ejection eject(WorkerHealth::Worker worker) {
    for (int i = 0; i < 100; ++i) {
      if (const auto ejection = fail_one(worker)) return *ejection;
    }
    ADD_FAILURE() << "never ejected";
    return {};
  }

  WorkerHealth health_{kOptions, 1};
  Mono now_{seconds(1'000)};
};

TEST_F(WorkerHealthTest, FailuresInARowTakeAWorkerOut) {
  EXPECT_FALSE(fail_one(1));
  EXPECT_FALSE(fail_one(1));
  EXPECT_TRUE(health_.may_take(1, now_));
  const auto ejection = fail_one(1);
  ASSERT_TRUE(ejection);
  EXPECT_EQ(ejection->reason, EjectReason::kErrorsInARow);
  EXPECT_EQ(ejection->worker, 1U);
  EXPECT_FALSE(health_.may_take(1, now_));
  EXPECT_TRUE(health_.may_take(2, now_));
  EXPECT_EQ(health_.ejected(), 1U);
}

TEST_F(WorkerHealthTest, AnAnswerBreaksTheRow) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(fail_one(1));
    answer_one(1);
    answer_one(1);
  }
  EXPECT_TRUE(health_.may_take(1, now_));
}

TEST_F(WorkerHealthTest, MostOfTheWindowFailingIsEnough) {
  bool is_out = false;
  for (int i = 0; i < 3 * WorkerHealth::kWindow && !is_out; ++i) {
    if (i % 3 == 2) {
      answer_one(1);
      continue;
    }
    const auto ejection = fail_one(1);
    is_out = ejection.has_value();
    if (is_out) {
      EXPECT_EQ(ejection->reason, EjectReason::kErrorShare);
      EXPECT_GE(i + 1, WorkerHealth::kWindow);
    }
  }
  EXPECT_TRUE(is_out);
}

TEST_F(WorkerHealthTest, OneProbeDecides) {
  const auto ejection = eject(1);
  now_ += ejection.lasts - milliseconds(1);
  EXPECT_FALSE(health_.may_take(1, now_));
  now_ += milliseconds(1);
  ASSERT_TRUE(health_.may_take(1, now_));
  health_.on_start(1, now_);
  EXPECT_FALSE(health_.may_take(1, now_)) << "one request only";
  health_.on_good(1, now_);
  EXPECT_TRUE(health_.may_take(1, now_));
  EXPECT_FALSE(health_.is_ejected(1));
}

TEST_F(WorkerHealthTest, AFailedProbeCostsTwiceTheTimeUpToAMost) {
  Duration last = eject(1).lasts;
  EXPECT_GE(last, seconds(8));
  EXPECT_LE(last, seconds(12));
  for (int i = 0; i < 6; ++i) {
    now_ += last;
    ASSERT_TRUE(health_.may_take(1, now_));
    const auto again = fail_one(1);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->reason, EjectReason::kProbeFailed);
    if (i == 0) {
      EXPECT_GE(again->lasts, seconds(16));
    }
    EXPECT_LE(again->lasts, seconds(72)) << "60 s and a fifth";
    last = again->lasts;
  }
  EXPECT_GE(last, seconds(48));
}

TEST_F(WorkerHealthTest, AProbeWhoseClientLeftIsFollowedByAnother) {
  now_ += eject(1).lasts;
  health_.on_start(1, now_);
  EXPECT_FALSE(health_.on_over(1, false, now_));
  EXPECT_TRUE(health_.is_ejected(1));
  EXPECT_TRUE(health_.may_take(1, now_));
}

TEST_F(WorkerHealthTest, AnswersFromBeforeTheEjectionBringNobodyBack) {
  health_.on_start(1, now_);
  eject(1);
  health_.on_good(1, now_);
  EXPECT_FALSE(health_.may_take(1, now_));
}

TEST_F(WorkerHealthTest, AShareOfThePoolAtMost) {
  eject(1);
  eject(2);
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(fail_one(3)) << "half of four";
  EXPECT_TRUE(health_.may_take(3, now_));
  EXPECT_EQ(health_.ejected(), 2U);
}

class LoneWorkerHealthTest : public WorkerHealthTest {
 protected:
  LoneWorkerHealthTest() : WorkerHealthTest(1) {}
};

TEST_F(LoneWorkerHealthTest, TheLastWorkerStays) {
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(fail_one(1));
  EXPECT_TRUE(health_.may_take(1, now_));
  health_.join(2, now_);
  EXPECT_TRUE(fail_one(1)) << "with another there, it goes";
}

TEST_F(WorkerHealthTest, AWorkerThatHangsIsTakenOut) {
  health_.on_start(1, now_);
  now_ += seconds(29);
  EXPECT_TRUE(health_.check_stalls(now_).empty());
  health_.on_frame(1, now_);
  now_ += seconds(29);
  EXPECT_TRUE(health_.check_stalls(now_).empty()) << "it spoke";
  now_ += seconds(1);
  const auto stalled = health_.check_stalls(now_);
  ASSERT_EQ(stalled.size(), 1U);
  EXPECT_EQ(stalled[0].reason, EjectReason::kStalled);
  EXPECT_FALSE(health_.may_take(1, now_));
  EXPECT_TRUE(health_.check_stalls(now_ + seconds(100)).empty()) << "it is out already";
}

TEST_F(WorkerHealthTest, SilenceWithoutWorkIsNoStall) {
  now_ += seconds(1'000);
  EXPECT_TRUE(health_.check_stalls(now_).empty());
  health_.on_start(1, now_);
  EXPECT_TRUE(health_.check_stalls(now_).empty()) << "counted from the start";
}

TEST_F(WorkerHealthTest, ABrokenSessionIsOneFailureHoweverMuchRan) {
  for (int i = 0; i < 10; ++i) health_.on_start(1, now_);
  EXPECT_FALSE(health_.on_lost(1, now_));
  EXPECT_TRUE(health_.may_take(1, now_));
  EXPECT_FALSE(health_.on_lost(1, now_));
  EXPECT_TRUE(health_.on_lost(1, now_));
  health_.join(1, now_);
  EXPECT_FALSE(health_.may_take(1, now_)) << "coming back is no way out";
}

TEST_F(WorkerHealthTest, UnknownWorkersAreIgnored) {
  health_.on_start(99, now_);
  health_.on_good(99, now_);
  EXPECT_FALSE(health_.on_over(99, true, now_));
  EXPECT_TRUE(health_.may_take(99, now_));
}

}  // namespace
}  // namespace tidegate::gateway
