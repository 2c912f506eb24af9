#include <memory>
#include <vector>

#include "tests/unit/base/net/http_fixture.h"

namespace tidegate {
namespace {

using HttpStream = test::HttpFixture;

TEST_F(HttpStream, ChunksArriveFramedAndTheConnectionGoesOn) {
  start();
  auto client = connect();
  client->send(get("/stream?n=2"));
  ASSERT_TRUE(client->read_until("0\r\n\r\n"));
  const std::string& got = client->received();
  EXPECT_NE(got.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_TRUE(got.ends_with("\r\n\r\n8\r\nchunk 0\n\r\n8\r\nchunk 1\n\r\n4\r\nend\n\r\n0\r\n\r\n")) << got;
  client->send(get("/hello"));
  EXPECT_TRUE(client->read_until("hello"));
}

TEST_F(HttpStream, WritesThatDoNotWaitArriveWholeAndInOrderAlsoAtASlowClient) {
  start();
  auto client = connect(16 * 1024);
  client->send("GET /now HTTP/1.0\r\nHost: t\r\n\r\n");
  ASSERT_TRUE(test::eventually([&] { return held_up_ > 0; })) << "nobody reads";
  ASSERT_TRUE(client->read_to_end());
  std::string_view got = client->received();
  got.remove_prefix(got.find("\r\n\r\n") + 4);
  ASSERT_EQ(got.size(), kNowChunks * kNowChunkBytes + 4);
  for (int i = 0; i < kNowChunks; ++i) {
    const std::string_view chunk = got.substr(static_cast<std::size_t>(i) * kNowChunkBytes, kNowChunkBytes);
    ASSERT_EQ(chunk.find_first_not_of(static_cast<char>('a' + i % 26)), std::string_view::npos) << i;
  }
}

TEST_F(HttpStream, SlowClientsOfOneThreadGetEachTheirOwnBytes) {
  start();
  std::vector<std::unique_ptr<test::RawClient>> clients;  // more of them than threads
  for (int i = 0; i < 4; ++i) {
    clients.push_back(connect(16 * 1024));
    clients.back()->send("GET /now HTTP/1.0\r\nHost: t\r\n\r\n");
  }
  ASSERT_TRUE(test::eventually([&] { return held_up_ >= 4; })) << "each of them once: nobody reads";
  for (const auto& client : clients) {
    ASSERT_TRUE(client->read_to_end());
    std::string_view got = client->received();
    got.remove_prefix(got.find("\r\n\r\n") + 4);
    ASSERT_EQ(got.size(), kNowChunks * kNowChunkBytes + 4);
    for (std::size_t at = 0; at < kNowChunks * kNowChunkBytes; at += kNowChunkBytes / 2) {
      ASSERT_EQ(got[at], static_cast<char>('a' + at / kNowChunkBytes % 26)) << at;
    }
  }
}

TEST_F(HttpStream, AWriteThatDoesNotWaitSaysThatTheClientIsGone) {
  start();
  auto client = connect(16 * 1024);
  client->send(get("/now"));
  ASSERT_TRUE(test::eventually([&] { return held_up_ > 0; }));
  client->reset();
  ASSERT_TRUE(test::eventually([&] { return server_->open_connections() == 0; }));
}

TEST_F(HttpStream, Http10GetsTheBodyUntilTheEndOfTheConnection) {
  start();
  auto client = connect();
  client->send("GET /stream?n=1 HTTP/1.0\r\nHost: t\r\n\r\n");
  EXPECT_TRUE(client->read_to_end());
  EXPECT_EQ(client->received().find("Transfer-Encoding"), std::string::npos);
  EXPECT_TRUE(client->received().ends_with("\r\n\r\nchunk 0\nend\n")) << client->received();
}

TEST_F(HttpStream, AStreamItsHandlerDidNotEndIsCutNotCompleted) {
  start();
  auto client = connect();
  client->send(get("/half"));
  EXPECT_FALSE(client->read_to_end()) << "a FIN would make a truncated answer look whole to an HTTP/1.0 client";
  EXPECT_EQ(client->received().find("0\r\n\r\n"), std::string::npos);
}

TEST_F(HttpStream, ResetDuringAWaitIsNoticedAtOnce) {
  start();
  auto client = connect();
  client->send(get("/wait"));
  ASSERT_TRUE(test::eventually([&] { return waiting_ == 1; }));
  client->reset();
  ASSERT_TRUE(test::eventually([&] { return gone_ == 1; })) << "the handler says nothing, and no time limit ends it";
  ASSERT_TRUE(test::eventually([&] { return server_->open_connections() == 0; }));
}

TEST_F(HttpStream, FinDuringAWaitIsNoticedAtOnceAndTheAnswerIsStillTried) {
  start();
  auto client = connect();
  client->send(get("/wait"));
  ASSERT_TRUE(test::eventually([&] { return waiting_ == 1; }));
  client->shutdown_write();
  EXPECT_EQ(client->read_answer().body, "waited");
  EXPECT_EQ(gone_, 1);
}

TEST_F(HttpStream, DisconnectWhileStreamingEndsTheHandler) {
  start();
  for (int i = 1; i <= 20; ++i) {
    auto client = connect();
    client->send(get("/endless"));
    ASSERT_TRUE(client->read_until("xxxx"));
    if (i % 2 == 0) {
      client->reset();
    } else {
      client->close();
    }
    ASSERT_TRUE(test::eventually([&] { return failed_writes_ == i; })) << i;
    EXPECT_EQ(last_write_reason_, "client_gone");
    EXPECT_EQ(gone_, i);
  }
  ASSERT_TRUE(test::eventually([&] { return server_->open_connections() == 0; }));
}

TEST_F(HttpStream, ManyStreamsAtOnceAllComplete) {
  start();
  std::vector<std::unique_ptr<test::RawClient>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(connect());
    clients.back()->send(get("/stream?n=50"));
  }
  for (auto& client : clients) {
    ASSERT_TRUE(client->read_until("0\r\n\r\n"));
    EXPECT_NE(client->received().find("chunk 49\n"), std::string::npos);
  }
}

}  // namespace
}  // namespace tidegate
