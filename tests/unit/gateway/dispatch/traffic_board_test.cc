#include "gateway/dispatch/traffic_board.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tidegate::gateway {
namespace {

class TrafficBoardTest : public testing::Test {
 protected:
  std::vector<TrafficShare> shares(std::int64_t stable, std::int64_t canary) {
    return {{"m", "local", "cpu", "d.1", stable}, {"m", "local", "cpu", "d.2", canary}};
  }
  TrafficBoard::Decision decide(const char* pool = "cpu") {
    const std::vector<TrafficBoard::ArmNow> arms{{"d.1", true, true}, {"d.2", true, true}, {"unknown", true, true}};
    return board.decide({"m", "local", pool, 0}, arms, {});
  }

  TrafficBoard board;
};

TEST_F(TrafficBoardTest, APoolWithoutSharesIsNotDivided) {
  EXPECT_FALSE(decide().is_divided);
  board.apply({1, 1}, shares(90, 10));
  EXPECT_TRUE(decide().is_divided);
  EXPECT_FALSE(decide("other").is_divided);
  board.apply({1, 2}, {});
  EXPECT_FALSE(decide().is_divided);
}

TEST_F(TrafficBoardTest, SharesOfNothingAreNone) {
  board.apply({1, 1}, shares(0, 0));
  EXPECT_FALSE(decide().is_divided);
}

TEST_F(TrafficBoardTest, ADividedPoolHasNothingForArmsWithoutAWeight) {
  const ServingPool pool{"m", "local", "cpu", 0};
  EXPECT_TRUE(board.has_part(pool, "d.2")) << "it is not divided yet";
  board.apply({1, 1}, shares(100, 0));
  EXPECT_TRUE(board.has_part(pool, "d.1"));
  EXPECT_FALSE(board.has_part(pool, "d.2"));
  EXPECT_FALSE(board.has_part(pool, "unknown"));
  board.apply({1, 2}, shares(0, 0));
  EXPECT_TRUE(board.has_part(pool, "d.2"));
}

TEST_F(TrafficBoardTest, AnOlderPictureIsIgnored) {
  board.apply({2, 1}, shares(0, 100));
  board.apply({1, 9}, shares(100, 0));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(decide().arm, "d.2");
}

TEST_F(TrafficBoardTest, AllLanesTogetherKeepTheShare) {
  board.apply({1, 1}, shares(90, 10));
  constexpr int kLanes = 4;
  constexpr int kEach = 250;
  std::vector<int> canary(kLanes, 0);
  std::vector<std::thread> lanes;
  for (int lane = 0; lane < kLanes; ++lane) {
    lanes.emplace_back([&, lane] {
      for (int i = 0; i < kEach; ++i) canary[static_cast<std::size_t>(lane)] += decide().arm == "d.2" ? 1 : 0;
    });
  }
  for (std::thread& lane : lanes) lane.join();
  EXPECT_EQ(canary[0] + canary[1] + canary[2] + canary[3], kLanes * kEach / 10);
}

}  // namespace
}  // namespace tidegate::gateway
