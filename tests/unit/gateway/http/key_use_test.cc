#include "gateway/http/key_use.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/counted.h"
#include "tests/unit/gateway/http/api_harness.h"

namespace tidegate::gateway::test {
namespace {

KeyPolicy only(KeyScope scope, const char* source = nullptr) {
  KeyPolicy policy;
  policy.scopes = KeyScopes();
  policy.scopes.add(scope);
  if (source != nullptr) policy.sources = {*IpRange::parse(source)};
  return policy;
}

TEST(KeyUse, EveryRouteAsksForItsScope) {
  ApiHarness api;
  api.principals.add("models-only", {}, only(KeyScope::kModels));
  api.principals.add("chat-only", {}, only(KeyScope::kChat));
  const HttpHeaders models{{"Authorization", "Bearer models-only"}}, chat{{"Authorization", "Bearer chat-only"}};
  EXPECT_EQ(api.fetch("GET", "/v1/models", "", models).status, 200);
  const auto refused = api.fetch("POST", "/v1/chat/completions", chat_body(false), models);
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(code_of(refused), "scope_not_allowed");
  EXPECT_NE(refused.body.find("chat"), std::string::npos);
  EXPECT_EQ(api.fetch("GET", "/v1/models", "", chat).status, 403);
  EXPECT_EQ(api.fetch("POST", "/v1/chat/completions", "{}", chat).status, 400) << "it came past the key";
  EXPECT_EQ(
      tidegate::test::counted(api.registry, 2, "tidegate_gateway_refusals_total", {{"reason", "scope_not_allowed"}}),
      2);
}

TEST(KeyUse, TheConnectionsAddressDecidesAndTheHeaderDoesNot) {
  ApiHarness api;
  api.principals.add("here", {}, only(KeyScope::kModels, "127.0.0.0/8"));
  api.principals.add("elsewhere", {}, only(KeyScope::kModels, "203.0.113.0/24"));
  EXPECT_EQ(api.fetch("GET", "/v1/models", "", {{"Authorization", "Bearer here"}}).status, 200);
  const auto refused =
      api.fetch("GET", "/v1/models", "", {{"Authorization", "Bearer elsewhere"}, {"X-Forwarded-For", "203.0.113.7"}});
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(code_of(refused), "source_not_allowed");
}

TEST(KeyUse, ATrustedProxysHeaderIsBelievedInAllItsFields) {
  HttpRequest http;
  http.remote_address = "10.0.0.1";
  const std::string raw =
      "GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 198.51.100.1, 203.0.113.7\r\nx-forwarded-for: 10.0.0.2\r\n\r\n";
  ASSERT_TRUE(parse_head(raw, http.head));
  const auto proxies = TrustedProxies::parse("10.0.0.0/8");
  EXPECT_EQ(key_use_of(http, KeyScope::kChat, *proxies).client, IpAddress::parse("203.0.113.7"));
  EXPECT_EQ(key_use_of(http, KeyScope::kChat, {}).client, IpAddress::parse("10.0.0.1"));
}

TEST(KeyUse, KeysAreReadFromTheDialectsHeaderAndFromTheUsualOne) {
  using Texts = std::vector<std::string_view>;
  HttpRequest http;
  const std::string both = "POST / HTTP/1.1\r\nHost: t\r\nx-api-key: tgk_a\r\nAuthorization: bearer  tgk_b\r\n\r\n";
  ASSERT_TRUE(parse_head(both, http.head));
  EXPECT_EQ(key_texts_of(http, "x-api-key"), (Texts{"tgk_a", "tgk_b"}));
  EXPECT_EQ(key_texts_of(http, ""), (Texts{"tgk_b"})) << "a dialect without a header of its own";
  const std::string own = "POST / HTTP/1.1\r\nHost: t\r\nx-api-key: tgk_a\r\n\r\n";
  http.head = {};
  ASSERT_TRUE(parse_head(own, http.head));
  EXPECT_EQ(key_texts_of(http, "x-api-key"), (Texts{"tgk_a"}));
  EXPECT_EQ(key_texts_of(http, ""), (Texts{""})) << "no key is one key that nobody has";
  const std::string basic = "POST / HTTP/1.1\r\nHost: t\r\nAuthorization: Basic dGdr\r\n\r\n";
  http.head = {};
  ASSERT_TRUE(parse_head(basic, http.head));
  EXPECT_EQ(key_texts_of(http, "x-api-key"), (Texts{""}));
}

}  // namespace
}  // namespace tidegate::gateway::test
