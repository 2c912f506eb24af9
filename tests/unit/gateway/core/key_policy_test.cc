#include "gateway/core/key_policy.h"

#include <gtest/gtest.h>

namespace tidegate::gateway {
namespace {

KeyUse use(KeyScope scope, const char* client) { return {scope, IpAddress::parse(client)}; }

TEST(KeyPolicy, AKeyWithoutLimitsIsForInferenceFromAnywhere) {
  const KeyPolicy policy;
  EXPECT_TRUE(check_use(policy, use(KeyScope::kChat, "203.0.113.7")));
  EXPECT_TRUE(check_use(policy, use(KeyScope::kModels, "2001:db8::1")));
  EXPECT_TRUE(check_use(policy, {KeyScope::kEmbeddings, std::nullopt}));
  EXPECT_EQ(check_use(policy, use(KeyScope::kUsage, "203.0.113.7")).error().reason, "scope_not_allowed");
}

TEST(KeyPolicy, AScopeThatIsMissingIsNamedWithThoseThatAreThere) {
  KeyPolicy policy;
  policy.scopes = KeyScopes();
  policy.scopes.add(KeyScope::kChat);
  policy.scopes.add(KeyScope::kModels);
  const Status status = check_use(policy, use(KeyScope::kEmbeddings, "203.0.113.7"));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kPermissionDenied);
  EXPECT_EQ(status.error().field, "Authorization");
  EXPECT_NE(status.error().message.find("embeddings"), std::string::npos);
  EXPECT_NE(status.error().message.find("chat, models"), std::string::npos);
}

TEST(KeyPolicy, AnyOfTheRangesIsEnoughAndNoneOfThemIsTold) {
  KeyPolicy policy;
  policy.sources = {*IpRange::parse("198.51.100.0/24"), *IpRange::parse("2001:db8::/32")};
  EXPECT_TRUE(check_use(policy, use(KeyScope::kChat, "198.51.100.9")));
  EXPECT_TRUE(check_use(policy, use(KeyScope::kChat, "2001:db8::9")));
  const Status status = check_use(policy, use(KeyScope::kChat, "203.0.113.7"));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().reason, "source_not_allowed");
  EXPECT_NE(status.error().message.find("203.0.113.7"), std::string::npos);
  EXPECT_EQ(status.error().message.find("198.51.100"), std::string::npos);
}

TEST(KeyPolicy, AnUnknownAddressIsOutsideEveryRange) {
  KeyPolicy policy;
  policy.sources = {*IpRange::parse("0.0.0.0/0"), *IpRange::parse("::/0")};
  EXPECT_EQ(check_use(policy, {KeyScope::kChat, std::nullopt}).error().reason, "source_not_allowed");
}

}  // namespace
}  // namespace tidegate::gateway
