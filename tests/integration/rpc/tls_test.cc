// Both sides prove who they are, over real sockets with real certificates.
#include "base/rpc/tls.h"

#include <grpcpp/grpcpp.h>

#include "tests/integration/rpc/loopback.h"
#include "tests/support/net/certificates.h"

namespace tidegate::rpc {
namespace {

/// FleetAdmin as scheduler, for the role of the command line; callers in any guise.
class RpcTls : public ::testing::Test {
 protected:
  class Service final : public v1::FleetAdmin::CallbackService {
   public:
    Service(WorkPool& pool, AuthGate gate) : host_(pool, std::move(gate)) {}
    grpc::ServerUnaryReactor* ApplyDeployment(grpc::CallbackServerContext* context, const v1::Deployment* request,
                                              v1::Deployment* response) override {
      return host_.serve(context, response, [request](const ServerCall&) -> Result<v1::Deployment> { return *request; });
    }

   private:
    UnaryHost host_;
  };

  RpcTls() {
    for (const char* role : {"scheduler", "cli", "worker", "billing"}) certificates_.issue(role, role);
  }
  void start(const std::string& listen = "127.0.0.1:0") {
    ServerOptions options;
    options.listen = {listen};
    options.tls = certificates_.rpc("scheduler");
    auto started = RpcServer::start(options, {&service_});
    ASSERT_TRUE(started) << started.error().to_string();
    server_ = *std::move(started);
  }
  void TearDown() override {
    server_.reset();
    pool_.stop();
  }
  /// "" when the call was answered, otherwise the reason it was not.
  std::string call(const RpcTlsOptions& tls, std::string_view peer_role = kSchedulerRole) {
    ChannelOptions options;
    options.token = kToken;
    options.tls = tls;
    options.peer_role = peer_role;
    auto channel = *make_channel(server_->addresses()[0], options);
    Client<v1::FleetAdmin> client(channel);
    v1::Deployment deployment;
    deployment.set_name("a");
    auto answer = client.call_blocking(&v1::FleetAdmin::Stub::async::ApplyDeployment, deployment, soon_enough());
    return answer ? "" : std::string(answer.error().reason);
  }

  test::Certificates certificates_;
  WorkPool pool_{2, 4};
  Service service_{pool_, AuthGate::required(kToken).for_roles({"cli"})};
  std::unique_ptr<RpcServer> server_;
};

TEST_F(RpcTls, TheRoleAServiceIsForGetsIn) {
  start();
  EXPECT_EQ(call(certificates_.rpc("cli")), "");
}

TEST_F(RpcTls, AnotherRoleIsRefusedThoughItsCertificateAndTokenAreGood) {
  start();
  EXPECT_EQ(call(certificates_.rpc("worker")), "wrong_role");
}

TEST_F(RpcTls, AServerOfAnotherRoleIsNotSpokenTo) {
  start();
  EXPECT_EQ(call(certificates_.rpc("cli"), kBillingRole), "rpc_unavailable");
}

TEST_F(RpcTls, StrangersAndPlainCallersGetNowhere) {
  start();
  test::Certificates elsewhere(2);
  elsewhere.issue("cli", "cli");
  EXPECT_EQ(call(elsewhere.rpc("cli")), "rpc_unavailable") << "it does not trust the server, nor the server it";
  RpcTlsOptions mixed = elsewhere.rpc("cli");
  mixed.ca_file = certificates_.ca_file();
  EXPECT_EQ(call(mixed), "rpc_unavailable") << "the server does not know its authority";
  EXPECT_EQ(call(RpcTlsOptions()), "rpc_unavailable");
}

TEST_F(RpcTls, AnExpiredCertificateGetsNowhere) {
  start();
  certificates_.issue("old", "cli", std::chrono::seconds(-1));
  EXPECT_EQ(call(certificates_.rpc("old")), "rpc_unavailable");
}

TEST_F(RpcTls, UnixSocketsStayPlain) {
  test::TempDir folder;
  start("unix:" + folder.file("s"));
  EXPECT_EQ(call(certificates_.rpc("worker")), "") << "the file system decides who may connect";
  EXPECT_EQ(call(RpcTlsOptions()), "");
}

TEST_F(RpcTls, APublicPortAsksForNoCertificateAndIsVerifiedByName) {
  certificates_.issue("public");
  ServerOptions options;
  options.listen = {"127.0.0.1:0"};
  options.public_cert_file = certificates_.cert_file("public");
  options.public_key_file = certificates_.key_file("public");
  Service open(pool_, AuthGate::required(kToken));
  auto server = std::move(RpcServer::start(options, {&open}).value());
  const auto ask = [&](const std::string& ca_file) {
    const std::string target = server->addresses()[0];
    auto stub = v1::FleetAdmin::NewStub(grpc::CreateChannel(target, public_channel_credentials(target, ca_file)));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    context.AddMetadata("authorization", std::string("Bearer ") + kToken);
    v1::Deployment response;
    return stub->ApplyDeployment(&context, v1::Deployment(), &response).error_code();
  };
  EXPECT_EQ(ask(certificates_.ca_file()), grpc::StatusCode::OK);
  test::Certificates elsewhere(2);
  EXPECT_EQ(ask(elsewhere.ca_file()), grpc::StatusCode::UNAVAILABLE);
  server.reset();
}

TEST_F(RpcTls, WhatIsWrongWithTheFilesIsToldBeforeTheStart) {
  const Wall now = SystemClock().wall();
  EXPECT_TRUE(check_rpc_tls(RpcTlsOptions(), kCliRole, now));
  EXPECT_TRUE(check_rpc_tls(certificates_.rpc("cli"), kCliRole, now));
  const auto complaint = [&](const RpcTlsOptions& options) {
    const Status status = check_rpc_tls(options, kCliRole, now);
    return status ? std::string("accepted") : status.error().message;
  };
  EXPECT_NE(complaint(certificates_.rpc("worker")).find("tidegate://worker"), std::string::npos);
  RpcTlsOptions half = certificates_.rpc("cli");
  half.ca_file.clear();
  EXPECT_NE(complaint(half).find("together or not at all"), std::string::npos);
  certificates_.issue("old", "cli", std::chrono::seconds(-1));
  EXPECT_NE(complaint(certificates_.rpc("old")).find("expired"), std::string::npos);
  RpcTlsOptions mixed = certificates_.rpc("cli");
  mixed.key_file = certificates_.key_file("worker");
  EXPECT_NE(complaint(mixed).find("is not the key of"), std::string::npos);
}

}  // namespace
}  // namespace tidegate::rpc
