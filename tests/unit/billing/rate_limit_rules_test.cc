#include "billing/core/rate_limit_rules.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate::billing {
namespace {

TEST(RateLimitRules, ALimitIsForOneSubjectOrTheWholeTenant) {
  EXPECT_EQ(rate_scope_of("", "").value(), CapScope::kTenant);
  EXPECT_EQ(rate_scope_of("p", "").value(), CapScope::kProject);
  EXPECT_EQ(rate_scope_of("", "k").value(), CapScope::kKey);
  EXPECT_EQ(rate_scope_of("p", "k").error().reason, "bad_limit");
}

TEST(RateLimitRules, NumbersAreWholeAndAtLeastOneLimits) {
  EXPECT_TRUE(check_rate_numbers({.requests_per_minute = 1}));
  EXPECT_TRUE(check_rate_numbers({.concurrency = kRateMax}));
  EXPECT_EQ(check_rate_numbers({}).error().reason, "bad_limit");
  EXPECT_EQ(check_rate_numbers({.requests_per_minute = 5, .tokens_per_minute = -1}).error().field, "tokens_per_minute");
  EXPECT_EQ(check_rate_numbers({.tokens_per_day = kRateMax + 1}).error().field, "tokens_per_day");
}

TEST(RateLimitRules, AModelIsAPlainName) {
  EXPECT_TRUE(check_rate_model(""));
  EXPECT_TRUE(check_rate_model("deepseek-ai/DeepSeek-V3.1"));
  EXPECT_EQ(check_rate_model("two words").error().field, "model");
  EXPECT_FALSE(check_rate_model("模型"));
  EXPECT_FALSE(check_rate_model(std::string(kRateModelBytesMax + 1, 'x')));
}

}  // namespace
}  // namespace tidegate::billing
