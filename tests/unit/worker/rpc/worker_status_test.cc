#include "worker/rpc/worker_status.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/core/metrics.h"
#include "base/obs/readiness.h"
#include "tests/support/sim_clock.h"
#include "worker/backend/load_progress.h"
#include "worker/metrics.h"
#include "worker/rpc/serving_state.h"

namespace tidegate::worker {
namespace {

using namespace std::chrono_literals;

struct WorkerStatusTest : testing::Test {
  test::SimClock clock;
  TermFence fence{1};
  LoadProgress progress{clock};
  WorkerStatus status{{.worker_id = "w1", .deployment = "d", .replica = "d-0", .address = "unix:/w"}, fence};
};

TEST_F(WorkerStatusTest, AReportSaysWhatLoadingDoesAndForHowLong) {
  status.set_progress(progress);
  EXPECT_EQ(status.report().phase(), "pull");
  clock.advance(100ms);
  progress.enter(LoadPhase::kVerify, 1000);
  progress.add(400);
  clock.advance(50ms);
  const v1::WorkerReport report = status.report();
  EXPECT_EQ(report.phase(), "verify");
  EXPECT_EQ(report.phase_bytes(), 400);
  EXPECT_EQ(report.phase_bytes_total(), 1000);
  EXPECT_EQ(report.phase_ms(), 50);
  EXPECT_EQ(report.load_ms(), 0) << "not before it is healthy";
  progress.enter(LoadPhase::kHealthy);
  clock.advance(1h);
  EXPECT_EQ(status.report().load_ms(), 150);
  EXPECT_EQ(status.report().phase_bytes_total(), 0);
}

TEST_F(WorkerStatusTest, EachPhaseIsToldOnce) {
  std::vector<LoadPhase> told;
  progress.on_phase([&] { told.push_back(progress.view().phase); });
  for (const LoadPhase phase : {LoadPhase::kPull, LoadPhase::kVerify, LoadPhase::kLoad, LoadPhase::kWarm}) progress.enter(phase);
  EXPECT_EQ(told, (std::vector<LoadPhase>{LoadPhase::kPull, LoadPhase::kVerify, LoadPhase::kLoad, LoadPhase::kWarm}));
}

TEST_F(WorkerStatusTest, WhatAReadyWorkerServesMayGoAndComeBackButADrainIsFinal) {
  EXPECT_FALSE(status.set_serving(false)) << "it is loading";
  status.set_state(v1::WORKER_STATE_READY);
  EXPECT_FALSE(status.set_serving(true));
  EXPECT_TRUE(status.set_serving(false));
  EXPECT_EQ(status.state(), v1::WORKER_STATE_LOADING);
  EXPECT_TRUE(status.set_serving(true));
  EXPECT_EQ(status.state(), v1::WORKER_STATE_READY);
  status.set_state(v1::WORKER_STATE_DRAINING);
  EXPECT_FALSE(status.set_serving(false));
  EXPECT_FALSE(status.set_serving(true));
  EXPECT_EQ(status.state(), v1::WORKER_STATE_DRAINING);
}

TEST_F(WorkerStatusTest, SchedulerProbeAndMetricAreToldTheSame) {
  Readiness readiness;
  MemoryRegistry registry;
  WorkerMetrics metrics{registry};
  ServingState serving(status, readiness, metrics.ready);
  serving.set_serving(false, "the engine is down");
  EXPECT_EQ(readiness.render().find("the engine is down"), std::string::npos) << "it is loading";
  status.set_state(v1::WORKER_STATE_READY);
  serving.set_serving(false, "the engine is down");
  EXPECT_NE(readiness.render().find("the engine is down"), std::string::npos);
  serving.set_serving(true, "");
  EXPECT_TRUE(readiness.is_ready());
  EXPECT_EQ(registry.value("tidegate_worker_ready"), 1);
  serving.drain();
  serving.set_serving(false, "the engine is down");
  serving.set_serving(true, "");
  EXPECT_EQ(status.state(), v1::WORKER_STATE_DRAINING);
  EXPECT_NE(readiness.render().find("draining"), std::string::npos);
  EXPECT_EQ(registry.value("tidegate_worker_ready"), 0);
}

TEST_F(WorkerStatusTest, ALookAtTheEngineThatMeetsADrainDoesNotMakeItReadyAgain) {
  for (int i = 0; i < 200; ++i) {
    WorkerStatus one({.worker_id = "w1"}, fence);
    Readiness readiness;
    MemoryRegistry registry;
    WorkerMetrics metrics{registry};
    ServingState serving(one, readiness, metrics.ready);
    one.set_state(v1::WORKER_STATE_READY);
    std::atomic<bool> looks = false;
    std::atomic<bool> ends = false;
    std::thread watch([&] {
      for (bool is_up = false; !ends; is_up = !is_up) {
        serving.set_serving(is_up, "the engine is down");
        looks = true;
      }
    });
    while (!looks) std::this_thread::yield();
    serving.drain();
    ends = true;
    watch.join();
    ASSERT_EQ(one.state(), v1::WORKER_STATE_DRAINING);
    ASSERT_NE(readiness.render().find("draining"), std::string::npos) << readiness.render();
    ASSERT_EQ(registry.value("tidegate_worker_ready"), 0);
  }
}

TEST_F(WorkerStatusTest, AWorkerWithoutProgressSaysNoPhase) { EXPECT_EQ(status.report().phase(), ""); }

}  // namespace
}  // namespace tidegate::worker
