#include "base/redis/resp.h"

#include <gtest/gtest.h>

namespace tidegate {
namespace {

using namespace std::string_literals;

TEST(Resp, CommandsAreArraysOfBulkStrings) {
  std::string out;
  const RedisArgs args{"SET", "k", "a\r\n\0b"s, ""};
  append_command(out, args);
  EXPECT_EQ(out, "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\n\0b\r\n$0\r\n\r\n"s);
}

TEST(Resp, RepliesReadTheSameInAnySlicing) {
  const std::string wire =
      "+OK\r\n:-42\r\n$-1\r\n$5\r\nhe\r\no\r\n*3\r\n:1\r\n$1\r\na\r\n*1\r\n$-1\r\n-ERR wrong\r\n-NOSCRIPT none\r\n";
  for (std::size_t slice = 1; slice <= wire.size(); ++slice) {
    RespReader reader;
    std::vector<Result<RedisReply>> replies;
    for (std::size_t at = 0; at < wire.size(); at += slice) {
      reader.feed(std::string_view(wire).substr(at, slice));
      while (auto reply = reader.next()) replies.push_back(std::move(*reply));
    }
    ASSERT_EQ(replies.size(), 7U);
    EXPECT_EQ(replies[0]->text, "OK");
    EXPECT_EQ(replies[1]->integer, -42);
    EXPECT_TRUE(replies[2]->is_nil());
    EXPECT_EQ(replies[3]->text, "he\r\no");
    EXPECT_EQ(replies[4]->items.at(1).text, "a");
    EXPECT_TRUE(replies[4]->items.at(2).items.at(0).is_nil());
    EXPECT_EQ(replies[5].error().reason, "redis_error");
    EXPECT_EQ(replies[6].error().reason, "redis_noscript");
  }
}

TEST(Resp, AServerThatCannotWorkNowIsDownNotWrong) {
  for (const char* text : {"-LOADING data\r\n", "-BUSY script\r\n", "-OOM memory\r\n", "-READONLY replica\r\n"}) {
    RespReader reader;
    reader.feed(text);
    EXPECT_EQ(reader.next()->error().reason, "redis_down") << text;
  }
}

TEST(Resp, NonsenseBreaksTheReader) {
  RespReader reader;
  reader.feed("HTTP/1.1 400 Bad Request\r\n");
  EXPECT_FALSE(reader.next());
  EXPECT_TRUE(reader.is_broken());
}

}  // namespace
}  // namespace tidegate
