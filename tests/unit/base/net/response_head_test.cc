#include "base/net/response_head.h"

#include <gtest/gtest.h>

namespace tidegate {
namespace {

const Wall kNow = *parse_rfc3339("2026-11-21T08:09:10Z");

TEST(ResponseHead, DateIsInTheWebsForm) {
  EXPECT_EQ(make_date_line(kNow), "Date: Sat, 21 Nov 2026 08:09:10 GMT\r\n");
  EXPECT_EQ(make_date_line(*parse_rfc3339("1994-11-06T08:49:37.999Z")), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
}

TEST(ResponseHead, SizedChunkedAndUntilClose) {
  const auto head = [](BodyLength length, bool close) {
    std::string out;
    append_response_head(out, 200, "text/plain", {{"X-A", "b"}}, length, close, "Date: d\r\n");
    return out;
  };
  EXPECT_EQ(head(BodyLength::sized(12), false),
            "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Type: text/plain\r\nX-A: b\r\nContent-Length: 12\r\n\r\n");
  EXPECT_EQ(head(BodyLength::chunked(), false),
            "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Type: text/plain\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(head(BodyLength::until_close(), true),
            "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Type: text/plain\r\nX-A: b\r\nConnection: close\r\n\r\n");
}

TEST(ResponseHead, EchoedInputCannotSplitTheAnswer) {
  std::string out;
  append_response_head(out, 200, "text/plain", {{"X-Request-Id", "a\r\nSet-Cookie: x"}}, BodyLength::sized(0), false, "");
  EXPECT_NE(out.find("X-Request-Id: a  Set-Cookie: x\r\n"), std::string::npos) << out;
}

TEST(ResponseHead, NoContentHasNeitherLengthNorType) {
  std::string out;
  append_response_head(out, 204, "application/json", {}, BodyLength::sized(0), false, "");
  EXPECT_EQ(out, "HTTP/1.1 204 No Content\r\n\r\n");
}

}  // namespace
}  // namespace tidegate
