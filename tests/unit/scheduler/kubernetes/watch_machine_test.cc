#include "scheduler/drivers/kubernetes/state/watch_machine.h"

#include <gtest/gtest.h>

#include "scheduler/drivers/kubernetes/state/watch_lines.h"

namespace tidegate::scheduler::kube {
namespace {

using namespace std::chrono_literals;
using Restart = WatchMachine::Restart;

class WatchMachineTest : public ::testing::Test {
 protected:
  static CallFailure failed(int status, Duration retry_after = {}) {
    CallFailure failure;
    failure.status = status;
    failure.retry_after = retry_after;
    return failure;
  }
  void watch_from(const std::string& version) {
    ASSERT_TRUE(machine_.on_page(version, ""));
    ASSERT_EQ(machine_.step(), WatchStep::kWatch);
  }
  WatchMachine machine_{{.retry_least = 10ms, .retry_most = 80ms, .watch_least = 1s, .absent_retry = 60s}, 1};
};

TEST_F(WatchMachineTest, ListsInPagesAndWatchesFromTheLast) {
  EXPECT_EQ(machine_.step(), WatchStep::kList);
  EXPECT_FALSE(machine_.on_page("5", "more"));
  EXPECT_FALSE(machine_.is_synced());
  EXPECT_EQ(machine_.continue_token(), "more");
  EXPECT_TRUE(machine_.on_page("5", ""));
  EXPECT_TRUE(machine_.is_synced());
  EXPECT_EQ(machine_.resource_version(), "5");
}

TEST_F(WatchMachineTest, EndedWatchGoesOnWhereEventsAndBookmarksLed) {
  watch_from("5");
  machine_.on_change("8");
  machine_.on_change("9");
  EXPECT_EQ(machine_.on_watch_ended(100ms), Restart::kEnded);
  EXPECT_EQ(machine_.step(), WatchStep::kWatch);
  EXPECT_EQ(machine_.resource_version(), "9");
  EXPECT_EQ(machine_.on_watch_ended(2s), Restart::kEnded) << "quiet, but it lasted";
  EXPECT_EQ(machine_.step(), WatchStep::kWatch);
}

TEST_F(WatchMachineTest, ServerThatAcceptsAndClosesIsNotHammered) {
  watch_from("5");
  EXPECT_EQ(machine_.on_watch_ended(1ms), Restart::kFailed);
  EXPECT_EQ(machine_.step(), WatchStep::kWait);
  EXPECT_GE(machine_.wait(), 10ms);
  machine_.on_waited();
  EXPECT_EQ(machine_.step(), WatchStep::kWatch);
}

TEST_F(WatchMachineTest, ExpiredWatchListsAgainAtOnceButNotForEver) {
  watch_from("5");
  machine_.on_change("6");
  EXPECT_EQ(machine_.on_watch_failed(failed(410)), Restart::kExpired);
  EXPECT_EQ(machine_.step(), WatchStep::kList);
  EXPECT_TRUE(machine_.resource_version().empty());
  EXPECT_TRUE(machine_.is_synced()) << "what is known stays known";
  watch_from("7");
  EXPECT_EQ(machine_.on_watch_failed(failed(410)), Restart::kExpired);
  EXPECT_EQ(machine_.step(), WatchStep::kWait) << "the list was no good either";
}

TEST_F(WatchMachineTest, CutWatchIsTakenUpWhereItWas) {
  watch_from("5");
  machine_.on_change("6");
  EXPECT_EQ(machine_.on_watch_failed(failed(0)), Restart::kFailed);
  EXPECT_EQ(machine_.step(), WatchStep::kWait);
  machine_.on_waited();
  EXPECT_EQ(machine_.step(), WatchStep::kWatch);
  EXPECT_EQ(machine_.resource_version(), "6");
}

TEST_F(WatchMachineTest, WaitsGrowToTheirLimitAndFallBackWithAnEvent) {
  watch_from("5");
  Duration longest{};
  for (int i = 0; i < 12; ++i) {
    machine_.on_watch_failed(failed(503));
    longest = std::max(longest, machine_.wait());
    machine_.on_waited();
  }
  EXPECT_GT(longest, 20ms);
  EXPECT_LE(longest, 80ms);
  machine_.on_change("6");
  machine_.on_watch_failed(failed(503));
  EXPECT_EQ(machine_.wait(), 10ms);
}

TEST_F(WatchMachineTest, RetryAfterIsALeastWaitAndBounded) {
  machine_.on_list_failed(failed(429, 5s));
  EXPECT_EQ(machine_.wait(), 5s);
  machine_.on_waited();
  EXPECT_EQ(machine_.step(), WatchStep::kList);
  machine_.on_list_failed(failed(429, 3600s));
  EXPECT_EQ(machine_.wait(), 60s);
}

TEST_F(WatchMachineTest, CollectionThatIsNotThereIsEmptyAndAskedForAgain) {
  machine_.on_list_failed(failed(404));
  EXPECT_TRUE(machine_.is_absent());
  EXPECT_TRUE(machine_.is_synced());
  EXPECT_EQ(machine_.wait(), 60s);
  machine_.on_waited();
  EXPECT_EQ(machine_.step(), WatchStep::kList);
  watch_from("5");
  EXPECT_FALSE(machine_.is_absent());
}

TEST_F(WatchMachineTest, NotFoundOfWhatEveryClusterHasIsAFailureAndNotAnEmptyList) {
  WatchMachine pods({.retry_least = 10ms, .retry_most = 80ms, .absent_retry = 60s, .may_be_absent = false}, 1);
  pods.on_list_failed(failed(404));
  EXPECT_FALSE(pods.is_absent());
  EXPECT_FALSE(pods.is_synced()) << "else everything that runs would look deleted, and be started again";
  EXPECT_EQ(pods.step(), WatchStep::kWait);
  EXPECT_LE(pods.wait(), 80ms);
}

TEST_F(WatchMachineTest, ListThatFailsHalfwayBeginsAnew) {
  EXPECT_FALSE(machine_.on_page("5", "more"));
  machine_.on_list_failed(failed(410));
  EXPECT_TRUE(machine_.continue_token().empty());
  EXPECT_FALSE(machine_.is_synced());
}

TEST(WatchLines, CutsAnySlicingIntoLinesAndBoundsThem) {
  WatchLines lines(8);
  EXPECT_TRUE(lines.feed("ab"));
  EXPECT_FALSE(lines.take());
  EXPECT_TRUE(lines.feed("c\n\nde"));
  EXPECT_EQ(lines.take(), "abc");
  EXPECT_FALSE(lines.take());
  EXPECT_TRUE(lines.feed("f\ng\n"));
  EXPECT_EQ(lines.take(), "def");
  EXPECT_EQ(lines.take(), "g");
  EXPECT_FALSE(lines.take());
  EXPECT_TRUE(lines.feed("12345678"));
  EXPECT_FALSE(lines.feed("9"));
}

}  // namespace
}  // namespace tidegate::scheduler::kube
