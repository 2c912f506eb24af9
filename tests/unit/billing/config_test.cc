#include "billing/config.h"

#include <gtest/gtest.h>

#include "base/crypto/api_key.h"
#include "base/crypto/ed25519.h"
#include "billing/metrics.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::billing {
namespace {

Config sound() {
  test::SeededEntropy entropy;
  Config config;
  config.pepper = "0123456789abcdef0123456789abcdef";
  config.cluster_token = "fedcba9876543210fedcba9876543210";
  config.admin_key = mint_api_key(entropy, KeyKind::kAdmin).text;
  config.root_key = Ed25519Key::mint(entropy).pem();
  return config;
}

std::string refused(const Config& config) {
  const auto status = check_secrets(config);
  return status ? "accepted" : status.error().field;
}

TEST(BillingConfig, WeakSecretsAreRefused) {
  EXPECT_EQ(refused(sound()), "accepted");
  Config config = sound();
  config.pepper = "short";
  EXPECT_EQ(refused(config), "secrets.pepper_file");
  config.pepper = std::string(64, 'a');
  EXPECT_EQ(refused(config), "secrets.pepper_file");
  config = sound();
  config.cluster_token.clear();
  EXPECT_EQ(refused(config), "secrets.cluster_token_file");
  config = sound();
  config.cluster_token = config.pepper;
  EXPECT_EQ(refused(config), "secrets.pepper_file");
  config = sound();
  test::SeededEntropy entropy;
  config.admin_key = mint_api_key(entropy, KeyKind::kTenant).text;
  EXPECT_EQ(refused(config), "secrets.admin_key_file") << "a tenant's key is no admin key";
  config.admin_key = "0123456789abcdef0123456789abcdef";
  EXPECT_EQ(refused(config), "secrets.admin_key_file");
  config = sound();
  config.root_key = "-----BEGIN PRIVATE KEY-----";
  EXPECT_EQ(refused(config), "secrets.root_key_file");
}

TEST(BillingConfig, MissingAndUnknownOptionsAreNamed) {
  Config config;
  ConfigTable table = config_table(config);
  const char* arguments[] = {"tidegate-billing", "--pg.dsn=host=x", "--leases.ttl=5"};
  const auto parsed = table.parse(3, arguments);
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message.find("leases.ttl"), std::string::npos);
  EXPECT_NE(parsed.error().message.find("secrets.pepper_file: required"), std::string::npos);
}

TEST(BillingConfig, AnIdentityProviderIsSetUpWholeOrNotAtAll) {
  const auto field_of = [](const Config& config) {
    const auto status = check_oidc(config);
    return status ? std::string("accepted") : status.error().field;
  };
  EXPECT_EQ(field_of(Config()), "accepted");
  Config whole;
  whole.oidc_issuer = "https://idp.example";
  whole.oidc_audience = "tidegate";
  whole.oidc_jwks_url = "https://idp.example/keys";
  whole.oidc_role_map = "admins=owner";
  EXPECT_EQ(field_of(whole), "accepted");
  Config config = whole;
  config.oidc_issuer.clear();
  EXPECT_EQ(field_of(config), "oidc.issuer");
  config = whole;
  config.oidc_audience.clear();
  EXPECT_EQ(field_of(config), "oidc.audience");
  config = whole;
  config.oidc_jwks_file = "keys.json";
  EXPECT_EQ(field_of(config), "oidc.jwks_file") << "one place of keys";
  config.oidc_jwks_url.clear();
  EXPECT_EQ(field_of(config), "accepted");
  config.oidc_jwks_file.clear();
  EXPECT_EQ(field_of(config), "oidc.jwks_file");
  config = whole;
  config.oidc_role_map.clear();
  EXPECT_EQ(field_of(config), "oidc.role_map");
  config = whole;
  config.oidc_role_claim.clear();
  EXPECT_EQ(field_of(config), "oidc.role_claim");
  for (const char* url : {"http://idp.example/keys", "ftp://idp.example", "https://", "https://me:secret@idp.example/keys",
                          "http://127.0.0.1.evil.example/keys", "https://idp.example/a b"}) {
    config = whole;
    config.oidc_jwks_url = url;
    EXPECT_EQ(field_of(config), "oidc.jwks_url") << url;
  }
  for (const char* url : {"http://127.0.0.1:8080/keys", "http://localhost/keys", "http://[::1]:1/keys"}) {
    config = whole;
    config.oidc_jwks_url = url;
    EXPECT_EQ(field_of(config), "accepted") << url;
  }
}

TEST(BillingMetrics, NamesFollowTheHouseRule) {
  MemoryRegistry registry;
  const BillingMetrics metrics(registry);
  EXPECT_GT(registry.names().size(), 15u);
  for (const auto& name : registry.names()) EXPECT_NE(name.find(" tidegate_billing_"), std::string::npos) << name;
}

}  // namespace
}  // namespace tidegate::billing
