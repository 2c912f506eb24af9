#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/core/backoff.h"
#include "base/core/log.h"
#include "base/net/signal.h"
#include "base/rpc/client.h"
#include "gateway/core/route_table.h"
#include "gateway/metrics.h"
#include "tidegate/v1/fleet.grpc.pb.h"

namespace tidegate::gateway {

struct RouteWatchOptions {
  std::string scheduler_address;
  std::string cluster_token;
  RpcTlsOptions tls;
  std::string gateway_id;
  std::string region;
  Duration silence_max = std::chrono::seconds(15);  ///< the scheduler resends every five seconds
  bool is_one_of_several = false;  ///< it may stand by: a stream without a first picture is no outage, keepalive watches it
  Duration reconnect_least = std::chrono::milliseconds(50);
  Duration reconnect_most = std::chrono::seconds(2);
};

/// Keeps the scheduler's WatchRoutes stream open and hands every picture on. While the scheduler is silent nothing is
/// handed on: the last good picture stays in force (fail static). Runs on one executor.
class RouteWatch {
 public:
  /// Immutable and shared by every lane.
  using Snapshot = std::shared_ptr<const RouteSnapshot>;
  using Sink = std::function<void(Snapshot)>;

  RouteWatch(RouteWatchOptions options, Sink sink, Executor executor, const Clock& clock, Log& log,
             GatewayMetrics& metrics);

  /// Until stop(). Fails: invalid_argument/bad_address at once.
  awaitable<Status> run();
  void stop();

 private:
  using Stream = rpc::StreamReader<v1::Routes>;
  awaitable<Status> follow();

  RouteWatchOptions options_;
  Sink sink_;
  const Clock& clock_;
  Log& log_;
  GatewayMetrics& metrics_;
  Backoff backoff_;
  AsyncSignal wake_;
  std::optional<Stream> stream_;
  bool is_stopped_ = false;
  bool is_outage_logged_ = false;
};

}  // namespace tidegate::gateway
