#include "billing/core/allowance.h"

#include <gtest/gtest.h>

#include <random>

namespace tidegate::billing::allowance_test {
namespace {

using price::Meter;

Rate rate_of(std::string_view text) {
  return Rate::parse(text).value();
}

AllowancePlan tiered(AllowanceKind kind) {
  AllowancePlan plan;
  plan.name = "month";
  plan.kind = kind;
  plan.currency = "USD";
  plan.meters = {Meter::kOutput};
  plan.tiers = {{0, rate_of("2")}, {1'000'000, rate_of("1")}, {10'000'000, rate_of("0.5")}};
  return plan;
}

AllowancePlan quota(std::int64_t tokens) {
  AllowancePlan plan = tiered(AllowanceKind::kFreeQuota);
  plan.tiers.clear();
  plan.free_tokens = tokens;
  plan.meters = {Meter::kInputCacheMiss, Meter::kOutput};
  return plan;
}

/// An event rated at the list price, 2 per 1M for every meter.
price::RatedRequest rated(std::int64_t miss, std::int64_t output, price::Ratio factor = {}) {
  price::RatedRequest out;
  const std::int64_t quantities[] = {0, miss, output};
  for (std::size_t i = 0; i < price::kMeterCount; ++i) {
    out.lines[i] = {price::kMeters[i], quantities[i], rate_of("2"), {}, factor};
    out.lines[i].amount = price::modified_amount(out.lines[i].rate, quantities[i], factor);
    out.total += out.lines[i].amount;
  }
  return out;
}

std::string refused(const AllowancePlan& plan) {
  const auto status = check_allowance(plan);
  return status ? "" : status.error().field;
}

TEST(Allowance, GraduatedTokensCostTheirOwnTier) {
  const auto plan = tiered(AllowanceKind::kGraduated);
  EXPECT_EQ(allowance_of(plan, 900'000, rated(0, 200'000)).amount, Money::parse("0.1").value());
  EXPECT_EQ(allowance_of(plan, 900'000, rated(0, 100'000)).amount, Money())
      << "the boundary belongs to the lower tier";
  EXPECT_EQ(allowance_of(plan, 900'000, rated(5, 200'000)).counted, 200'000) << "other meters do not count";
}

TEST(Allowance, VolumeRepricesTheWholeMonth) {
  const auto plan = tiered(AllowanceKind::kVolume);
  EXPECT_EQ(allowance_of(plan, 0, rated(0, 12'500'000)).amount, Money::parse("18.75").value());
  // One token past the million lowers the month's bill by almost one unit.
  EXPECT_EQ(allowance_of(plan, 1'000'000, rated(0, 1)).amount, Money::parse("1.000001").value());
}

TEST(Allowance, AFreeQuotaIsUsedUpInTheOrderOfItsMeters) {
  const auto plan = quota(1000);
  EXPECT_EQ(allowance_of(plan, 0, rated(600, 300)).amount, rated(600, 300).total);
  EXPECT_EQ(allowance_of(plan, 700, rated(200, 300)).amount, rated(200, 100).total);
  EXPECT_EQ(allowance_of(plan, 1000, rated(200, 300)).amount, Money());
  EXPECT_EQ(allowance_of(plan, 700, rated(200, 300)).counted, 500) << "use beyond the quota counts on";
}

TEST(Allowance, ModifiersApplyToTheTierAsToTheList) {
  const auto plan = tiered(AllowanceKind::kGraduated);
  EXPECT_EQ(allowance_of(plan, 900'000, rated(0, 200'000, {1, 2})).amount, Money::parse("0.05").value());
  EXPECT_EQ(allowance_of(quota(1000), 0, rated(3, 0, {1, 2})).amount, rated(3, 0, {1, 2}).total);
}

TEST(Allowance, AMonthInPartsCostsWhatItCostsWhole) {
  std::mt19937_64 random(5);
  for (const auto kind : {AllowanceKind::kGraduated, AllowanceKind::kVolume}) {
    const auto plan = tiered(kind);
    std::int64_t count = 0;
    Money charged;
    for (int i = 0; i < 3000; ++i) {
      const auto event = rated(0, std::uniform_int_distribution<std::int64_t>(0, 9000)(random));
      const auto allowance = allowance_of(plan, count, event);
      ASSERT_FALSE(allowance.amount.is_negative());
      charged += event.total - allowance.amount;
      count += allowance.counted;
      ASSERT_EQ(charged, month_cost(plan, count)) << allowance_kind_name(kind) << " after " << count;
    }
    EXPECT_GT(count, 10'000'000) << "every tier was met";
  }
}

TEST(Allowance, AListPriceBelowTheTierIsKept) {
  auto plan = tiered(AllowanceKind::kGraduated);
  for (auto& tier : plan.tiers) tier.rate = rate_of("3");
  EXPECT_EQ(allowance_of(plan, 0, rated(0, 1000)).amount, Money());
}

TEST(Allowance, BadPlansAreRefusedByField) {
  EXPECT_EQ(refused(tiered(AllowanceKind::kVolume)), "");
  EXPECT_EQ(refused(quota(1)), "");
  auto broken = [](auto change) {
    auto plan = tiered(AllowanceKind::kGraduated);
    change(plan);
    return refused(plan);
  };
  EXPECT_EQ(broken([](auto& p) { p.name.clear(); }), "allowances.name");
  EXPECT_EQ(broken([](auto& p) { p.currency = "$"; }), "allowances.currency");
  EXPECT_EQ(broken([](auto& p) { p.meters.clear(); }), "allowances.meters");
  EXPECT_EQ(broken([](auto& p) { p.meters = {Meter::kOutput, Meter::kOutput}; }), "allowances.meters");
  EXPECT_EQ(broken([](auto& p) { p.tiers.clear(); }), "allowances.tiers");
  EXPECT_EQ(broken([](auto& p) { p.tiers[0].over = 1; }), "allowances.tiers");
  EXPECT_EQ(broken([](auto& p) { p.tiers[2].over = p.tiers[1].over; }), "allowances.tiers");
  EXPECT_EQ(broken([](auto& p) { p.tiers[2].rate = rate_of("3"); }), "allowances.tiers")
      << "a surcharge after the fact";
  EXPECT_EQ(broken([](auto& p) { p.effective_to = p.effective_from; }), "allowances.effective_to");
  EXPECT_EQ(refused(quota(0)), "allowances.free_tokens");
}

TEST(QuantityTiers, RangesMustMeet) {
  const Rate rate = rate_of("1");
  EXPECT_EQ(tiers_of_ranges({{0, 10, rate}, {10, std::nullopt, rate}})->size(), 2U);
  EXPECT_FALSE(tiers_of_ranges({{0, 10, rate}, {11, std::nullopt, rate}})) << "gap";
  EXPECT_FALSE(tiers_of_ranges({{0, 10, rate}, {9, std::nullopt, rate}})) << "overlap";
  EXPECT_FALSE(tiers_of_ranges({{0, 10, rate}})) << "an end";
  EXPECT_FALSE(tiers_of_ranges({{0, std::nullopt, rate}, {10, std::nullopt, rate}}));
  EXPECT_FALSE(tiers_of_ranges({{0, 0, rate}, {0, std::nullopt, rate}}));
  EXPECT_FALSE(tiers_of_ranges({}));
}

}  // namespace
}  // namespace tidegate::billing::allowance_test
