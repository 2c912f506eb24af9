#include "worker/rpc/term_fence.h"

#include <gmock/gmock.h>

namespace tidegate::worker {
namespace {

TEST(TermFence, AdmitsItsTermAndNewerOnesRefusesOlder) {
  TermFence fence(3);
  EXPECT_TRUE(fence.admit(3));
  EXPECT_TRUE(fence.admit(5));
  EXPECT_FALSE(fence.admit(4));
  EXPECT_FALSE(fence.admit(3));
  EXPECT_TRUE(fence.admit(5));
  EXPECT_EQ(fence.newest(), 5u);
}

}  // namespace
}  // namespace tidegate::worker
