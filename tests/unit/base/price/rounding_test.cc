#include "base/price/rounding.h"

#include <gtest/gtest.h>

namespace tidegate::price {
namespace {

std::string rounded(std::string_view text, int decimals) {
  return round_half_even(Money::parse(text).value(), decimals).to_string();
}

TEST(Rounding, TiesGoToTheEvenDigit) {
  EXPECT_EQ(rounded("100.085", 2), "100.08");
  EXPECT_EQ(rounded("100.095", 2), "100.1");
  EXPECT_EQ(rounded("-100.085", 2), "-100.08");
  EXPECT_EQ(rounded("0.000000000001", 12), "0.000000000001");
  EXPECT_EQ(rounded("2.5", 0), "2");
}

TEST(Rounding, ASharePassesOneRoundingOnly) {
  const Money subtotal = Money::parse("100.085").value();
  EXPECT_EQ(share_half_even(subtotal, 60'000, 2).to_string(), "6.01");
  EXPECT_EQ(share_half_even(round_half_even(subtotal, 2), 60'000, 2).to_string(), "6");
}

}  // namespace
}  // namespace tidegate::price
