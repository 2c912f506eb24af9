#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <optional>

#include "tests/integration/rpc/loopback.h"

namespace tidegate::rpc {
namespace {

using Admin = class v1::FleetAdmin::Stub::async;
using Worker = class v1::Worker::Stub::async;

class Outage : public Loopback {
 protected:
  void SetUp() override {
    admin_.apply = [](const v1::Deployment& request, const ServerCall&) -> Result<v1::Deployment> { return request; };
  }
};

TEST_F(Outage, NobodyThereIsUnavailableAtOnce) {
  start();
  const std::string address = server_->addresses()[0];
  server_.reset();
  auto channel = *make_channel(address);
  Client<v1::FleetAdmin> client(channel);
  const auto answer = client.call_blocking(&Admin::ApplyDeployment, named("blue"), soon_enough());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_EQ(answer.error().reason, "rpc_unavailable");
}

TEST_F(Outage, RestartedServerIsFoundAgainOnTheSameChannel) {
  start();
  ASSERT_TRUE(admin_client().call_blocking(&Admin::ApplyDeployment, named("blue"), soon_enough()));
  const std::string address = server_->addresses()[0];
  server_.reset();
  EXPECT_FALSE(admin_client().call_blocking(&Admin::ApplyDeployment, named("blue"), soon_enough()));
  ServerOptions options;
  options.listen = {address};
  auto started = RpcServer::start(options, {&admin_, &routes_, &sessions_});
  ASSERT_TRUE(started) << started.error().to_string();
  server_ = *std::move(started);
  EXPECT_TRUE(test::eventually(
      [&] { return admin_client().call_blocking(&Admin::ApplyDeployment, named("blue"), soon_enough()).has_value(); }));
}

TEST_F(Outage, BrokenServerEndsItsStreams) {
  std::optional<SessionService::Stream> held;
  sessions_.session = [&](SessionService::Stream stream) { held.emplace(std::move(stream)); };
  start();
  auto client = worker_client();
  auto stream = client.open_bidi(&Worker::Session, Deadline::never());
  ASSERT_TRUE(stream.write(cancel_of(1)));
  ASSERT_TRUE(channel_->wait_connected(soon_enough()));
  server_.reset();
  EXPECT_FALSE(stream.read_blocking(soon_enough()));
}

/// A peer that accepts and then says nothing, like a machine that lost its power behind a switch.
TEST_F(Outage, SilentPeerIsNoticedByKeepalive) {
  asio::io_context context(1);
  asio::ip::tcp::acceptor acceptor(context, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  ChannelOptions options;
  options.keepalive_interval = std::chrono::milliseconds(100);
  options.keepalive_timeout = std::chrono::milliseconds(100);
  options.reconnect_most = std::chrono::milliseconds(500);
  auto channel = *make_channel("127.0.0.1:" + std::to_string(acceptor.local_endpoint().port()), options);
  Client<v1::Worker> client(channel);
  auto stream = client.open_bidi(&Worker::Session, Deadline::never());
  const auto end = stream.read_blocking(soon_enough());
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Code::kUnavailable) << end.error().to_string();
}

}  // namespace
}  // namespace tidegate::rpc
