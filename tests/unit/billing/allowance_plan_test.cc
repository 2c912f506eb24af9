#include "billing/core/allowance_plan.h"

#include <gtest/gtest.h>

namespace tidegate::billing::allowance_plan_test {
namespace {

const Wall kNow = parse_rfc3339("2026-11-22T12:00:00Z").value();
constexpr auto kDay = std::chrono::hours(24);

AllowancePlan quota(std::string name = "free") {
  AllowancePlan plan;
  plan.name = std::move(name);
  plan.kind = AllowanceKind::kFreeQuota;
  plan.currency = "USD";
  plan.meters = {price::Meter::kOutput};
  plan.free_tokens = 1000;
  plan.effective_from = kNow + kDay;
  return plan;
}
AllowancePlan stored(AllowancePlan plan, std::int64_t id) {
  plan.id = id;
  return plan;
}

TEST(AllowancePlans, TwoThatWouldMeetAreRefused) {
  AllowancePlan second = quota("second");
  EXPECT_EQ(check_plans({quota(), second}).error().field, "allowances.effective_from");
  second.model = "m";
  EXPECT_TRUE(check_plans({quota(), second})) << "a model's own goes before";
  second.model.clear();
  second.currency = "CNY";
  EXPECT_TRUE(check_plans({quota(), second}));
  second.currency = "USD";
  second.effective_from = kNow + 3 * kDay;
  AllowancePlan first = quota();
  first.effective_to = second.effective_from;
  EXPECT_TRUE(check_plans({first, second})) << "one after the other";
}

TEST(AllowancePlans, ATenantsOwnGoesBeforeAModelsOwn) {
  AllowancePlan of_model = quota("model"), of_tenant = quota("tenant"), of_both = quota("both");
  of_model.model = of_both.model = "m";
  of_tenant.tenant = of_both.tenant = "t";
  const std::vector<AllowancePlan> plans = {quota(), of_model, of_tenant, of_both};
  const Wall at = kNow + 2 * kDay;
  EXPECT_EQ(plan_of(plans, "USD", "t", "m", at)->name, "both");
  EXPECT_EQ(plan_of(plans, "USD", "t", "n", at)->name, "tenant");
  EXPECT_EQ(plan_of(plans, "USD", "u", "m", at)->name, "model");
  EXPECT_EQ(plan_of(plans, "USD", "u", "n", at)->name, "free");
  EXPECT_EQ(plan_of(plans, "CNY", "u", "n", at), nullptr);
  EXPECT_EQ(plan_of(plans, "USD", "u", "n", kNow), nullptr) << "before it begins";
}

TEST(AllowancePlans, PublishingAgainChangesOnlyEndsToCome) {
  const auto added = plan_allowances({}, {quota()}, kNow);
  ASSERT_TRUE(added) << added.error().to_string();
  EXPECT_EQ(added->add.size(), 1u);
  const std::vector<AllowancePlan> published = {stored(quota(), 4)};
  EXPECT_EQ(plan_allowances(published, {quota()}, kNow)->unchanged, 1);
  AllowancePlan ended = quota();
  ended.effective_to = kNow + 5 * kDay;
  const auto moved = plan_allowances(published, {ended}, kNow);
  ASSERT_EQ(moved->ends.size(), 1u);
  EXPECT_EQ(moved->ends[0].id, 4);
  AllowancePlan other = quota();
  other.free_tokens = 2000;
  EXPECT_EQ(plan_allowances(published, {other}, kNow).error().field, "allowances.name");
  EXPECT_EQ(plan_allowances({}, {quota()}, kNow + 2 * kDay).error().field, "allowances.effective_from");
  const std::vector<AllowancePlan> over = {stored(ended, 4)};
  EXPECT_EQ(plan_allowances(over, {quota()}, kNow + 6 * kDay).error().field, "allowances.effective_to");
}

}  // namespace
}  // namespace tidegate::billing::allowance_plan_test
