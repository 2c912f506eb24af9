#include "base/net/endpoint.h"

#include <gtest/gtest.h>

namespace tidegate {
namespace {

TEST(Endpoint, ReadsWhatItWrites) {
  for (const char* text : {"127.0.0.1:8080", "[::1]:0", "0.0.0.0:65535"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(format_endpoint(*endpoint), text);
  }
  EXPECT_EQ(format_endpoint(*parse_endpoint(":80")), "0.0.0.0:80");
}

TEST(Endpoint, RefusesNamesAndBadPorts) {
  for (const char* text : {"", "127.0.0.1", "localhost:80", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
                           "127.0.0.1:8x", "::1:80", "[127.0.0.1]:80", "[]:80"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_FALSE(endpoint) << text;
    EXPECT_EQ(endpoint.error().reason, "bad_address");
  }
}

}  // namespace
}  // namespace tidegate
