#include "base/rpc/server.h"

#include <grpc/impl/codegen/grpc_types.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/rpc/address.h"
#include "base/rpc/mono_time.h"
#include "base/rpc/tls.h"

namespace tidegate::rpc {

namespace {

/// Both are switches of the process and read by every ServerBuilder after.
void turn_on_standard_services() {
  static const bool done = [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  static_cast<void>(done);
}

void set_limits(grpc::ServerBuilder& builder, const ServerOptions& options) {
  builder.SetMaxReceiveMessageSize(options.message_bytes_max);
  builder.SetMaxSendMessageSize(options.message_bytes_max);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, options.metadata_bytes_max);
  // Our clients ping every 2 s with or without calls; the default would call that abuse and hang up.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 500);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // A client that vanished without a word is noticed as quickly as a server is.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 2000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 1000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Two processes on one port would share its connections without a word.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

std::string with_port(const std::string& address, int port) {
  return address.starts_with("unix:") ? address : address.substr(0, address.rfind(':') + 1) + std::to_string(port);
}

/// gRPC takes the file of any unix socket in its way, which is right for one left by a killed process and would cut off
/// a live one.
bool is_answered(const std::string& address) {
  if (!address.starts_with("unix:")) return false;
  sockaddr_un peer{};
  peer.sun_family = AF_UNIX;
  address.copy(peer.sun_path, sizeof(peer.sun_path) - 1, std::strlen("unix:"));
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return false;
  const bool connected = ::connect(probe, reinterpret_cast<const sockaddr*>(&peer), sizeof(peer)) == 0 || errno == EAGAIN;
  ::close(probe);
  return connected;
}

std::shared_ptr<grpc::ServerCredentials> credentials_of(const std::string& target, const ServerOptions& options) {
  if (!options.public_cert_file.empty()) {
    return public_server_credentials(target, options.public_cert_file, options.public_key_file);
  }
  return server_credentials(target, options.tls);
}

std::unexpected<Error> cannot_listen(const std::string& address) {
  return fail(Code::kUnavailable, "cannot_listen", "cannot listen on " + address + ": is it in use?", "listen");
}

}  // namespace

Result<std::unique_ptr<RpcServer>> RpcServer::start(const ServerOptions& options,
                                                    const std::vector<grpc::Service*>& services) {
  if (options.listen.empty()) return fail(Code::kInvalidArgument, "bad_address", "no address to listen on", "listen");
  turn_on_standard_services();
  grpc::ServerBuilder builder;
  set_limits(builder, options);
  std::vector<int> ports(options.listen.size(), 0);
  for (std::size_t i = 0; i < options.listen.size(); ++i) {
    TG_ASSIGN(const std::string target, listen_target(options.listen[i]));
    if (is_answered(options.listen[i])) return cannot_listen(options.listen[i]);
    builder.AddListeningPort(target, credentials_of(target, options), &ports[i]);
  }
  for (grpc::Service* service : services) builder.RegisterService(service);

  auto server = std::unique_ptr<RpcServer>(new RpcServer());
  server->server_ = builder.BuildAndStart();
  for (std::size_t i = 0; i < ports.size(); ++i) {
    // gRPC reports 1 for a unix socket, and 0 for what it could not bind.
    if (server->server_ == nullptr || ports[i] == 0) {
      return cannot_listen(options.listen[i]);
    }
    server->addresses_.push_back(with_port(options.listen[i], ports[i]));
  }
  server->set_serving(true);
  return server;
}

RpcServer::~RpcServer() { drain(Deadline::at(mono_now())); }

void RpcServer::set_serving(bool serving) {
  if (server_ == nullptr) return;
  if (auto* health = server_->GetHealthCheckService()) health->SetServingStatus(serving);
}

void RpcServer::drain(Deadline deadline) {
  if (server_ == nullptr) return;
  set_serving(false);
  server_->Shutdown(to_gpr(deadline));
  server_->Wait();
  server_.reset();
}

}  // namespace tidegate::rpc
