#include "billing/core/cap_rules.h"

#include <gtest/gtest.h>

namespace tidegate::billing {
namespace {

TEST(CapRules, ACapIsForOneSubjectOrTheWholeTenant) {
  EXPECT_EQ(scope_of({}).value(), CapScope::kTenant);
  EXPECT_EQ(scope_of({.project = "p"}).value(), CapScope::kProject);
  EXPECT_EQ(scope_of({.key = "k"}).value(), CapScope::kKey);
  EXPECT_EQ(scope_of({.user = "ann"}).value(), CapScope::kUser);
  EXPECT_EQ(scope_of({.is_every_user = true}).value(), CapScope::kUser);
  EXPECT_EQ(scope_of({.project = "p", .key = "k"}).error().reason, "bad_cap");
  EXPECT_EQ(scope_of({.user = "ann", .is_every_user = true}).error().reason, "bad_cap");
  const std::string long_name(kEndUserBytesMax + 1, 'x');
  EXPECT_EQ(scope_of({.user = long_name}).error().field, "user");
}

TEST(CapRules, NamesAreReadAsTheyAreWritten) {
  for (const auto scope : {CapScope::kTenant, CapScope::kProject, CapScope::kKey, CapScope::kUser}) {
    EXPECT_EQ(parse_cap_scope(cap_scope_name(scope)), scope);
  }
  for (const auto period : {CapPeriod::kTotal, CapPeriod::kMonthly, CapPeriod::kDaily}) {
    EXPECT_EQ(read_cap_period(cap_period_name(period)).value(), period);
  }
  EXPECT_EQ(read_cap_period("").value(), CapPeriod::kMonthly);
  EXPECT_EQ(read_cap_period("weekly").error().field, "period");
  EXPECT_FALSE(parse_cap_scope("team"));
}

TEST(CapRules, ZeroIsALimitAndLessIsNone) {
  EXPECT_TRUE(check_cap_amount(Money()));
  EXPECT_EQ(check_cap_amount(Money::from_pico(-1)).error().field, "amount");
}

}  // namespace
}  // namespace tidegate::billing
