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

}  // namespace
}  // namespace tidegate::rpc
