#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/rpc_tls_options.h"
#include "base/rpc/call_registry.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace tidegate::rpc {

struct ChannelOptions {
  /// Sent as `authorization: Bearer <token>` with every call: the cluster token, or an admin key. Empty: nothing sent.
  std::string token;
  /// A silent peer is noticed after the sum of the two, with or without calls in flight.
  std::chrono::milliseconds keepalive_interval{2000};
  std::chrono::milliseconds keepalive_timeout{1000};
  /// After a failed connect; gRPC's own defaults (1 s to 120 s) are for the open internet.
  std::chrono::milliseconds reconnect_least{50};
  std::chrono::milliseconds reconnect_most{1000};
  int message_bytes_max = 4 << 20;
  int metadata_bytes_max = 16 << 10;
  /// TLS inside, for all but unix sockets; the server must prove to be a `peer_role` (base/rpc/tls.h).
  RpcTlsOptions tls;
  std::string peer_role;
};

/// One HTTP/2 connection to one address, made lazily and remade by itself. Thread-safe. Held by shared_ptr: every
/// Client on it shares the connection.
///
/// Lifetime: destroy it (or call shut()) before the executors whose coroutines await its calls, and never on a gRPC
/// thread: it cancels what is in flight and waits for it.
class Channel {
 public:
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  const std::string& address() const { return address_; }
  const std::shared_ptr<grpc::Channel>& grpc_channel() const { return channel_; }
  CallRegistry& calls() { return calls_; }

  /// Sets deadline and credentials of a fresh context.
  void prepare(grpc::ClientContext& context, Deadline deadline) const;
  /// Cancels every call in flight, fails later ones as cancelled and waits until their results are posted. Idempotent.
  void shut();
  /// True once connected. Blocks until then or until the deadline.
  bool wait_connected(Deadline deadline);

 private:
  friend Result<std::shared_ptr<Channel>> make_channel(const std::string&, const ChannelOptions&);
  Channel(std::string address, std::string token, std::shared_ptr<grpc::Channel> channel);

  std::string address_;
  std::string authorization_;
  std::shared_ptr<grpc::Channel> channel_;
  CallRegistry calls_;
};

/// `address`: "host:port", "[v6]:port" or "unix:/path". Does not connect. Fails: invalid_argument/bad_address.
Result<std::shared_ptr<Channel>> make_channel(const std::string& address, const ChannelOptions& options = {});

}  // namespace tidegate::rpc
