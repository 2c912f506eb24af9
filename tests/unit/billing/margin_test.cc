#include "billing/core/margin.h"

#include <gtest/gtest.h>

#include "base/core/random.h"

namespace tidegate::billing::margin_test {
namespace {

Money money(const char* text) { return Money::parse(text).value(); }
Wall hour(int n) { return parse_rfc3339("2025-02-27T04:00:00Z").value() + std::chrono::hours(n); }

constexpr std::int64_t kBillion = 1'000'000'000;

/// What DeepSeek published of 24 hours to 2025-02-28 (open-infra-index, day 6): 608 billion input tokens, 342 of them
/// cache hits, 168 billion output tokens, 226.75 nodes of 8 accelerators on average at 2 USD an accelerator and hour.
std::vector<CostHour> deepseek_costs() {
  std::vector<CostHour> out;
  for (int n = 0; n < 24; ++n) out.push_back({hour(n), "cn", "h800", "deepseek-r1", 226'750'000 * 8, 2'000'000});
  return out;
}
UsageHour deepseek_usage() {
  UsageHour one{hour(0), "cn", "h800", "deepseek-r1", "standard"};
  one.tokens = Int128(608 + 168) * kBillion;
  one.work = Int128(608 - 342 + 168) * kBillion;
  one.revenue = Rate::parse("0.14")->amount(342 * kBillion) + Rate::parse("0.55")->amount((608 - 342) * kBillion) +
                Rate::parse("2.19")->amount(168 * kBillion);
  one.list = one.revenue;
  return one;
}

TEST(Margin, DeepSeeksPublishedCostIsReproducedExactly) {
  const auto report = margin_report({deepseek_usage()}, deepseek_costs(), MarginBy::kModel);
  EXPECT_EQ(report.total.cost, money("87072"));
  EXPECT_EQ(report.total.accelerator_micro_hours, Int128(1814) * 24 * 1'000'000);
  ASSERT_EQ(report.rows.size(), 1U);
  EXPECT_EQ(report.rows[0].cost, money("87072")) << "hours without a request belong to the model the nodes served";
  EXPECT_TRUE(report.idle.is_zero());
}

TEST(Margin, DeepSeeksPublished545PercentIsReproduced) {
  // From the published revenue.
  EXPECT_EQ(margin_percent(money("562027"), money("87072")), "545.47");
  // From the published tokens, which are rounded to billions: 73 dollars more.
  const auto report = margin_report({deepseek_usage()}, deepseek_costs(), MarginBy::kModel);
  EXPECT_EQ(report.total.revenue, money("562100"));
  EXPECT_EQ(margin_percent(report.total.revenue, report.total.cost), "545.56");
  // As exact fractions: both are at least 545 % and below 546 %.
  for (const Money revenue : {money("562027"), money("562100")}) {
    const Int128 profit = (revenue - money("87072")).pico();
    EXPECT_GE(profit * 100, money("87072").pico() * 545);
    EXPECT_LT(profit * 100, money("87072").pico() * 546);
  }
  // And the published revenue is within what half a billion tokens either way of each figure can make.
  const Money slack = Rate::parse("0.55")->amount(kBillion / 2) + Rate::parse("0.41")->amount(kBillion / 2) +
                      Rate::parse("2.19")->amount(kBillion / 2);
  EXPECT_LT(report.total.revenue - money("562027"), slack);
}

TEST(Margin, ASharedPoolIsPaidByWorkAndItsIdleHoursByNobody) {
  std::vector<UsageHour> usage = {{hour(0), "r", "p", "a", "peak", 10, 3, money("9"), money("9")},
                                  {hour(0), "r", "p", "b", "peak", 5, 1, money("1"), money("2")},
                                  {hour(0), "r", "p", "c", "peak", 5, 0, money("1"), money("1")},
                                  {hour(0), "r", "other", "a", "peak", 9, 9, money("1"), money("1")}};
  const std::vector<CostHour> costs = {{hour(0), "r", "p", "", 4'000'000, 1'000'000},
                                       {hour(1), "r", "p", "", 4'000'000, 1'000'000}};
  const auto report = margin_report(usage, costs, MarginBy::kModel);
  ASSERT_EQ(report.rows.size(), 3U);
  EXPECT_EQ(report.rows[0].cost, money("3"));
  EXPECT_EQ(report.rows[0].revenue, money("10"));
  EXPECT_EQ(report.rows[1].cost, money("1"));
  EXPECT_EQ(report.rows[1].list, money("2"));
  EXPECT_EQ(report.rows[2].cost, Money()) << "nothing was computed for it";
  EXPECT_EQ(report.idle, money("4"));
  EXPECT_EQ(report.total.cost, money("8"));
  EXPECT_EQ(report.total.margin(), money("4"));
}

TEST(Margin, HoursAndBandsSumToTheModels) {
  Rng rng(3);
  std::vector<UsageHour> usage;
  std::vector<CostHour> costs;
  for (int n = 0; n < 48; ++n) {
    for (const char* model : {"a", "b"}) {
      for (const char* band : {"peak", "offpeak"}) {
        const auto work = static_cast<std::int64_t>(rng.next() % 1000);
        usage.push_back(
            {hour(n), "r", "p", model, band, work * 2, work, Money::from_pico(work * 7), Money::from_pico(work * 9)});
      }
    }
    costs.push_back(
        {hour(n), "r", "p", n % 3 == 0 ? "a" : "", static_cast<std::int64_t>(rng.next() % 9'000'000), 1'234'567});
  }
  Money by[3], idle[3], revenue[3];
  for (const auto kind : {MarginBy::kModel, MarginBy::kHour, MarginBy::kBand}) {
    const auto report = margin_report(usage, costs, kind);
    const auto at = static_cast<std::size_t>(kind);
    for (const auto& row : report.rows) by[at] += row.cost;
    for (const auto& row : report.rows) revenue[at] += row.revenue;
    idle[at] = report.idle;
    EXPECT_EQ(by[at] + idle[at], report.total.cost);
    EXPECT_EQ(revenue[at], report.total.revenue);
  }
  EXPECT_EQ(by[0], by[1]);
  EXPECT_EQ(by[0], by[2]);
}

TEST(SplitExactly, LosesNothingAndFavoursTheLargestRemainder) {
  EXPECT_EQ(split_exactly(Money::from_pico(10), {1, 1, 1}),
            (std::vector<Money>{Money::from_pico(4), Money::from_pico(3), Money::from_pico(3)}));
  EXPECT_EQ(split_exactly(Money::from_pico(-10), {2, 1}),
            (std::vector<Money>{Money::from_pico(-7), Money::from_pico(-3)}));
  EXPECT_EQ(split_exactly(money("1"), {0, 5}), (std::vector<Money>{Money(), money("1")}));
  Rng rng(11);
  for (int i = 0; i < 500; ++i) {
    std::vector<Int128> weights;
    for (int k = 0; k < 9; ++k) weights.push_back(static_cast<Int128>(rng.next() % 1'000'000));
    weights.push_back(1);
    const Money total = Money::from_pico(static_cast<Int128>(rng.next() >> 4));
    Money sum;
    for (const Money part : split_exactly(total, weights)) sum += part;
    EXPECT_EQ(sum, total);
  }
}

TEST(MarginPercent, RoundsHalfToEvenAndNeedsACost) {
  EXPECT_EQ(margin_percent(money("1"), money("2")), "-50.00");
  EXPECT_EQ(margin_percent(money("1.00005"), money("1")), "0.00");
  EXPECT_EQ(margin_percent(money("1.00015"), money("1")), "0.02");
  EXPECT_EQ(margin_percent(money("1"), Money()), std::nullopt);
  EXPECT_EQ(parse_margin_by("day"), std::nullopt);
}

}  // namespace
}  // namespace tidegate::billing::margin_test
