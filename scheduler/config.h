#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/core/config.h"
#include "base/core/rpc_tls_options.h"
#include "scheduler/drivers/kubernetes/kube_config.h"
#include "scheduler/drivers/local/replica_limits.h"

namespace tidegate::scheduler {

struct SchedulerConfig {
  std::string grpc_listen = "127.0.0.1:8092";
  std::string admin_listen = "127.0.0.1:9102";
  std::string rest_listen;  ///< empty: FleetAdmin is served over gRPC alone
  std::string pg_dsn;
  std::string catalogue_dir = "models/catalogue";
  std::string models_dir = "models";
  std::string accelerators_dir = "models/accelerators";
  std::string pools_file;  ///< empty: this machine is the only pool
  std::string region = "local";
  std::string driver = "local";
  KubeConfig kube;  ///< with driver = kubernetes
  std::string worker_binary;
  std::string run_dir;
  std::string socket_dir;
  std::string cluster_token;
  std::string cluster_token_file;
  std::string billing_address;
  std::string peers;  ///< the other schedulers, with commas between; told to workers
  LimitOptions limits;  ///< of each worker that the local driver starts
  std::string worker_tls_cert_file;
  std::string worker_tls_key_file;
  RpcTlsOptions rpc_tls;
  std::string log_level = "info";
  std::string admin_key;
  std::string callers_address;  ///< empty: only the operator's key calls FleetAdmin
  std::chrono::milliseconds callers_remembered{5'000};
  std::chrono::milliseconds callers_refused{1'000};
  std::chrono::milliseconds lease_ttl{5'000};
  std::chrono::milliseconds stop_limit{70'000};
  std::chrono::milliseconds drain{2'000};
};

ConfigTable config_table(SchedulerConfig& config);
/// Fails: invalid_argument/weak_secret, bad_config.
Status check_config(const SchedulerConfig& config);

}  // namespace tidegate::scheduler
