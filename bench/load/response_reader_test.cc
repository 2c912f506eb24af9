#include "bench/load/response_reader.h"

#include <gtest/gtest.h>

namespace tidegate::bench {
namespace {

using State = ResponseReader::State;

struct Read {
  State state;
  int status;
  bool closes;
  int retry_after_s;
  std::string body;
  std::size_t used;
};

Read read_in_slices(std::string_view bytes, std::size_t slice) {
  ResponseReader reader;
  Read out{};
  for (std::size_t at = 0; at < bytes.size(); at += slice) {
    const std::string_view piece = bytes.substr(at, slice);
    const std::size_t used = reader.feed(piece, [&](std::string_view body) { out.body += body; });
    out.used += used;
    if (used < piece.size()) break;
  }
  out.state = reader.state();
  out.status = reader.status();
  out.closes = reader.closes();
  out.retry_after_s = reader.retry_after_s();
  return out;
}

TEST(ResponseReader, ASizedAnswerReadsTheSameInAnySlicing) {
  const std::string text =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";
  for (std::size_t slice = 1; slice <= text.size(); ++slice) {
    const Read got = read_in_slices(text, slice);
    ASSERT_EQ(got.state, State::kDone) << slice;
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.body, "{\"ok\":true}");
    EXPECT_FALSE(got.closes);
  }
}

TEST(ResponseReader, AChunkedAnswerLosesItsFramingAndNothingElse) {
  const std::string text =
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\ndata: "
      "\r\n1A;x=1\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n";
  for (std::size_t slice = 1; slice <= text.size(); ++slice) {
    const Read got = read_in_slices(text, slice);
    ASSERT_EQ(got.state, State::kDone) << slice;
    EXPECT_EQ(got.body, "data: abcdefghijklmnopqrstuvwxyz");
  }
}

TEST(ResponseReader, ARefusalTellsWhenToComeBackAndThatTheConnectionEnds) {
  const Read got = read_in_slices(
      "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", 5);
  EXPECT_EQ(got.state, State::kDone);
  EXPECT_EQ(got.status, 503);
  EXPECT_EQ(got.retry_after_s, 7);
  EXPECT_TRUE(got.closes);
}

TEST(ResponseReader, BytesBehindAnAnswerAreLeftForTheNext) {
  const std::string one = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
  const Read got = read_in_slices(one + one, 1000);
  EXPECT_EQ(got.state, State::kDone);
  EXPECT_EQ(got.used, one.size());
}

TEST(ResponseReader, WithoutALengthTheEndOfTheConnectionEndsTheAnswer) {
  ResponseReader reader;
  std::string body;
  const auto keep = [&](std::string_view piece) { body += piece; };
  reader.feed("HTTP/1.1 200 OK\r\n\r\nhello", keep);
  EXPECT_EQ(reader.state(), State::kBody);
  EXPECT_TRUE(reader.closes());
  reader.on_end();
  EXPECT_EQ(reader.state(), State::kDone);
  EXPECT_EQ(body, "hello");
}

TEST(ResponseReader, AnAnswerCutShortIsBroken) {
  for (const std::string_view text :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"}) {
    ResponseReader reader;
    reader.feed(text, [](std::string_view) {});
    reader.on_end();
    EXPECT_EQ(reader.state(), State::kBroken) << text;
  }
}

TEST(ResponseReader, WhatIsNoAnswerIsBrokenAtOnce) {
  EXPECT_EQ(read_in_slices("SSH-2.0-OpenSSH\r\n\r\n", 100).state, State::kBroken);
  EXPECT_EQ(read_in_slices("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 100).state, State::kBroken);
  EXPECT_EQ(read_in_slices(std::string(ResponseReader::kHeadBytesMax + 10, 'a'), 4096).state, State::kBroken);
}

}  // namespace
}  // namespace tidegate::bench
