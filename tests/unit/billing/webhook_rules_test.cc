#include "billing/core/webhook_rules.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>

namespace tidegate::billing {
namespace {

bool is_public(const char* text) {
  std::uint8_t bytes[16];
  if (inet_pton(AF_INET, text, bytes) == 1) return is_public_address({bytes, 4});
  EXPECT_EQ(inet_pton(AF_INET6, text, bytes), 1) << text;
  return is_public_address({bytes, 16});
}

TEST(WebhookRules, OnlyAddressesOfThePublicInternetAreCalled) {
  for (const char* address : {"8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.0", "100.63.255.255", "192.167.1.1",
                              "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808"}) {
    EXPECT_TRUE(is_public(address)) << address;
  }
  for (const char* address : {"127.0.0.1", "127.255.0.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
                              "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.1", "::1", "::", "fe80::1",
                              "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::a00:1",
                              "2002:7f00:1::", "2001:db8::1", "2001::1"}) {
    EXPECT_FALSE(is_public(address)) << address;
  }
  const std::uint8_t odd[5] = {};
  EXPECT_FALSE(is_public_address(odd));
}

TEST(WebhookRules, UrlsAreCheckedByNameOfWhatIsWrong) {
  EXPECT_TRUE(check_webhook_url("https://hooks.example.com/x?y=1"));
  EXPECT_TRUE(check_webhook_url("http://hooks.example.com:8080"));
  for (const char* url : {"", "ftp://x", "https://", "https:///path", "https://user:pw@host/", "https://host/a b", "file:///etc/passwd"}) {
    const auto checked = check_webhook_url(url);
    ASSERT_FALSE(checked) << url;
    EXPECT_EQ(checked.error().field, "url");
  }
  EXPECT_FALSE(check_webhook_url("https://host/" + std::string(kWebhookUrlMax, 'x')));
}

TEST(WebhookRules, PausesDoubleUpToAnHour) {
  EXPECT_EQ(webhook_pause(1), std::chrono::seconds(5));
  EXPECT_EQ(webhook_pause(2), std::chrono::seconds(10));
  EXPECT_EQ(webhook_pause(10), std::chrono::seconds(2560));
  EXPECT_EQ(webhook_pause(11), std::chrono::hours(1));
  EXPECT_EQ(webhook_pause(30), std::chrono::hours(1));
}

}  // namespace
}  // namespace tidegate::billing
