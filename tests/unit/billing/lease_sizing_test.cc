#include "billing/core/lease_sizing.h"

#include <gtest/gtest.h>

namespace tidegate::billing::lease_sizing_test {
namespace {

Money money(std::string_view text) { return Money::parse(text).value(); }

std::string sized(std::string_view available, std::string_view want, std::string_view least, std::int64_t gateways) {
  const auto granted = size_lease({money(available), money(want), money(least), gateways});
  return granted ? granted->to_string() : granted.error().reason;
}

TEST(LeaseSizing, GrantsTheWishWhileThereIsPlenty) { EXPECT_EQ(sized("100", "3", "0.1", 4), "3"); }
TEST(LeaseSizing, NeverMoreThanAShare) { EXPECT_EQ(sized("100", "50", "0.1", 4), "12.5"); }
TEST(LeaseSizing, TheRequestAtHandComesBeforeTheShare) { EXPECT_EQ(sized("1", "1", "0.9", 4), "0.9"); }
TEST(LeaseSizing, TheLastPicoIsSpendable) {
  EXPECT_EQ(sized("0.000000000001", "5", "0.000000000001", 4), "0.000000000001");
}
TEST(LeaseSizing, ExhaustedIsSaidAsSuch) {
  EXPECT_EQ(sized("0.99", "5", "1", 1), "insufficient_balance");
  EXPECT_EQ(sized("-1", "5", "0", 1), "insufficient_balance");
}
TEST(LeaseSizing, NonsenseIsRefused) {
  EXPECT_EQ(sized("1", "0.5", "0.6", 1), "bad_amount");
  EXPECT_EQ(sized("1", "0.5", "-0.1", 1), "bad_amount");
}
TEST(LeaseSizing, GrantsOfManyGatewaysNeverExceedTheWallet) {
  Money available = money("10"), granted;
  for (int i = 0; i < 1000; ++i) {
    const auto lease = size_lease({available, money("1"), money("0.000001"), 7});
    if (!lease) break;
    available -= *lease;
    granted += *lease;
    ASSERT_FALSE(available.is_negative());
  }
  EXPECT_EQ(available + granted, money("10"));
}

}  // namespace
}  // namespace tidegate::billing::lease_sizing_test
