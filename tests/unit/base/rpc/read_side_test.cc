#include "base/rpc/read_side.h"

#include <gtest/gtest.h>

#include <memory>

namespace tidegate::rpc {
namespace {

using Side = ReadSide<int>;

TEST(ReadSideTest, MessageWithoutAReaderIsKeptForTheNextOne) {
  Side side;
  EXPECT_FALSE(side.take());
  side.buffer() = 7;
  EXPECT_FALSE(side.arrived());
  EXPECT_TRUE(side.has_message());
  const auto item = side.take();
  ASSERT_TRUE(item && *item && **item);
  EXPECT_EQ(***item, 7);
  EXPECT_FALSE(side.has_message());
}

TEST(ReadSideTest, WaitingReaderIsHandedToTheOneWhoBroughtTheMessage) {
  Side side;
  side.wait([](Side::Item) {});
  EXPECT_TRUE(side.arrived());
  EXPECT_FALSE(side.has_message());
  EXPECT_FALSE(side.arrived());  // once
}

TEST(ReadSideTest, EndComesAfterTheBufferedMessageAndStays) {
  Side side;
  side.buffer() = 1;
  EXPECT_FALSE(side.arrived());
  EXPECT_FALSE(side.end(Side::Item(std::nullopt)));
  EXPECT_EQ(***side.take(), 1);
  for (int i = 0; i < 2; ++i) {
    const auto item = side.take();
    ASSERT_TRUE(item && *item);
    EXPECT_FALSE(**item);
  }
}

TEST(ReadSideTest, FirstEndCounts) {
  Side side;
  side.end(fail(Code::kUnavailable, "gone", ""));
  side.end(Side::Item(std::nullopt));
  const auto item = side.take();
  ASSERT_TRUE(item && !*item);
  EXPECT_EQ(item->error().reason, "gone");
}

TEST(ReadSideTest, LateTimerAbandonsNobodyElse) {
  Side side;
  const auto first = side.new_ticket();
  side.wait([](Side::Item) {});
  EXPECT_TRUE(side.arrived());
  side.new_ticket();
  side.wait([](Side::Item) {});
  EXPECT_FALSE(side.abandon(first));
  EXPECT_TRUE(side.end(Side::Item(std::nullopt)));
}

TEST(ReadSideDeathTest, TwoReadersOnOneStreamStopTheProcess) {
  Side side;
  side.wait([](Side::Item) {});
  EXPECT_DEATH(side.wait([](Side::Item) {}), "check failed");
}

}  // namespace
}  // namespace tidegate::rpc
