#include "base/net/strict_gate.h"

#include <gtest/gtest.h>

#include "tests/unit/base/net/gate_cases.h"

namespace tidegate::strict_gate_test {
namespace {

constexpr std::uint64_t kBodyMax = 8 * 1024 * 1024;

Result<Framing> read(std::string_view raw) {
  std::size_t searched = 0;
  const auto end = find_head_end(raw, searched);
  if (!end) return fail(Code::kInvalidArgument, "no_end", "the case has no blank line");
  HeaderView head;
  TG_TRY(parse_head(raw.substr(0, *end), head));
  return check_framing(head, kBodyMax);
}

TEST(StrictGate, OtherMediaTypesPassOnlyWhereTheHandlerLooks) {
  const std::string_view raw = "PATCH / HTTP/1.1\r\nHost: a\r\nContent-Type: application/apply-patch+yaml\r\nContent-Length: 2\r\n\r\n";
  HeaderView head;
  ASSERT_TRUE(parse_head(raw, head));
  EXPECT_FALSE(check_framing(head, kBodyMax));
  EXPECT_TRUE(check_framing(head, kBodyMax, MediaTypes::kAny));
}

TEST(StrictGate, TableOfSoundAndAmbiguousRequests) {
  const auto cases = test::gate_cases();
  ASSERT_GE(cases.size(), 40U);
  for (const auto& one : cases) {
    const auto framing = read(one.raw);
    EXPECT_EQ(framing ? "" : framing.error().reason, one.reason) << one.name;
    if (!framing) {
      EXPECT_FALSE(framing.error().message.empty()) << one.name;
    }
  }
}

TEST(StrictGate, RefusalsMapToTheirStatus) {
  const auto status_of = [](const char* reason) { return refusal_status(Error(Code::kInvalidArgument, reason, "")); };
  EXPECT_EQ(status_of("te_with_length"), 400);
  EXPECT_EQ(status_of("bad_host"), 400);
  EXPECT_EQ(status_of("method_not_allowed"), 405);
  EXPECT_EQ(status_of("body_timeout"), 408);
  EXPECT_EQ(status_of("body_too_large"), 413);
  EXPECT_EQ(status_of("unsupported_media_type"), 415);
  EXPECT_EQ(status_of("bad_expect"), 417);
  EXPECT_EQ(status_of("headers_too_large"), 431);
  EXPECT_EQ(status_of("http_version"), 505);
}

TEST(StrictGate, FramingSaysWhatFollows) {
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
  auto framing = read(post + "Content-Length: 12\r\n\r\n");
  ASSERT_TRUE(framing);
  EXPECT_EQ(framing->body, Framing::Body::kSized);
  EXPECT_EQ(framing->content_length, 12U);
  EXPECT_TRUE(framing->keep_alive);
  framing = read(post + "Transfer-Encoding: chunked\r\nConnection: foo , Close\r\n\r\n");
  ASSERT_TRUE(framing);
  EXPECT_EQ(framing->body, Framing::Body::kChunked);
  EXPECT_FALSE(framing->keep_alive);
  framing = read(post + "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(framing);
  EXPECT_EQ(framing->body, Framing::Body::kNone);
  EXPECT_FALSE(framing->expects_continue) << "there is nothing to continue with";
  framing = read("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
  ASSERT_TRUE(framing);
  EXPECT_FALSE(framing->keep_alive) << "HTTP/1.0 connections end with their answer";
}

TEST(StrictGate, ErrorsNameTheField) {
  EXPECT_EQ(read("GET / HTTP/1.1\r\n\r\n").error().field, "Host");
  EXPECT_EQ(read("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n").error().field, "Content-Length");
}

}  // namespace
}  // namespace tidegate::strict_gate_test
