#include "base/price/vector_reader.h"

#include <gtest/gtest.h>

#include "base/price/vector_kinds.h"

namespace tidegate::price {
namespace {

json::object object(std::string_view text) { return json::parse(text).value().as_object(); }

TEST(VectorReader, CountsSurviveAsText) {
  EXPECT_EQ(read_count(object(R"({"n": "9007199254740993"})"), "n").value(), 9007199254740993);
  EXPECT_EQ(read_count(object(R"({})"), "n").value(), 0);
  EXPECT_FALSE(read_count(object(R"({"n": "1.5"})"), "n"));
}

TEST(VectorReader, FormulasAreTokensTimesPriceTimesFactors) {
  const auto terms = read_formula(object(R"({"formula": "8000*2.5*1.25/1e6 + 7*5/1e3"})")).value();
  ASSERT_EQ(terms.size(), 2U);
  EXPECT_EQ(terms[0].quantity, 8000);
  EXPECT_EQ(terms[0].rate, Rate::parse("2.5").value());
  EXPECT_EQ(terms[0].factors, std::vector<Ratio>({{5, 4}}));
  EXPECT_EQ(terms[1].rate, Rate::parse("5000").value());
  for (const auto* bad : {"", "1/1e6", "1*2", "1*2/1e9", "x*2/1e6", "1*y/1e6", "1*2*z/1e6"}) {
    EXPECT_FALSE(read_formula({{"formula", bad}})) << bad;
  }
}

TEST(VectorReader, ATotalIsComparedInEveryFormGiven) {
  const auto expect = object(R"({"total": "0.3", "total_pico": "300000000000", "total_nano_half_even": "300000000"})");
  EXPECT_EQ(compare_total(Money::parse("0.3").value(), expect).value(), "");
  EXPECT_EQ(compare_total(Money::parse("0.300000000001").value(), expect).value(), "total is 0.300000000001, expected 0.3");
  const auto rounded = object(R"({"total": "0.0000000054375", "total_pico": "5438", "pico_is_exact": false})");
  EXPECT_EQ(compare_total(Money::from_pico(5438), rounded).value(), "");
  EXPECT_EQ(compare_total(Money::from_pico(5437), rounded).value(), "total_pico is 5437, expected 5438");
}

TEST(VectorKinds, AVectorWithoutItsPartsIsUnreadableNotPassed) {
  const auto subject = product_subject();
  EXPECT_NE(run_modifier(object(R"({"currency": "USD", "expect": {"total": "1"}})"), *subject).value_or("unreadable"), "");
  EXPECT_FALSE(run_prompt_tier(object(R"({"currency": "USD", "expect": {"total": "1"}})"), *subject));
}

}  // namespace
}  // namespace tidegate::price
