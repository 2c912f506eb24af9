#include "billing/core/invoice.h"

#include <gtest/gtest.h>

#include "base/core/random.h"
#include "billing/core/currency.h"
#include "billing/core/tax_rate.h"

namespace tidegate::billing::invoice_test {
namespace {

Money money(const char* text) { return Money::parse(text).value(); }

LinePart part(const char* model, const char* amount, std::int64_t day = 1, Int128 quantity = 1) {
  LinePart out;
  out.key.model = model;
  out.day = day;
  out.quantity = quantity;
  out.amount = money(amount);
  return out;
}

TEST(Currency, KnowsItsSmallestUnitOrRefuses) {
  EXPECT_EQ(minor_unit_decimals("USD").value(), 2);
  EXPECT_EQ(minor_unit_decimals("CNY").value(), 2);
  EXPECT_EQ(minor_unit_decimals("JPY").value(), 0);
  EXPECT_EQ(minor_unit_decimals("KWD").value(), 3);
  EXPECT_EQ(minor_unit_decimals("XYZ").error().reason, "unknown_currency");
}

TEST(TaxRate, IsAnExactFractionHoweverItIsWritten) {
  EXPECT_EQ(TaxRate::parse("6%").value(), (TaxRate{3, 50}));
  EXPECT_EQ(TaxRate::parse("0.06").value(), (TaxRate{3, 50}));
  EXPECT_EQ(TaxRate::parse("8.875%").value(), (TaxRate{71, 800}));
  EXPECT_EQ(TaxRate::parse("1/3").value(), (TaxRate{1, 3}));
  EXPECT_EQ(TaxRate::parse("").value(), TaxRate());
  EXPECT_EQ(TaxRate::parse("100%").value(), (TaxRate{1, 1}));
  for (const char* text :
       {"6", "-1%", "101%", "4/3", "1/0", "a", "%", "1/", "/2", "-1/2", "1/1000001", "0.0000001", "1e-2"}) {
    EXPECT_EQ(TaxRate::parse(text).error().field, "tax_rate") << text;
  }
}

TEST(TaxRate, PrintsAPercentageWhereOneIsExact) {
  for (const char* text : {"0%", "6%", "8.875%", "19%", "100%", "1/3"})
    EXPECT_EQ(TaxRate::parse(text)->to_string(), text);
}

TEST(TaxRate, RoundsOnceHalfToEven) {
  EXPECT_EQ(tax_of(money("0.25"), TaxRate{1, 10}, 2), money("0.02"));  // 0.025
  EXPECT_EQ(tax_of(money("0.75"), TaxRate{1, 10}, 2), money("0.08"));  // 0.075
  EXPECT_EQ(tax_of(money("-0.25"), TaxRate{1, 10}, 2), money("-0.02"));
  EXPECT_EQ(tax_of(money("10"), TaxRate{1, 3}, 2), money("3.33"));
  EXPECT_EQ(tax_of(money("15"), TaxRate{1, 10}, 0), money("2"));
}

TEST(InvoiceLines, AreSumsOfTheirPartsAndNothingIsPrintedForNothing) {
  const auto lines =
      gather_lines({part("b", "1"), part("a", "0.5"), part("a", "0.25", 2), part("c", "0", 1, 0), part("d", "0")});
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].key.model, "a");
  EXPECT_EQ(lines[0].amount, money("0.75"));
  EXPECT_EQ(lines[0].parts.size(), 2U);
  EXPECT_EQ(lines[1].key.model, "b");
  EXPECT_EQ(lines[2].key.model, "d") << "tokens that cost nothing are still shown";
}

