#include "base/net/address_count.h"

#include <gtest/gtest.h>

namespace tidegate {
namespace {

TEST(AddressCount, TheLimitIsEachAddressesOwn) {
  AddressCount count;
  EXPECT_TRUE(count.enter("10.0.0.1", 2));
  EXPECT_TRUE(count.enter("10.0.0.1", 2));
  EXPECT_FALSE(count.enter("10.0.0.1", 2));
  EXPECT_TRUE(count.enter("10.0.0.2", 2));
  count.leave("10.0.0.1");
  EXPECT_EQ(count.open("10.0.0.1"), 1U);
  EXPECT_TRUE(count.enter("10.0.0.1", 2));
}

TEST(AddressCount, WithoutALimitItStillCounts) {
  AddressCount count;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(count.enter("10.0.0.1", 0));
  EXPECT_FALSE(count.enter("10.0.0.1", 5)) << "a limit set later knows who is there";
}

TEST(AddressCount, AnIpv6CustomerIsOneHoweverManyAddresses) {
  AddressCount count;
  EXPECT_TRUE(count.enter("2001:db8:1:2::1", 1));
  EXPECT_FALSE(count.enter("2001:db8:1:2:ffff::7", 1));
  EXPECT_TRUE(count.enter("2001:db8:1:3::1", 1));
  EXPECT_TRUE(count.enter("::ffff:10.0.0.1", 1));
  EXPECT_FALSE(count.enter("10.0.0.1", 1)) << "the same host over either family";
}

TEST(AddressCount, LeavingOnceTooOftenHarmsNobody) {
  AddressCount count;
  count.leave("10.0.0.1");
  EXPECT_TRUE(count.enter("10.0.0.1", 1));
}

}  // namespace
}  // namespace tidegate
