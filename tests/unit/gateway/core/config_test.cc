#include "gateway/config.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/crypto/ed25519.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway {
namespace {

GatewayConfig valid() {
  GatewayConfig config;
  config.pepper = "0123456789abcdef0123456789abcdef";
  config.cluster_token = "fedcba9876543210fedcba9876543210";
  config.cache_salt = "00112233445566778899aabbccddeeff";
  tidegate::test::SeededEntropy entropy{1};
  config.receipt_key = Ed25519Key::mint(entropy).pem();
  return config;
}

TEST(GatewayConfig, RandomSecretsPass) { EXPECT_TRUE(check_config(valid())); }

TEST(GatewayConfig, RefusesShortPatternedAndSharedSecretsWithoutPrintingThem) {
  GatewayConfig config = valid();
  config.pepper = "short-secret";
  EXPECT_NE(check_config(config).error().message.find("secrets.pepper_file"), std::string::npos);
  EXPECT_EQ(check_config(config).error().message.find("short-secret"), std::string::npos);
  config = valid();
  config.cluster_token.assign(64, 'a');
  EXPECT_NE(check_config(config).error().message.find("secrets.cluster_token_file"), std::string::npos);
  config = valid();
  config.cache_salt = config.pepper;
  EXPECT_NE(check_config(config).error().message.find("the same"), std::string::npos);
}

TEST(GatewayConfig, AMissingOrMalformedReceiptKeyIsRefusedWithTheFix) {
  for (const char* text : {"", "-----BEGIN PRIVATE KEY-----\nsesame\n-----END PRIVATE KEY-----\n"}) {
    GatewayConfig config = valid();
    config.receipt_key = text;
    const Status status = check_config(config);
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().message.find("secrets.receipt_key_file"), std::string::npos);
    EXPECT_NE(status.error().message.find("tidegate receipt-key mint"), std::string::npos);
    EXPECT_EQ(status.error().message.find("sesame"), std::string::npos);
  }
}

TEST(GatewayConfig, RequiredOptionsAreMissedByName) {
  GatewayConfig config;
  ConfigTable table = config_table(config);
  ASSERT_TRUE(table.parse_text("io.threads = 3\n", "test"));
  EXPECT_EQ(config.io_threads, 3);
  const Status missing = table.check_required();
  ASSERT_FALSE(missing);
  for (const char* key : {"scheduler.address", "billing.address", "journal.dir", "secrets.pepper_file",
                          "secrets.cluster_token_file", "secrets.cache_salt_file", "secrets.receipt_key_file"}) {
    EXPECT_NE(missing.error().message.find(key), std::string::npos) << key;
  }
  EXPECT_FALSE(table.parse_text("io.threads = 0\n", "test"));
  EXPECT_FALSE(table.parse_text("no.such = 1\n", "test"));
}

TEST(GatewayConfig, TheLameDuckTimeIsNoneByDefaultAndBoundedByName) {
  GatewayConfig config;
  ConfigTable table = config_table(config);
  EXPECT_EQ(config.lame_duck.count(), 0);
  ASSERT_TRUE(table.parse_text("limits.lame_duck_ms = 5000\n", "test"));
  EXPECT_EQ(config.lame_duck.count(), 5'000);
  const Status refused = table.parse_text("limits.lame_duck_ms = 600001\n", "test");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("limits.lame_duck_ms"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("600001 is outside 0..600000"), std::string::npos) << refused.error().message;
}

TEST(GatewayConfig, TrustedProxiesAreRanges) {
  GatewayConfig config = valid();
  config.trusted_proxies = "10.0.0.0/8, 2001:db8::/32";
  EXPECT_TRUE(check_config(config));
  config.trusted_proxies = "10.0.0.0/8,proxy.internal";
  const Status status = check_config(config);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("http.trusted_proxies"), std::string::npos);
  EXPECT_NE(status.error().message.find("proxy.internal"), std::string::npos);
}

/// What changes_to() says when `edit` is what was written into the file.
template <typename Edit>
Result<std::vector<std::string>> changes_of(Edit edit) {
  GatewayConfig before = valid();
  GatewayConfig after = valid();
  edit(after);
  ConfigTable old_table = config_table(before);
  return old_table.changes_to(config_table(after));
}

TEST(GatewayConfig, LimitsProxiesAndCertificatesMayChangeWhileItRuns) {
  const auto changes = changes_of([](GatewayConfig& c) {
    c.keep_alive = std::chrono::milliseconds(1'000);
    c.lame_duck = std::chrono::milliseconds(5'000);
    c.connections_max = 5;
    c.trusted_proxies = "10.0.0.0/8";
    c.http_tls_cert_file = "/new";
    c.log_level = "debug";
  });
  ASSERT_TRUE(changes) << changes.error().to_string();
  EXPECT_EQ(changes->size(), 6U);
}

TEST(GatewayConfig, SecretsAddressesAndWhatHoldsMoneyMayNot) {
  for (const auto& [name, edit] : std::vector<std::pair<std::string, void (*)(GatewayConfig&)>>{
           {"secrets.pepper_file", [](GatewayConfig& c) { c.pepper += "x"; }},
           {"secrets.receipt_key_file", [](GatewayConfig& c) { c.receipt_key += "x"; }},
           {"http.listen", [](GatewayConfig& c) { c.http_listen = ":1"; }},
           {"limits.request_ms", [](GatewayConfig& c) { c.request_max = std::chrono::milliseconds(5'000); }},
           {"rpc.tls_cert_file", [](GatewayConfig& c) { c.rpc_tls.cert_file = "/new"; }}}) {
    const auto changes = changes_of(edit);
    ASSERT_FALSE(changes) << name;
    EXPECT_NE(changes.error().message.find(name + ": cannot change"), std::string::npos) << changes.error().message;
  }
}

TEST(GatewayConfig, APolicyOnContentIsRulesOrAnAddressAndOpenOrClosed) {
  GatewayConfig config = valid();
  config.guard_rules_file = "rules.json";
  EXPECT_TRUE(check_config(config));
  config.guard_address = "unix:/guard.sock";
  EXPECT_NE(check_config(config).error().message.find("guard.rules_file"), std::string::npos);
  config.guard_rules_file.clear();
  EXPECT_TRUE(check_config(config));
  config.guard_output_on_failure = "ajar";
  EXPECT_NE(check_config(config).error().message.find("guard.output_on_failure"), std::string::npos);
}

TEST(GatewayConfig, DescriptionHoldsNoSecret) {
  GatewayConfig config = valid();
  config.guard_token = "the guard's own token";
  const std::string text = describe_config(config);
  for (const std::string& secret :
       {config.pepper, config.cluster_token, config.cache_salt, config.receipt_key, config.guard_token}) {
    EXPECT_EQ(text.find(secret), std::string::npos);
  }
}

}  // namespace
}  // namespace tidegate::gateway
