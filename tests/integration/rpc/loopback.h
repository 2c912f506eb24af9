#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/rpc/bidi_server.h"
#include "base/rpc/client.h"
#include "base/rpc/server.h"
#include "base/rpc/stream_writer.h"
#include "base/rpc/unary_host.h"
#include "base/rpc/unary_reply.h"
#include "tests/support/eventually.h"
#include "tests/support/run_coro.h"
#include "tidegate/v1/fleet.grpc.pb.h"
#include "tidegate/v1/worker.grpc.pb.h"

/// The platform's own services with behaviour given by each test, over real sockets.
namespace tidegate::rpc {

inline constexpr const char* kToken = "cluster-token";

inline Deadline within(Duration span) { return Deadline::after(std::chrono::steady_clock::now(), span); }
/// Far beyond what a healthy machine needs.
inline Deadline soon_enough() { return within(std::chrono::seconds(20)); }

/// Unary: one echo on a thread, one as a coroutine.
class AdminService final : public v1::FleetAdmin::CallbackService {
 public:
  explicit AdminService(WorkPool& pool) : host_(pool, AuthGate::required(kToken)) {}
  std::function<Result<v1::Deployment>(const v1::Deployment&, const ServerCall&)> apply;
  std::function<awaitable<Result<v1::ListWorkersResponse>>(ServerCall)> list;
  Executor executor;

  grpc::ServerUnaryReactor* ApplyDeployment(grpc::CallbackServerContext* context, const v1::Deployment* request,
                                            v1::Deployment* response) override {
    return host_.serve(context, response, [this, request](const ServerCall& call) { return apply(*request, call); });
  }
  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context, const v1::ListWorkersRequest*,
                                        v1::ListWorkersResponse* response) override {
    return host_.serve_on(executor, context, response, [this](ServerCall call) { return list(call); });
  }

 private:
  UnaryHost host_;
};

class RouteService final : public v1::Fleet::CallbackService {
 public:
  std::function<void(StreamWriter<v1::Routes>)> watch;
  WriterOptions<v1::Routes> options;
  std::function<void(UnaryReply<v1::DemandAck>)> report;
  std::function<void()> on_reported;

  grpc::ServerWriteReactor<v1::Routes>* WatchRoutes(grpc::CallbackServerContext* context,
                                                    const v1::WatchRoutesRequest*) override {
    auto writer = StreamWriter<v1::Routes>::open(context, AuthGate::required(kToken), options);
    auto* reactor = writer.reactor();
    watch(std::move(writer));
    return reactor;
  }
  grpc::ServerUnaryReactor* ReportDemand(grpc::CallbackServerContext* context, const v1::DemandReport*,
                                         v1::DemandAck* response) override {
    auto reply = UnaryReply<v1::DemandAck>::open(context, response, on_reported);
    auto* reactor = reply.reactor();
    report(std::move(reply));
    return reactor;
  }
};

class SessionService final : public v1::Worker::CallbackService {
 public:
  using Stream = BidiServer<v1::GatewayFrame, v1::WorkerFrame>;
  std::function<void(Stream)> session;
  StreamOptions<v1::WorkerFrame> options;

  grpc::ServerBidiReactor<v1::GatewayFrame, v1::WorkerFrame>* Session(grpc::CallbackServerContext* context) override {
    auto stream = Stream::open(context, AuthGate::required(kToken), options);
    auto* reactor = stream.reactor();
    session(std::move(stream));
    return reactor;
  }
};

/// Set the services' behaviour, then start().
class Loopback : public ::testing::Test {
 protected:
  void start(const std::string& listen = "127.0.0.1:0") {
    ServerOptions options;
    options.listen = {listen};
    auto started = RpcServer::start(options, {&admin_, &routes_, &sessions_});
    if (!started) throw std::runtime_error(started.error().to_string());
    server_ = *std::move(started);
    channel_ = connect(kToken);
  }
  std::shared_ptr<Channel> connect(const std::string& token) {
    ChannelOptions options;
    options.token = token;
    return *make_channel(server_->addresses()[0], options);
  }
  void TearDown() override {
    channel_.reset();
    server_.reset();
    pool_.stop();
  }

  Client<v1::FleetAdmin> admin_client() { return Client<v1::FleetAdmin>(channel_); }
  Client<v1::Fleet> fleet_client() { return Client<v1::Fleet>(channel_); }
  Client<v1::Worker> worker_client() { return Client<v1::Worker>(channel_); }

  static v1::Deployment named(const std::string& name) {
    v1::Deployment deployment;
    deployment.set_name(name);
    return deployment;
  }
  static v1::Routes numbered(std::uint64_t version) {
    v1::Routes routes;
    routes.set_version(version);
    return routes;
  }
  static v1::WorkerFrame step(std::uint64_t number) {
    v1::WorkerFrame frame;
    frame.set_step(number);
    return frame;
  }
  static v1::GatewayFrame cancel_of(std::uint64_t sequence) {
    v1::GatewayFrame frame;
    frame.add_cancel(sequence);
    return frame;
  }

  WorkPool pool_{2, 4};
  AdminService admin_{pool_};
  RouteService routes_;
  SessionService sessions_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<Channel> channel_;
};

}  // namespace tidegate::rpc
