#include "base/rpc/address.h"

#include <gtest/gtest.h>

namespace tidegate::rpc {
namespace {

TEST(Address, HostPortV6AndUnixAreTaken) {
  for (const char* address : {"127.0.0.1:7443", "scheduler.internal:1", "[::1]:65535", "unix:/run/tidegate/worker.sock"}) {
    EXPECT_TRUE(connect_target(address)) << address;
    EXPECT_TRUE(listen_target(address)) << address;
  }
}

TEST(Address, PortZeroIsForListeningOnly) {
  EXPECT_TRUE(listen_target("127.0.0.1:0"));
  EXPECT_FALSE(connect_target("127.0.0.1:0"));
}

TEST(Address, MalformedOnesAreRefusedByName) {
  for (const std::string address : {"", "host", ":80", "host:", "host:65536", "host:-1", "host:80x", "::1:80", "unix:relative",
                                    "dns:///x"}) {
    const auto target = connect_target(address);
    ASSERT_FALSE(target) << address;
    EXPECT_EQ(target.error().reason, "bad_address");
    EXPECT_NE(target.error().message.find("'" + address + "'"), std::string::npos);
  }
}

TEST(Address, UnixPathThatTheKernelWouldCutIsRefused) {
  EXPECT_TRUE(listen_target("unix:/" + std::string(106, 'x')));
  EXPECT_FALSE(listen_target("unix:/" + std::string(107, 'x')));
}

TEST(Address, ListIsTakenInItsOrder) {
  const auto two = split_addresses("unix:/run/a.sock,b.internal:8092");
  ASSERT_TRUE(two) << two.error().to_string();
  EXPECT_EQ(*two, (std::vector<std::string>{"unix:/run/a.sock", "b.internal:8092"}));
  EXPECT_EQ(split_addresses("[::1]:7")->size(), 1U);
}

TEST(Address, ListWithAnEmptyBadOrRepeatedEntryIsRefused) {
  for (const std::string list : {"", ",", "a:1,", ",a:1", "a:1,,b:1", "a:1, b:1x", "a:1,b", "a:1,b:2,a:1"}) {
    const auto addresses = split_addresses(list);
    ASSERT_FALSE(addresses) << list;
    EXPECT_EQ(addresses.error().reason, "bad_address");
  }
}

TEST(Address, ListHasALimit) {
  std::string list = "a:1";
  for (std::size_t port = 2; port <= kAddressesMax; ++port) list += ",a:" + std::to_string(port);
  EXPECT_TRUE(split_addresses(list));
  const auto more = split_addresses(list + ",a:99");
  ASSERT_FALSE(more);
  EXPECT_NE(more.error().message.find("at most 8"), std::string::npos);
}

}  // namespace
}  // namespace tidegate::rpc
