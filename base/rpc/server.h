#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/rpc_tls_options.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace tidegate::rpc {

struct ServerOptions {
  /// "127.0.0.1:0" (any free port), "0.0.0.0:7443", "unix:/path". At least one.
  std::vector<std::string> listen;
  int message_bytes_max = 4 << 20;
  int metadata_bytes_max = 16 << 10;
  /// TLS inside, on every address but unix sockets: whoever connects shows a certificate of the authority.
  RpcTlsOptions tls;
  /// TLS for the public, who show nothing; instead of `tls`. Both or neither.
  std::string public_cert_file;
  std::string public_key_file;
};

/// A gRPC server with the standard health (grpc.health.v1) and reflection services on.
class RpcServer {
 public:
  /// Listens and serves. The services must outlive the server. Health is SERVING from the start; see set_serving().
  /// Fails: invalid_argument/bad_address, unavailable/cannot_listen naming the address.
  static Result<std::unique_ptr<RpcServer>> start(const ServerOptions& options, const std::vector<grpc::Service*>& services);
  /// As drain() with no time left.
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  /// In the order of `listen`, with the port that was bound: "127.0.0.1:41234".
  const std::vector<std::string>& addresses() const { return addresses_; }
  /// What health checks answer, for the server as a whole.
  void set_serving(bool serving);
  /// Health goes NOT_SERVING, no new calls; those in flight may finish until the deadline and are cancelled then.
  /// Blocks until every reactor is done. Long-lived streams end at the deadline unless their service finishes them
  /// before. Idempotent. Not on a gRPC thread.
  void drain(Deadline deadline);

 private:
  RpcServer() = default;

  std::vector<std::string> addresses_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace tidegate::rpc
