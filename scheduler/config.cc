#include "scheduler/config.h"

#include <cstdint>
#include <string>
#include <utility>

#include "base/core/secret_check.h"
#include "base/crypto/api_key.h"
#include "base/rpc/address.h"

namespace tidegate::scheduler {

ConfigTable config_table(SchedulerConfig& config) {
  ConfigTable table("tidegate-scheduler");
  table.text("grpc.listen", config.grpc_listen, "Address of the gRPC services: host:port or unix:/path. Workers are told it.");
  table.text("admin.listen", config.admin_listen, "Address of /metrics, /livez and /readyz; keep it inside.");
  table.text("rest.listen", config.rest_listen,
             "Address of FleetAdmin over HTTP and JSON (docs/api/fleet_rest.md); plain, so behind a proxy that ends TLS wherever "
             "tokens would cross a network. Empty: not served.");
  table.text("pg.dsn", config.pg_dsn, "PostgreSQL, as libpq keywords.");
  table.required();
  table.text("catalogue.dir", config.catalogue_dir, "Folder of the catalogue, one JSON file a model.");
  table.text("models.dir", config.models_dir, "Folder that the catalogue's paths start from.");
  table.text("accelerators.dir", config.accelerators_dir, "Folder of the kinds of accelerators that pools.file names.");
  table.text("pools.file", config.pools_file,
             "JSON list of the pools that deployments are planned over (docs/deployments.md). Empty: this machine alone.");
  table.text("region", config.region, "Region this scheduler stands in.");
  table.choice("driver", config.driver, {"local", "kubernetes"}, "What runs the workers: processes of this machine, or workloads of a Kubernetes cluster.");
  table.text("local.worker_binary", config.worker_binary, "Local driver: path of tidegate-worker; required.");
  table.text("local.run_dir", config.run_dir, "Local driver: folder for records and logs of its processes; required.");
  table.text("local.socket_dir", config.socket_dir, "Local driver: folder for the workers' unix sockets; a short path; required.");
  table.milliseconds("local.stop_limit_ms", config.stop_limit, 100, 3'600'000, "Local driver: how long a replica may take to finish before it is killed.");
  table.integer("local.cpu_weight", config.limits.cpu_weight, 0, 10'000,
                "Local driver: share of the processor of each worker where there is too little for all, as cpu.weight of cgroups: an "
                "ordinary process has 100. By nice values, what is over 100 counts as 100. 0: not set.");
  table.integer("local.memory_limit_bytes", config.limits.memory_bytes_max, 0, std::int64_t{1} << 50,
                "Local driver: bytes of memory each worker may have, 64 MiB or more; one that needs more ends, and is started again after "
                "a wait. 0: no limit.");
  table.choice("local.limits_by", config.limits.by, {"auto", "cgroup", "process", "none"},
               "Local driver: what sets these two: a control group of its own (cgroup version 2, in local.cgroup_dir), or the process's "
               "nice value and RLIMIT_DATA. auto: a group where that folder is usable, else the process. cgroup: no start without.");
  table.text("local.cgroup_dir", config.limits.cgroup_dir,
             "Local driver: folder of cgroup version 2, delegated to the scheduler's user and without a process, in which each worker gets "
             "a group. Empty: none.");
  table.secret_file("secrets.cluster_token_file", config.cluster_token, "Token that gateways and workers show.");
  table.required();
  table.secret_file("secrets.admin_key_file", config.admin_key, "The administrator's key (tga_...), for FleetAdmin.");
  table.required();
  table.text("billing.address", config.callers_address,
             "Where FleetAdmin asks who its callers are (host:port or unix:/path of billing): keys of people, and the identity "
             "provider's tokens. Empty: only the key of secrets.admin_key_file calls it.");
  table.milliseconds("billing.remember_ms", config.callers_remembered, 0, 60'000,
                     "How long an answer is good for: a revoked key may still change the fleet for as long.");
  table.milliseconds("billing.refuse_ms", config.callers_refused, 0, 60'000,
                     "How long a refusal is: a key or a role that is made after it was tried is let in as much later. "
                     "0: every try asks.");
  table.text("scheduler.peers", config.peers,
             "Local driver: the other schedulers of this database as host:port or unix:/path, up to 7 with commas between. Workers are "
             "told them beside grpc.listen and keep a link to each, so that a standby that takes over has them at once. Empty: none.");
  table.milliseconds("lease.ttl_ms", config.lease_ttl, 1'000, 600'000, "How long leadership lasts without renewal.");
  table.milliseconds("shutdown.drain_ms", config.drain, 0, 600'000, "How long calls under way may take at shutdown.");
  table.text("local.billing_address", config.billing_address,
             "Local driver: where its workers tell what each sequence cost (host:port or unix:/path); empty = nowhere.");
  table.text("local.cluster_token_file", config.cluster_token_file, "Local driver: path of the token file its workers read; required.");
  add_rpc_tls_rows(table, config.rpc_tls);
  table.text("local.worker_tls_cert_file", config.worker_tls_cert_file,
             "Local driver: certificate of its workers' role, with rpc.tls_...; one for all of them.");
  table.private_file("local.worker_tls_key_file", config.worker_tls_key_file, "Local driver: key of that certificate.");
  add_kube_rows(table, config.kube);
  add_log_row(table, config.log_level);
  return table;
}

namespace {
/// As workers will read it.
Status check_peers(const SchedulerConfig& config) {
  if (config.peers.empty()) return {};
  auto all = rpc::split_addresses(config.grpc_listen + "," + config.peers);
  if (all) return {};
  Error error = std::move(all).error();
  error.message = "scheduler.peers, read with grpc.listen: " + error.message;
  error.field = "scheduler.peers";
  return fail(std::move(error));
}

/// A worker with less ends before it serves, again and again.
constexpr std::int64_t kMemoryLimitBytesLeast = 64LL << 20;

Status check_limits(const LimitOptions& limits) {
  if (limits.memory_bytes_max > 0 && limits.memory_bytes_max < kMemoryLimitBytesLeast) {
    return fail(Code::kInvalidArgument, "bad_config",
                "local.memory_limit_bytes must be 0 (no limit) or at least " + std::to_string(kMemoryLimitBytesLeast) + " (64 MiB)",
                "local.memory_limit_bytes");
  }
  if (limits.by == "cgroup" && limits.cgroup_dir.empty()) {
    return fail(Code::kInvalidArgument, "bad_config",
                "local.limits_by = cgroup needs local.cgroup_dir: a folder of cgroup version 2 delegated to the scheduler", "local.cgroup_dir");
  }
  return {};
}

Status check_local_driver(const SchedulerConfig& config) {
  const std::pair<const char*, const std::string*> required[] = {{"local.worker_binary", &config.worker_binary},
                                                                 {"local.run_dir", &config.run_dir},
                                                                 {"local.socket_dir", &config.socket_dir},
                                                                 {"local.cluster_token_file", &config.cluster_token_file}};
  for (const auto& [option, value] : required) {
    if (!value->empty()) continue;
    return fail(Code::kInvalidArgument, "bad_config", std::string(option) + " is required with driver = local", option);
  }
  if (config.rpc_tls.is_on() && (config.worker_tls_cert_file.empty() || config.worker_tls_key_file.empty())) {
    return fail(Code::kInvalidArgument, "bad_config",
                "with rpc.tls_... the local driver's workers need local.worker_tls_cert_file and local.worker_tls_key_file",
                "local.worker_tls_cert_file");
  }
  TG_TRY(check_limits(config.limits));
  return check_peers(config);
}
}  // namespace

Status check_config(const SchedulerConfig& config) {
  TG_TRY(check_secret("secrets.cluster_token_file", config.cluster_token));
  if (config.driver == "kubernetes") {
    TG_TRY(check_kube_config(config.kube, config.models_dir, config.rpc_tls.is_on()));
  } else {
    TG_TRY(check_local_driver(config));
  }
  const auto key = parse_api_key(config.admin_key);
  if (!key || key->kind != KeyKind::kAdmin) {
    return fail(Code::kInvalidArgument, "weak_secret", "secrets.admin_key_file must hold a key made by: tidegate admin-key mint",
                "secrets.admin_key_file");
  }
  return {};
}

}  // namespace tidegate::scheduler
