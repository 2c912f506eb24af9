#include "base/net/http_message.h"

#include <gtest/gtest.h>

#include "base/net/http_client.h"

namespace tidegate {
namespace {

TEST(QueryValue, DecodesTheFirstMatch) {
  EXPECT_EQ(query_value("a=1&b=2", "b"), "2");
  EXPECT_EQ(query_value("a=1&a=2", "a"), "1");
  EXPECT_EQ(query_value("q=a%20b+c%2F", "q"), "a b c/");
  EXPECT_EQ(query_value("flag&b=2", "flag"), "");
  EXPECT_EQ(query_value("", "a"), "");
  EXPECT_EQ(query_value("a=%zz%4", "a"), "%zz%4") << "what is no escape stays as it is";
}

TEST(Url, SplitsIntoParts) {
  const auto url = parse_url("http://127.0.0.1:8080/v1/models?x=1");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "127.0.0.1");
  EXPECT_EQ(url->port, "8080");
  EXPECT_EQ(url->target, "/v1/models?x=1");
  EXPECT_EQ(parse_url("http://host")->target, "/");
  EXPECT_EQ(parse_url("http://host")->port, "80");
  EXPECT_EQ(parse_url("http://[::1]:99/a")->host, "::1");
}

TEST(Url, RefusesWhatItCannotSpeak) {
  for (const char* text : {"https://host/", "host:80/", "http://", "http://:80/", "http://user@host/"}) {
    EXPECT_FALSE(parse_url(text)) << text;
  }
}

}  // namespace
}  // namespace tidegate
