#include "scheduler/drivers/kubernetes/state/term_fence.h"

#include <gtest/gtest.h>

namespace tidegate::scheduler::kube {
namespace {

using namespace std::chrono_literals;
using Step = TermFence::Step;

class TermFenceTest : public ::testing::Test {
 protected:
  static SeenLease lease(Term term, const std::string& version = "9") {
    return {.resource_version = version, .holder = "x", .term = term};
  }
  TermFence fence_{{.renew_every = 5s, .retry_least = 10ms, .retry_most = 10ms}, 1};
  Mono now_ = Mono(100s);
};

TEST_F(TermFenceTest, NothingIsHeldBeforeItIsOnRecord) {
  EXPECT_EQ(fence_.step(now_), Step::kIdle);
  ASSERT_TRUE(fence_.enter(3));
  EXPECT_FALSE(fence_.is_held());
  EXPECT_EQ(fence_.step(now_), Step::kRead);
  fence_.on_read(std::nullopt, now_);
  EXPECT_EQ(fence_.step(now_), Step::kWrite);
  EXPECT_EQ(fence_.lease_version(), "");
  fence_.on_written(3, "10", now_);
  EXPECT_TRUE(fence_.is_held());
  EXPECT_EQ(fence_.step(now_), Step::kIdle);
}

TEST_F(TermFenceTest, NewerTermOnRecordMakesOursStale) {
  ASSERT_TRUE(fence_.enter(3));
  fence_.on_read(lease(4), now_);
  EXPECT_TRUE(fence_.is_stale());
  EXPECT_EQ(fence_.step(now_), Step::kIdle);
  const Status entered = fence_.enter(3);
  ASSERT_FALSE(entered);
  EXPECT_EQ(entered.error().reason, "stale_term");
  EXPECT_TRUE(fence_.enter(5));
  EXPECT_EQ(fence_.step(now_), Step::kWrite);
}

TEST_F(TermFenceTest, OlderOrderIsRefusedWithoutAskingAnybody) {
  ASSERT_TRUE(fence_.enter(5));
  EXPECT_FALSE(fence_.enter(4));
  EXPECT_TRUE(fence_.enter(5));
}

TEST_F(TermFenceTest, RenewsAndFindsOutInTimeThatItWasReplaced) {
  ASSERT_TRUE(fence_.enter(3));
  fence_.on_read(lease(2), now_);
  fence_.on_written(3, "10", now_);
  EXPECT_EQ(fence_.step(now_ + 4s), Step::kIdle);
  EXPECT_EQ(fence_.step(now_ + 5s), Step::kWrite);
  CallFailure conflict;
  conflict.status = 409;
  now_ += 5s;
  fence_.on_failed(conflict, now_);
  EXPECT_EQ(fence_.step(now_), Step::kIdle);
  EXPECT_EQ(fence_.step(now_ + 10ms), Step::kRead);
  fence_.on_read(lease(4), now_);
  EXPECT_FALSE(fence_.is_held());
}

TEST_F(TermFenceTest, NextTermOfOursIsPutOnRecordAnew) {
  ASSERT_TRUE(fence_.enter(3));
  fence_.on_read(std::nullopt, now_);
  fence_.on_written(3, "10", now_);
  ASSERT_TRUE(fence_.enter(6));
  EXPECT_FALSE(fence_.is_held());
  EXPECT_EQ(fence_.step(now_), Step::kWrite);
  EXPECT_EQ(fence_.lease_version(), "10");
}

TEST_F(TermFenceTest, EndedTermHoldsNothingAndNewerOnesStayKnown) {
  ASSERT_TRUE(fence_.enter(3));
  fence_.on_read(std::nullopt, now_);
  fence_.leave();
  fence_.on_written(3, "10", now_);
  EXPECT_FALSE(fence_.is_held());
  EXPECT_FALSE(fence_.is_stale());
  EXPECT_EQ(fence_.step(now_ + 60s), Step::kIdle);
  EXPECT_FALSE(fence_.enter(2));
  ASSERT_TRUE(fence_.enter(4));
  EXPECT_EQ(fence_.step(now_ + 60s), Step::kRead);
}

TEST_F(TermFenceTest, OrderOfANewerTermDuringAWriteIsNotTakenForWritten) {
  ASSERT_TRUE(fence_.enter(3));
  fence_.on_read(std::nullopt, now_);
  ASSERT_TRUE(fence_.enter(4));
  fence_.on_written(3, "10", now_);
  EXPECT_FALSE(fence_.is_held());
  EXPECT_EQ(fence_.step(now_), Step::kWrite);
}

}  // namespace
}  // namespace tidegate::scheduler::kube
