#include "gateway/core/client_address.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate::gateway {
namespace {

std::string client(const char* trusted, std::string_view peer, std::vector<std::string_view> forwarded) {
  const auto proxies = TrustedProxies::parse(trusted);
  EXPECT_TRUE(proxies) << trusted;
  const auto address = proxies->client_of(peer, forwarded);
  return address ? address->to_string() : "unknown";
}

TEST(ClientAddress, NobodysHeaderIsBelievedByDefault) {
  EXPECT_TRUE(TrustedProxies().empty());
  EXPECT_EQ(client("", "203.0.113.7", {"10.0.0.1"}), "203.0.113.7");
  EXPECT_EQ(client("10.0.0.0/8", "203.0.113.7", {"10.0.0.1"}), "203.0.113.7");
}

TEST(ClientAddress, ATrustedProxyTellsWhoCameBeforeIt) {
  EXPECT_EQ(client("10.0.0.0/8", "10.0.0.1", {"203.0.113.7"}), "203.0.113.7");
  EXPECT_EQ(client("10.0.0.0/8, 2001:db8::/32", "10.0.0.1", {"203.0.113.7, 2001:db8::5"}), "203.0.113.7");
  EXPECT_EQ(client("10.0.0.0/8", "10.0.0.1", {"203.0.113.7, 10.1.1.1", "10.2.2.2"}), "203.0.113.7")
      << "fields in order";
  EXPECT_EQ(client("10.0.0.0/8", "10.0.0.1", {}), "10.0.0.1");
  EXPECT_EQ(client("10.0.0.0/8", "10.0.0.1", {"10.3.3.3"}), "10.3.3.3") << "a client inside the proxies' own range";
}

TEST(ClientAddress, WhatTheClientItselfClaimsIsNotBelieved) {
  EXPECT_EQ(client("10.0.0.0/8", "10.0.0.1", {"198.51.100.1, 203.0.113.7"}), "203.0.113.7");
  EXPECT_EQ(client("10.0.0.0/8", "10.0.0.1", {"10.9.9.9, 203.0.113.7, 10.1.1.1"}), "203.0.113.7");
}

TEST(ClientAddress, AnUnreadableHopMakesTheClientUnknown) {
  for (const char* value : {"unknown", "_hidden", "203.0.113.7,", "1.2.3", ", ,"}) {
    EXPECT_EQ(client("10.0.0.0/8", "10.0.0.1", {value}), "unknown") << value;
  }
  EXPECT_EQ(client("10.0.0.0/8", "10.0.0.1", {"garbage, 203.0.113.7"}), "203.0.113.7") << "before the hop that decides";
  EXPECT_EQ(client("10.0.0.0/8", "", {"203.0.113.7"}), "unknown");
}

TEST(ClientAddress, PortsAndBracketsAreReadAway) {
  EXPECT_EQ(parse_hop("203.0.113.7:443")->to_string(), "203.0.113.7");
  EXPECT_EQ(parse_hop("[2001:db8::1]:443")->to_string(), "2001:db8::1");
  EXPECT_EQ(parse_hop("2001:db8::1")->to_string(), "2001:db8::1");
  EXPECT_FALSE(parse_hop("[2001:db8::1"));
  EXPECT_FALSE(parse_hop(""));
}

TEST(ClientAddress, ABadListIsRefused) {
  EXPECT_EQ(TrustedProxies::parse("10.0.0.0/8, proxy.internal").error().reason, "bad_ip_range");
}

}  // namespace
}  // namespace tidegate::gateway
