#include "base/core/money.h"

#include <gtest/gtest.h>

#include "base/core/random.h"

namespace tidegate {
namespace {

Money money(std::string_view text) { return *Money::parse(text); }

TEST(Money, PrintsTheShortestExactDecimal) {
  for (const char* text : {"0", "1", "-1", "1.5", "0.000000000001", "-0.000000000001", "12345678901234.000000000009",
                           "99999999999999999999999999.999999999999"}) {
    EXPECT_EQ(money(text).to_string(), text);
  }
  EXPECT_EQ(money("1.500").to_string(), "1.5");
  EXPECT_EQ(money("+2").to_string(), "2");
  EXPECT_EQ(money("-0").to_string(), "0");
  EXPECT_EQ(money("007").to_string(), "7");
}

TEST(Money, RefusesWhatIsNotAnExactAmount) {
  for (const char* text : {"", "-", ".", "1.", ".5", "1e3", "1,5", " 1", "1 ", "0x1", "--1", "1.2.3", "nan", "inf",
                           "0.0000000000001", "999999999999999999999999999"}) {
    const auto amount = Money::parse(text);
    ASSERT_FALSE(amount) << text;
    EXPECT_EQ(amount.error().reason, "bad_amount");
  }
}

TEST(Money, SumsOfManyPicoAreExact) {
  Money sum;
  for (int i = 0; i < 1'000'000; ++i) sum += money("0.000000000001");
  EXPECT_EQ(sum, money("0.000001"));
  EXPECT_EQ(money("0.1") + money("0.2"), money("0.3")) << "what doubles cannot";
  EXPECT_EQ(money("1") - money("1.000000000001"), money("-0.000000000001"));
  EXPECT_EQ(-money("2"), money("-2"));
  EXPECT_EQ(money("0.000000000003").times(-4), money("-0.000000000012"));
}

TEST(Money, OrdersByValue) {
  EXPECT_LT(money("-1"), money("0"));
  EXPECT_LT(money("0.999999999999"), money("1"));
  EXPECT_TRUE(money("-0.1").is_negative());
  EXPECT_TRUE(Money().is_zero());
}

TEST(MoneyDeathTest, LeavingTheRangeOfTheLedgerAborts) {
  const Money most = money("99999999999999999999999999.999999999999");
  EXPECT_DEATH(static_cast<void>(most + money("0.000000000001")), "check failed");
  EXPECT_DEATH(static_cast<void>(-most - money("1")), "check failed");
  EXPECT_DEATH(static_cast<void>(most.times(2)), "check failed");
  EXPECT_DEATH(static_cast<void>(most.times(INT64_MAX)), "check failed");
}

TEST(Rate, TokensTimesRateIsExactPico) {
  const Rate rate = *Rate::parse("0.003625");  // DeepSeek's cache-hit price: no number of nano-units holds it per token
  EXPECT_EQ(rate.micro_per_million(), 3625);
  EXPECT_EQ(rate.amount(1), Money::from_pico(3625));
  EXPECT_EQ(rate.amount(1'000'000), money("0.003625"));
  EXPECT_EQ(Rate::parse("2.19")->amount(123'456'789), money("270.37036791"));
  EXPECT_EQ(rate.to_string(), "0.003625");
}

TEST(Rate, RefusesNegativeAndTooFine) {
  for (const char* text : {"-1", "0.0000001", "", "abc", "1234567890123"}) EXPECT_FALSE(Rate::parse(text)) << text;
}

TEST(DivHalfEven, TiesGoToTheEvenNeighbour) {
  const auto divide = [](int n, int d) { return static_cast<int>(div_half_even(n, d)); };
  EXPECT_EQ(divide(5, 2), 2);
  EXPECT_EQ(divide(7, 2), 4);
  EXPECT_EQ(divide(-5, 2), -2);
  EXPECT_EQ(divide(-7, 2), -4);
  EXPECT_EQ(divide(4, 3), 1);
  EXPECT_EQ(divide(5, 3), 2);
  EXPECT_EQ(divide(-5, 3), -2);
  EXPECT_EQ(divide(0, 3), 0);
}

TEST(Money, EveryAmountReadsBackAsItself) {
  Rng rng(1);
  for (int i = 0; i < 20'000; ++i) {
    const auto high = static_cast<Int128>(rng.next() >> (rng.below(60) + 3));
    const auto low = static_cast<Int128>(rng.next() >> rng.below(64));
    const Int128 pico = (high * 1'000'000'000'000 + low) * (rng.below(2) == 0 ? 1 : -1);
    const Money amount = Money::from_pico(pico);
    ASSERT_EQ(money(amount.to_string()), amount) << amount.to_string();
  }
}

}  // namespace
}  // namespace tidegate
