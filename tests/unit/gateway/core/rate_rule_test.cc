#include "gateway/core/rate_rule.h"

#include <gtest/gtest.h>

#include "tests/support/sequential_ids.h"

namespace tidegate::gateway {
namespace {

Uuid id(std::uint64_t n) { return tidegate::test::SequentialIds::make(n); }

RateRule rule(std::uint64_t n, RateScope scope, std::uint64_t subject, const std::string& model = "",
              std::uint64_t tenant = 1) {
  RateRule out;
  out.id = id(n);
  out.tenant = TenantId{id(tenant)};
  out.scope = scope;
  if (subject != 0) out.subject = id(subject);
  out.model = model;
  return out;
}

std::vector<Uuid> found(const RateRules& rules, std::string_view model) {
  std::vector<const RateRule*> out;
  rules.find(TenantId{id(1)}, ProjectId{id(2)}, ApiKeyId{id(3)}, model, out);
  std::vector<Uuid> ids;
  for (const RateRule* one : out) ids.push_back(one->id);
  return ids;
}

TEST(RateRules, EveryRuleOfTenantProjectAndKeyBinds) {
  const RateRules rules({rule(11, RateScope::kTenant, 0), rule(12, RateScope::kProject, 2), rule(13, RateScope::kKey, 3),
                         rule(14, RateScope::kKey, 4), rule(15, RateScope::kProject, 5),
                         rule(16, RateScope::kTenant, 0, "", 6)});
  EXPECT_EQ(found(rules, "m"), (std::vector<Uuid>{id(11), id(12), id(13)}));
}

TEST(RateRules, ARuleOfAModelBindsThatModelBesideTheOneOfAll) {
  const RateRules rules({rule(11, RateScope::kKey, 3), rule(12, RateScope::kKey, 3, "a"), rule(13, RateScope::kKey, 3, "b")});
  EXPECT_EQ(found(rules, "a"), (std::vector<Uuid>{id(11), id(12)}));
  EXPECT_EQ(found(rules, "c"), (std::vector<Uuid>{id(11)}));
}

TEST(RateRules, AProjectsIdIsNoKeysId) {
  const RateRules rules({rule(11, RateScope::kKey, 2), rule(12, RateScope::kProject, 3),
                         rule(13, RateScope::kProject, 2, "", 9)});
  EXPECT_TRUE(found(rules, "m").empty()) << "another scope, another tenant";
}

TEST(RateRules, EachMeterHasItsNumberAndItsWords) {
  RateRule one;
  one.requests_per_minute = 1;
  one.tokens_per_minute = 2;
  one.tokens_per_day = 3;
  one.concurrency = 4;
  std::int64_t expected = 0;
  for (const RateMeter meter : kRateMeters) {
    EXPECT_EQ(one.limit_of(meter), ++expected);
    EXPECT_FALSE(rate_meter_words(meter).empty());
  }
  EXPECT_EQ(rate_scope_name(RateScope::kKey), "key");
}

}  // namespace
}  // namespace tidegate::gateway