TEST(InvoiceLines, UsageComesBeforeCorrectionsAdjustmentsAndCredits) {
  std::vector<LinePart> parts;
  for (const auto kind : {LineKind::kCredit, LineKind::kAdjustment, LineKind::kCorrection, LineKind::kUsage}) {
    parts.push_back(part("m", "1"));
    parts.back().key.kind = kind;
    EXPECT_EQ(parse_line_kind(line_kind_name(kind)), kind);
  }
  const auto lines = gather_lines(parts);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines.front().key.kind, LineKind::kUsage);
  EXPECT_EQ(lines.back().key.kind, LineKind::kCredit);
}

TEST(InvoiceTotals, RoundOnceAndKeepTheResidue) {
  const auto totals =
      total_up(gather_lines({part("a", "0.004"), part("b", "0.004"), part("c", "0.004")}), TaxRate{3, 50}, "USD")
          .value();
  EXPECT_EQ(totals.subtotal_exact, money("0.012"));
  EXPECT_EQ(totals.subtotal, money("0.01")) << "three lines rounded by themselves would come to nothing";
  EXPECT_EQ(totals.rounding, money("-0.002"));
  EXPECT_EQ(totals.tax, money("0"));
  EXPECT_EQ(totals.total, money("0.01"));
}

TEST(InvoiceTotals, HalfGoesToTheEvenUnitOfTheCurrency) {
  EXPECT_EQ(total_up(gather_lines({part("a", "1.005")}), {}, "USD")->total, money("1"));
  EXPECT_EQ(total_up(gather_lines({part("a", "1.015")}), {}, "CNY")->total, money("1.02"));
  EXPECT_EQ(total_up(gather_lines({part("a", "2.5")}), {}, "JPY")->total, money("2"));
  EXPECT_EQ(total_up(gather_lines({part("a", "1.0005")}), {}, "KWD")->total, money("1"));
  EXPECT_EQ(total_up(gather_lines({part("a", "-1.005")}), {}, "USD")->total, money("-1"));
}

TEST(InvoiceTotals, RefuseWhatNoCurrencyOrNoRangeAllows) {
  EXPECT_EQ(total_up({}, {}, "XYZ").error().reason, "unknown_currency");
  EXPECT_EQ(total_up(gather_lines({part("a", "100000000000000000000")}), {}, "USD").error().reason,
            "invoice_too_large");
  EXPECT_TRUE(total_up(gather_lines({part("a", "99999999999999999999")}), TaxRate{1, 1}, "USD"));
}

TEST(InvoiceEntries, BalanceAndAreUndoneByTheirVoiding) {
  Rng rng(7);
  for (int i = 0; i < 2000; ++i) {
    auto one = part("a", "0");
    one.amount = Money::from_pico(Int128(rng.next() >> 8) - (Int128(1) << 54));
    const auto totals = total_up(gather_lines({one}), TaxRate{71, 800}, i % 2 == 0 ? "USD" : "JPY").value();
    Money issued, undone, revenue = -totals.subtotal_exact;
    for (const auto& entry : issue_entries(totals)) {
      EXPECT_FALSE(entry.amount.is_zero());
      issued += entry.amount;
      if (entry.account == "revenue") revenue += entry.amount;
    }
    for (const auto& entry : void_entries(totals)) undone += entry.amount;
    EXPECT_TRUE(issued.is_zero() && undone.is_zero());
    EXPECT_EQ(-revenue, totals.subtotal) << "after the issue the period's revenue is what is printed";
    EXPECT_EQ(totals.subtotal_exact + totals.rounding + totals.tax, totals.total);
  }
}

TEST(DocumentNumber, HasPrefixYearAndCount) {
  EXPECT_EQ(document_number("TG", 2026, 42), "TG-2026-000042");
  EXPECT_EQ(document_number("TG", 2026, 1234567), "TG-2026-1234567");
  EXPECT_TRUE(check_prefix("TG-CN", "prefix"));
  for (const char* prefix : {"", "tg", "T G", "THIRTEEN-CHAR"})
    EXPECT_EQ(check_prefix(prefix, "prefix").error().field, "prefix");
}

}  // namespace
}  // namespace tidegate::billing::invoice_test
