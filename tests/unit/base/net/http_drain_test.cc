#include <future>
#include <vector>

#include "tests/unit/base/net/http_fixture.h"

namespace tidegate {
namespace {

using HttpDrain = test::HttpFixture;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(HttpDrain, IdleConnectionsEndAndRunningRequestsFinish) {
  start();
  // Connections go to the two threads in turn: once both idle ones have ended, the busy one's thread drains too.
  auto idle = connect();
  idle->send(get("/hello"));
  ASSERT_EQ(idle->read_answer().status, 200);
  auto other_idle = connect();
  other_idle->send(get("/hello"));
  ASSERT_EQ(other_idle->read_answer().status, 200);
  auto busy = connect();
  busy->send(get("/wait"));
  ASSERT_TRUE(test::eventually([&] { return waiting_ == 1; }));

  auto drained = std::async(std::launch::async, [&] { return server_->drain(seconds(20)); });
  EXPECT_TRUE(idle->read_to_end()) << "an idle connection gets a FIN";
  EXPECT_TRUE(other_idle->read_to_end());
  EXPECT_EQ(waiting_, 1) << "a running request is left alone";
  released_ = true;
  const auto answer = busy->read_answer();
  EXPECT_EQ(answer.body, "waited");
  EXPECT_NE(answer.head.find("Connection: close\r\n"), std::string::npos);
  busy->close();
  idle->close();
  other_idle->close();
  EXPECT_EQ(drained.get(), 0U);
  EXPECT_THROW(test::RawClient(server_->port()), std::runtime_error) << "the port is closed";
}

TEST_F(HttpDrain, AtTheDeadlineTheRestIsCutOff) {
  start();
  auto busy = connect();
  busy->send(get("/wait"));
  ASSERT_TRUE(test::eventually([&] { return waiting_ == 1; }));
  EXPECT_EQ(server_->drain(milliseconds(20)), 1U);
  EXPECT_EQ(gone_, 1) << "the handler was told";
  EXPECT_EQ(server_->open_connections(), 0U);
  EXPECT_FALSE(busy->read_to_end()) << "a cut answer must not look complete";
  EXPECT_EQ(server_->drain(milliseconds(20)), 0U) << "again does nothing";
}

TEST_F(HttpDrain, DestroyingTheServerUnderLoadIsClean) {
  start();
  std::vector<std::unique_ptr<test::RawClient>> clients;
  for (int i = 0; i < 32; ++i) {
    clients.push_back(connect());
    clients.back()->send(get(i % 2 == 0 ? "/endless" : "/wait"));
  }
  for (std::size_t i = 0; i < clients.size(); i += 2) ASSERT_TRUE(clients[i]->read_until("xxxx"));
  ASSERT_TRUE(test::eventually([&] { return waiting_ == 16; }));
  server_.reset();
  EXPECT_EQ(gone_, 32);
}

}  // namespace
}  // namespace tidegate
