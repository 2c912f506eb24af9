#include "base/net/http_head.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate {
namespace {

TEST(HttpHead, SplitsRequestLineAndFields) {
  const std::string raw = "POST /v1/chat?x=1 HTTP/1.1\r\nHost: a\r\nContent-Type:  application/json\t\r\nX-Empty:\r\n\r\n";
  HeaderView head;
  ASSERT_TRUE(parse_head(raw, head));
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/v1/chat?x=1");
  EXPECT_EQ(head.version_minor, 1);
  EXPECT_EQ(head.field_count, 3U);
  EXPECT_EQ(head.find("content-TYPE"), "application/json");
  EXPECT_EQ(head.find("x-empty"), "");
  EXPECT_EQ(head.count("host"), 1U);
  EXPECT_EQ(head.count("absent"), 0U);
}

TEST(HttpHead, EndIsFoundAcrossAnySplit) {
  const std::string raw = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
  for (std::size_t cut = 0; cut <= raw.size(); ++cut) {
    std::size_t searched = 0;
    auto end = find_head_end(std::string_view(raw).substr(0, cut), searched);
    if (cut < raw.size() - 4) {
      EXPECT_FALSE(end) << cut;
      end = find_head_end(raw, searched);
    }
    ASSERT_TRUE(end) << cut;
    EXPECT_EQ(*end, raw.size() - 4);
  }
}

TEST(HttpHead, SixtyFourFieldsPassAndSixtyFiveDoNot) {
  for (const std::size_t count : {kHeaderFieldsMax, kHeaderFieldsMax + 1}) {
    std::string raw = "GET / HTTP/1.1\r\n";
    for (std::size_t i = 0; i < count; ++i) raw += "X-" + std::to_string(i) + ": 1\r\n";
    HeaderView head;
    const Status status = parse_head(raw + "\r\n", head);
    EXPECT_EQ(status.has_value(), count == kHeaderFieldsMax);
    if (!status) {
      EXPECT_EQ(status.error().reason, "headers_too_large");
    }
  }
}

TEST(HttpHead, NoSingleByteChangeReadsOutsideOrAccepts8BitText) {
  const std::string good = "GET /a HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n";
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string raw = good;
      raw[at] = static_cast<char>(byte);
      HeaderView head;
      const Status status = parse_head(raw, head);  // ASan watches the bounds
      if (byte == 0 || byte >= 0x7f) {
        EXPECT_FALSE(status) << at << " " << byte;
      }
    }
  }
}

TEST(HttpHead, TruncatedHeadsAreRefused) {
  const std::string good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (std::size_t size = 0; size < good.size() - 2; ++size) {
    HeaderView head;
    const Status status = parse_head(std::string_view(good).substr(0, size), head);
    const bool whole_lines = size == 16 || size == 25;  // the caller's find_head_end() never hands these over
    EXPECT_EQ(status.has_value(), whole_lines) << size;
  }
}

}  // namespace
}  // namespace tidegate
