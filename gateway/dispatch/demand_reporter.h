#pragma once

#include <cstdint>
#include <string>

#include "base/core/log.h"
#include "base/core/rpc_tls_options.h"
#include "base/net/signal.h"
#include "base/rpc/client.h"
#include "gateway/dispatch/demand_board.h"
#include "tidegate/v1/fleet.grpc.pb.h"

namespace tidegate::gateway {

struct DemandReporterOptions {
  std::string scheduler_addresses;  ///< with commas between (base/rpc/address.h)
  std::string cluster_token;
  RpcTlsOptions tls;
  std::string gateway_id;
  std::uint64_t epoch = 0;  ///< of this gateway's life: totals start over with it
  Duration every = std::chrono::seconds(1);
};

/// Tells the scheduler what is asked of each pool. A report that is lost loses nothing: the next one holds the totals.
/// Of several schedulers one leads: the others refuse, and the one that took a report last is asked first. While none takes
/// them reports are tried on, and only the outage's beginning is logged. One executor.
class DemandReporter {
 public:
  /// The references outlive it.
  DemandReporter(DemandReporterOptions options, const DemandBoard& board, Executor executor, const Clock& clock,
                 Log& log);

  /// Until stop(). Fails: invalid_argument/bad_address at once.
  awaitable<Status> run();
  void stop();

 private:
  DemandReporterOptions options_;
  const DemandBoard& board_;
  const Clock& clock_;
  Log& log_;
  Event stopping_;
  bool is_outage_logged_ = false;
};

/// As it goes over the wire.
v1::DemandReport to_message(const DemandReporterOptions& options, const std::vector<PoolDemand>& demand);

}  // namespace tidegate::gateway
