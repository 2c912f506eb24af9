#include "billing/core/account_rules.h"

#include <gtest/gtest.h>

namespace tidegate::billing {
namespace {

TEST(AccountRules, NamesAreDnsLabels) {
  for (const auto* name : {"a", "acme-2", "0"}) EXPECT_TRUE(check_name(name, "name")) << name;
  for (const auto* name : {"", "-a", "A", "a.b", "a b"}) EXPECT_EQ(check_name(name, "name").error().field, "name") << name;
  EXPECT_TRUE(check_name(std::string(63, 'a'), "name"));
  EXPECT_FALSE(check_name(std::string(64, 'a'), "name"));
}

TEST(AccountRules, TenantsNeedAZoneAndACurrency) {
  EXPECT_TRUE(check_tenant("acme", "Asia/Shanghai", "CNY"));
  EXPECT_EQ(check_tenant("acme", "Asia/Peking", "CNY").error().field, "billing_tz");
  EXPECT_EQ(check_tenant("acme", "UTC", "cny").error().field, "currency");
}

TEST(AccountRules, RegionsAreNamesEachOnce) {
  EXPECT_EQ(read_regions({"us", "eu-1", "us"}).value(), (std::vector<std::string>{"eu-1", "us"}));
  EXPECT_TRUE(read_regions({}).value().empty()) << "anywhere";
  EXPECT_EQ(read_regions({"eu 1"}).error().field, "regions");
  std::vector<std::string> many;
  for (int i = 0; i < 33; ++i) many.push_back("r" + std::to_string(i));
  EXPECT_EQ(read_regions(many).error().reason, "bad_regions");
}

TEST(AccountRules, KeysAreBounded) {
  const Wall now = wall_from_unix_micros(1'000'000);
  EXPECT_TRUE(check_key("my key", {"m"}, now, now + std::chrono::seconds(1)));
  EXPECT_EQ(check_key("my key", {}, now, now).error().field, "expires_us");
  EXPECT_EQ(check_key("a\nb", {}, now, {}).error().field, "name");
  EXPECT_EQ(check_key("", {"a\nb"}, now, {}).error().field, "models") << "names are stored line by line";
  EXPECT_EQ(check_key("", std::vector<std::string>(65, "m"), now, {}).error().field, "models");
  EXPECT_FALSE(check_note(std::string(501, 'x')));
}

TEST(AccountRules, AShareHasAWeightAndATier) {
  EXPECT_TRUE(check_share(1, "default"));
  EXPECT_TRUE(check_share(1'000, "priority"));
  EXPECT_EQ(check_share(0, "flex").error().field, "queue_weight");
  EXPECT_EQ(check_share(1'001, "flex").error().field, "queue_weight");
  EXPECT_EQ(check_share(1, "gold").error().field, "tier_max");
}

}  // namespace
}  // namespace tidegate::billing
