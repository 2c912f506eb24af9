#include "worker/engine/philox.h"

#include <gtest/gtest.h>

namespace tidegate::worker {
namespace {

using Words = std::array<std::uint32_t, 4>;

// The known answers published with Random123.
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UnitStaysBelowOneAndIsSpread) {
  int low = 0;
  for (std::uint64_t position = 0; position < 10000; ++position) {
    const double unit = philox_unit(7, position);
    ASSERT_GE(unit, 0);
    ASSERT_LT(unit, 1);
    low += unit < 0.25 ? 1 : 0;
  }
  EXPECT_NEAR(low, 2500, 200);
}

}  // namespace
}  // namespace tidegate::worker
