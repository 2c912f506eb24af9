#include "gateway/money/accounts_feed.h"

#include <gtest/gtest.h>

#include "tests/unit/gateway/money/money_world.h"

namespace tidegate::gateway {
namespace {

using test::eventually;
using test::flat_price;

struct AccountsFeedTest : test::MoneyWorld {};

TEST_F(AccountsFeedTest, ARevokedKeyStopsWorking) {
  begin_and_wait();
  ASSERT_TRUE(treasury->principals().authenticate(key_text, {}));
  billing.remove_key(key_id);
  EXPECT_TRUE(eventually([&] { return !treasury->principals().authenticate(key_text, {}); }));
}

TEST_F(AccountsFeedTest, KeysAndPricesOutliveABrokenStream) {
  begin_and_wait();
  billing.set_down(true);
  ASSERT_TRUE(eventually([&] { return log.has("accounts_watch_lost"); }));
  EXPECT_TRUE(treasury->principals().authenticate(key_text, {}));
  EXPECT_TRUE(treasury->meter().quote(**treasury->principals().authenticate(key_text, {}), "tang-moe"));
}

TEST_F(AccountsFeedTest, AKeyRevokedDuringAnOutageIsGoneAfterTheNextSnapshot) {
  begin_and_wait();
  billing.set_down(true);
  billing.remove_key(key_id);
  billing.set_down(false);
  EXPECT_TRUE(eventually([&] { return !treasury->principals().authenticate(key_text, {}); }));
}

TEST_F(AccountsFeedTest, ABrokenPriceListLeavesTheLastGoodOneInForce) {
  begin_and_wait();
  v1::PriceVersion overlapping = flat_price(2, 7'000'000);  // the same model at the same time
  billing.add_price(overlapping);
  ASSERT_TRUE(eventually([&] { return metric("tidegate_gateway_price_refusals_total") == 1; }));
  const auto quote = treasury->meter().quote(**treasury->principals().authenticate(key_text, {}), "tang-moe");
  ASSERT_TRUE(quote);
  EXPECT_EQ(quote->price_version, "test-book/1");
  EXPECT_TRUE(eventually([&] { return log.has("prices_refused"); })) << "behind the count";
}

TEST_F(AccountsFeedTest, AKeysExpiryAndModelsAreThoseThatBillingToldOf) {
  v1::Principal principal = key_for(wallet);
  principal.add_models("tang-moe");
  principal.set_expires_us(unix_micros(clock.wall()) - 1);
  billing.add_key(principal);
  begin_and_wait();
  EXPECT_EQ(treasury->principals().authenticate(key_text, {}).error().reason, "invalid_api_key") << "expired";
  principal.set_expires_us(unix_micros(clock.wall() + std::chrono::hours(1)));
  billing.add_key(principal);
  ASSERT_TRUE(eventually([&] { return treasury->principals().authenticate(key_text, {}).has_value(); }));
  const auto known = treasury->principals().authenticate(key_text, {});
  ASSERT_TRUE(known);
  EXPECT_TRUE((*known)->may_call("tang-moe"));
  EXPECT_FALSE((*known)->may_call("another"));
}

TEST_F(AccountsFeedTest, LimitsOnRatesAreAddedChangedRemovedAndOutliveABrokenStream) {
  v1::RateLimitRule rule;
  rule.set_limit_id(SequentialBytes(81));
  rule.set_tenant_id(SequentialBytes(71));
  rule.set_scope(v1::LIMIT_SCOPE_PROJECT);
  rule.set_subject(SequentialBytes(72));
  rule.set_model("tang-moe");
  rule.set_requests_per_minute(600);
  rule.set_tokens_per_day(5'000);
  billing.set_limit(rule);
  begin_and_wait();
  const auto key = treasury->principals().authenticate(key_text, {});
  ASSERT_TRUE(key);
  const auto numbers = [&](const char* model) {
    const auto rules = treasury->feed().limits();
    std::vector<const RateRule*> found;
    rules->find((*key)->tenant, (*key)->project, (*key)->key, model, found);
    return found.size() == 1 ? found[0]->requests_per_minute + found[0]->tokens_per_day : 0;
  };
  EXPECT_EQ(numbers("tang-moe"), 5'600);
  EXPECT_EQ(numbers("another"), 0);

  rule.set_requests_per_minute(7);
  billing.set_limit(rule);
  EXPECT_TRUE(eventually([&] { return numbers("tang-moe") == 5'007; }));
  v1::RateLimitRule unreadable = rule;  // a scope of a newer billing
  unreadable.set_limit_id(SequentialBytes(82));
  unreadable.set_scope(v1::LIMIT_SCOPE_UNSPECIFIED);
  billing.set_limit(unreadable);
  EXPECT_TRUE(eventually([&] { return metric("tidegate_gateway_limit_refusals_total") == 1; }));
  EXPECT_TRUE(eventually([&] { return log.has("limits_refused"); })) << "behind the count";
  EXPECT_EQ(numbers("tang-moe"), 5'007) << "the last good ones stay";
  EXPECT_TRUE(treasury->principals().authenticate(key_text, {})) << "and whoever was served is";
  billing.remove_limit(unreadable.limit_id());
  rule.set_requests_per_minute(8);
  billing.set_limit(rule);
  EXPECT_TRUE(eventually([&] { return numbers("tang-moe") == 5'008; }));

  billing.set_down(true);
  ASSERT_TRUE(eventually([&] { return log.has("accounts_watch_lost"); }));
  EXPECT_EQ(numbers("tang-moe"), 5'008);
  billing.set_down(false);
  billing.remove_limit(rule.limit_id());
  EXPECT_TRUE(eventually([&] { return numbers("tang-moe") == 0; }));
}

TEST_F(AccountsFeedTest, WithoutLimitsThatCouldBeReadNoKeyIsKnown) {
  v1::RateLimitRule negative;
  negative.set_limit_id(SequentialBytes(81));
  negative.set_tenant_id(SequentialBytes(71));
  negative.set_subject(SequentialBytes(72));
  negative.set_scope(v1::LIMIT_SCOPE_PROJECT);
  negative.set_requests_per_minute(-1);
  billing.set_limit(negative);
  begin();
  ASSERT_TRUE(eventually([&] { return log.has("limits_refused"); }));
  EXPECT_FALSE(treasury->principals().authenticate(key_text, {}));
  EXPECT_TRUE(eventually([&] { return treasury->ready().error().reason == "limits_not_loaded"; }));
  billing.remove_limit(negative.limit_id());
  EXPECT_TRUE(eventually([&] { return treasury->principals().authenticate(key_text, {}).has_value(); }));
}

TEST_F(AccountsFeedTest, ScopesAndSourcesComeWithTheKeyAndAnUnreadableLimitShutsItOut) {
  v1::Principal limited = key_for(wallet);
  limited.add_scopes("models");
  limited.add_scopes("teleport");  // of a newer billing
  limited.add_sources("203.0.113.0/24");
  billing.add_key(limited);
  begin_and_wait();
  const auto inside = IpAddress::parse("203.0.113.7");
  const Principals& keys = treasury->principals();
  EXPECT_TRUE(keys.authenticate(key_text, {KeyScope::kModels, inside}));
  EXPECT_EQ(keys.authenticate(key_text, {KeyScope::kChat, inside}).error().reason, "scope_not_allowed");
  EXPECT_EQ(keys.authenticate(key_text, {KeyScope::kModels, std::nullopt}).error().reason, "source_not_allowed");
  limited.add_sources("everywhere");
  billing.add_key(limited);
  EXPECT_TRUE(eventually([&] { return log.has("principal_refused"); }));
  EXPECT_TRUE(eventually([&] { return !keys.authenticate(key_text, {KeyScope::kModels, inside}); }));
}

TEST_F(AccountsFeedTest, TheRegionsOfATenantComeWithItsKeys) {
  v1::Principal resident = key_for(wallet);
  resident.add_regions("eu-1");
  resident.add_regions("eu-2");
  billing.add_key(resident);
  begin_and_wait();
  const auto principal = treasury->principals().authenticate(key_text, {});
  ASSERT_TRUE(principal) << principal.error().to_string();
  EXPECT_EQ((*principal)->regions, (std::vector<std::string>{"eu-1", "eu-2"}));
}

TEST_F(AccountsFeedTest, SecretsAndMacsStayOutOfTheLog) {
  begin_and_wait();
  EXPECT_FALSE(log.mentions(key_text));
  EXPECT_FALSE(log.mentions(kPepper));
}

}  // namespace
}  // namespace tidegate::gateway
