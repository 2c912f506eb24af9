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
  EXPECT_TRUE(log.has("prices_refused"));
}

TEST_F(AccountsFeedTest, SecretsAndMacsStayOutOfTheLog) {
  begin_and_wait();
  EXPECT_FALSE(log.mentions(key_text));
  EXPECT_FALSE(log.mentions(kPepper));
}

}  // namespace
}  // namespace tidegate::gateway
