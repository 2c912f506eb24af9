#include "scheduler/core/fit_check.h"

#include <gmock/gmock.h>

namespace tidegate::scheduler {
namespace {

TEST(FitCheck, AWorkerIsJudgedOnceByItsFirstReadyReport) {
  FitCheck check;
  EXPECT_FALSE(check.judge("w", WorkerState::kLoading, 100, 100));
  const auto finding = check.judge("w", WorkerState::kReady, 900, 1000);
  ASSERT_TRUE(finding);
  EXPECT_DOUBLE_EQ(finding->error_ratio, -0.1);
  EXPECT_TRUE(finding->is_off());
  EXPECT_EQ(finding->to_string(), "predicted 1000 tokens of KV, allocated 900: off by -10.0 %");
  EXPECT_FALSE(check.judge("w", WorkerState::kReady, 500, 1000));
  EXPECT_DOUBLE_EQ(check.worst_error_ratio(), 0.1);
}

TEST(FitCheck, TwoPerCentAreToleratedEitherWay) {
  FitCheck check;
  EXPECT_FALSE(check.judge("a", WorkerState::kReady, 1020, 1000)->is_off());
  EXPECT_FALSE(check.judge("b", WorkerState::kReady, 980, 1000)->is_off());
  EXPECT_TRUE(check.judge("c", WorkerState::kReady, 1021, 1000)->is_off());
  EXPECT_TRUE(check.judge("d", WorkerState::kReady, 979, 1000)->is_off());
}

TEST(FitCheck, WithoutAPredictionOrACapacityNothingIsJudged) {
  FitCheck check;
  EXPECT_FALSE(check.judge("w", WorkerState::kReady, 100, 0));
  EXPECT_FALSE(check.judge("w", WorkerState::kReady, 0, 100));
  EXPECT_FALSE(check.has_judged("w"));
  EXPECT_EQ(check.worst_error_ratio(), 0);
}

TEST(FitCheck, TheWorstLeavesWithItsWorker) {
  FitCheck check;
  check.judge("a", WorkerState::kReady, 101, 100);
  check.judge("b", WorkerState::kReady, 50, 100);
  EXPECT_DOUBLE_EQ(check.worst_error_ratio(), 0.5);
  check.forget("b");
  EXPECT_DOUBLE_EQ(check.worst_error_ratio(), 0.01);
}

}  // namespace
}  // namespace tidegate::scheduler
