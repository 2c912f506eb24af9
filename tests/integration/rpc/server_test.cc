#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/security/credentials.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "tests/integration/rpc/loopback.h"
#include "tests/support/temp_dir.h"

namespace tidegate::rpc {
namespace {

using Admin = class v1::FleetAdmin::Stub::async;

class Server : public Loopback {
 protected:
  void serve_echo(const std::string& listen = "127.0.0.1:0") {
    admin_.apply = [](const v1::Deployment& request, const ServerCall&) -> Result<v1::Deployment> { return request; };
    start(listen);
  }
  Result<v1::Deployment> apply(const std::string& name) {
    return admin_client().call_blocking(&Admin::ApplyDeployment, named(name), soon_enough());
  }

  /// grpc.health.v1.Health/Check without its generated code: HealthCheckResponse is one enum, field 1.
  /// 0: unknown, 1: serving, 2: not serving, -1: the call failed.
  static int health_at(const std::string& address) {
    grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    const grpc::Slice nothing;  // the empty message; a ByteBuffer without a slice is none
    const grpc::ByteBuffer request(&nothing, 1);
    grpc::ByteBuffer response;
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
                   [&](grpc::Status status) { done.set_value(std::move(status)); });
    if (!done.get_future().get().ok()) return -1;
    grpc::Slice slice;
    if (!response.DumpToSingleSlice(&slice).ok() || slice.size() != 2) return -1;
    return slice.begin()[1];
  }
};

TEST_F(Server, PortZeroIsReportedAsBound) {
  serve_echo();
  EXPECT_NE(server_->addresses()[0], "127.0.0.1:0");
  EXPECT_TRUE(server_->addresses()[0].starts_with("127.0.0.1:"));
  EXPECT_TRUE(apply("blue"));
}

TEST_F(Server, UnixSocketWorks) {
  test::TempDir folder;
  serve_echo("unix:" + folder.file("grpc.sock"));
  EXPECT_EQ(server_->addresses()[0], "unix:" + folder.file("grpc.sock"));
  EXPECT_TRUE(apply("blue"));
}

TEST_F(Server, TakenPortIsAnErrorThatNamesIt) {
  serve_echo();
  ServerOptions options;
  options.listen = server_->addresses();
  const auto second = RpcServer::start(options, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason, "cannot_listen");
  EXPECT_NE(second.error().message.find(options.listen[0]), std::string::npos);
}

TEST_F(Server, SocketOfAKilledProcessIsTakenOverThatOfALiveOneIsNot) {
  test::TempDir folder;
  const std::string path = folder.file("grpc.sock");
  {
    asio::io_context context(1);
    asio::local::stream_protocol::acceptor left_behind(context, asio::local::stream_protocol::endpoint(path));
  }
  ASSERT_TRUE(std::filesystem::exists(path));
  serve_echo("unix:" + path);
  ServerOptions options;
  options.listen = {"unix:" + path};
  const auto second = RpcServer::start(options, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason, "cannot_listen");
  EXPECT_TRUE(apply("blue"));
}

TEST_F(Server, FileInTheSocketsPlaceIsLeftAlone) {
  test::TempDir folder;
  { std::ofstream(folder.file("grpc.sock")) << "precious"; }
  ServerOptions options;
  options.listen = {"unix:" + folder.file("grpc.sock")};
  EXPECT_FALSE(RpcServer::start(options, {}));
  EXPECT_EQ(std::filesystem::file_size(folder.file("grpc.sock")), 8U);
}

TEST_F(Server, HealthFollowsServingAndNeedsNoToken) {
  serve_echo();
  EXPECT_EQ(health_at(server_->addresses()[0]), 1);
  server_->set_serving(false);
  EXPECT_EQ(health_at(server_->addresses()[0]), 2);
}

TEST_F(Server, ReflectionIsThere) {
  serve_echo();
  grpc::GenericStub stub(grpc::CreateChannel(server_->addresses()[0], grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  class Reactor final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
   public:
    void OnReadDone(bool ok) override {
      is_answered = ok;
      StartWritesDone();
    }
    void OnDone(const grpc::Status& status) override { done.set_value(status); }
    std::atomic<bool> is_answered = false;
    std::promise<grpc::Status> done;
  } reactor;
  stub.PrepareBidiStreamingCall(&context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                grpc::StubOptions(), &reactor);
  const grpc::Slice list_services(std::string("\x3a\x01*", 3));
  const grpc::ByteBuffer request(&list_services, 1);
  grpc::ByteBuffer response;
  reactor.StartWrite(&request);
  reactor.StartRead(&response);
  reactor.StartCall();
  EXPECT_TRUE(reactor.done.get_future().get().ok());
  ASSERT_TRUE(reactor.is_answered);
  grpc::Slice slice;
  ASSERT_TRUE(response.DumpToSingleSlice(&slice).ok());
  const std::string names(reinterpret_cast<const char*>(slice.begin()), slice.size());
  EXPECT_NE(names.find("tidegate.v1.FleetAdmin"), std::string::npos);
}

TEST_F(Server, DrainLetsRunningCallsFinishAndTakesNoNewOnes) {
  std::promise<void> started;
  std::promise<void> release;
  admin_.apply = [&](const v1::Deployment& request, const ServerCall&) -> Result<v1::Deployment> {
    if (request.name() == "slow") {
      started.set_value();
      release.get_future().wait();
    }
    return request;
  };
  start();
  auto running = std::async(std::launch::async, [&] { return apply("slow"); });
  started.get_future().wait();
  auto draining = std::async(std::launch::async, [&] { server_->drain(soon_enough()); });
  EXPECT_TRUE(test::eventually([&] {
    const auto late = admin_client().call_blocking(&Admin::ApplyDeployment, named("late"), soon_enough());
    return !late && late.error().code == Code::kUnavailable;
  }));
  release.set_value();
  const auto answer = running.get();
  EXPECT_TRUE(answer) << answer.error().to_string();
  draining.get();
}

TEST_F(Server, DrainCutsStreamsAtItsDeadline) {
  std::promise<SessionService::Stream> opened;
  sessions_.session = [&](SessionService::Stream stream) { opened.set_value(std::move(stream)); };
  start();
  auto client = worker_client();
  auto stream = client.open_bidi(&v1::Worker::Stub::async::Session, Deadline::never());
  auto held = opened.get_future().get();  // never finished by its service
  server_->drain(within(std::chrono::milliseconds(50)));
  EXPECT_FALSE(held.is_open());
  EXPECT_FALSE(stream.read_blocking(soon_enough()));
}

TEST_F(Server, NothingToListenOnOrABadAddressIsRefused) {
  EXPECT_EQ(RpcServer::start(ServerOptions(), {}).error().reason, "bad_address");
  ServerOptions options;
  options.listen = {"nonsense"};
  EXPECT_EQ(RpcServer::start(options, {}).error().reason, "bad_address");
}

}  // namespace
}  // namespace tidegate::rpc
