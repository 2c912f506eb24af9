#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/metrics.h"
#include "base/core/result.h"
#include "base/core/rpc_tls_options.h"
#include "base/net/http_server.h"
#include "base/net/io_threads.h"
#include "base/rpc/channel.h"
#include "scheduler/rest/fleet_rest.h"

namespace tidegate::scheduler {

struct FleetRestOptions {
  std::string listen;         ///< as parse_endpoint()
  std::string fleet_address;  ///< where the scheduler's own gRPC services listen
  RpcTlsOptions tls;          ///< of that address
};

/// FleetRest on an address and a thread of its own. Plain HTTP: where tokens would cross a network, a proxy that ends
/// TLS stands before it.
class FleetRestServer {
 public:
  /// The references outlive it. Fails: invalid_argument/bad_address, unavailable/listen_failed.
  static Result<std::unique_ptr<FleetRestServer>> start(const FleetRestOptions& options, const Clock& clock, Log& log,
                                                        MetricRegistry& metrics);
  /// As stop(0).
  ~FleetRestServer();
  FleetRestServer(const FleetRestServer&) = delete;
  FleetRestServer& operator=(const FleetRestServer&) = delete;

  /// "127.0.0.1:41234"
  std::string address() const;
  /// Takes no more requests; those under way may finish until then. Blocks. Idempotent.
  void stop(std::chrono::milliseconds grace);

 private:
  FleetRestServer(std::shared_ptr<rpc::Channel> channel, const Clock& clock);

  std::shared_ptr<rpc::Channel> channel_;  // shared with the client on it
  FleetRest rest_;
  IoThreads threads_{1, "rest"};
  std::unique_ptr<HttpServer> server_;  ///< ends before its thread
};

/// An address that listens on every interface, as one that can be dialled from here.
std::string own_address(const std::string& listening);

}  // namespace tidegate::scheduler
