#include "gateway/dispatch/demand_board.h"

#include <gtest/gtest.h>

namespace tidegate::gateway {
namespace {

PoolDemand demand(std::string model, std::int64_t arrivals, std::int64_t waiting, std::int64_t wait_s) {
  PoolDemand one;
  one.pool.model = std::move(model);
  one.arrivals = arrivals;
  one.waiting = waiting;
  one.oldest_wait = std::chrono::seconds(wait_s);
  return one;
}

TEST(DemandBoard, LanesAddUpByPoolAndTheOldestWaitIsKept) {
  DemandBoard board;
  board.put(0, {demand("a", 10, 1, 2), demand("b", 5, 0, 0)});
  board.put(1, {demand("a", 20, 2, 7)});
  const auto sum = board.sum();
  ASSERT_EQ(sum.size(), 2u);
  EXPECT_EQ(sum[0].pool.model, "a");
  EXPECT_EQ(sum[0].arrivals, 30);
  EXPECT_EQ(sum[0].waiting, 3);
  EXPECT_EQ(sum[0].oldest_wait, std::chrono::seconds(7));
  EXPECT_EQ(sum[1].arrivals, 5);
}

TEST(DemandBoard, ALanesNewerPictureReplacesItsOld) {
  DemandBoard board;
  board.put(0, {demand("a", 10, 1, 2)});
  board.put(0, {demand("a", 12, 0, 0)});
  ASSERT_EQ(board.sum().size(), 1u);
  EXPECT_EQ(board.sum()[0].arrivals, 12);
  EXPECT_EQ(board.sum()[0].waiting, 0);
}

}  // namespace
}  // namespace tidegate::gateway
