#include "scheduler/config.h"

#include "base/core/secret_check.h"
#include "base/crypto/api_key.h"

namespace tidegate::scheduler {

ConfigTable config_table(SchedulerConfig& config) {
  ConfigTable table("tidegate-scheduler");
  table.text("grpc.listen", config.grpc_listen, "Address of the gRPC services: host:port or unix:/path. Workers are told it.");
  table.text("admin.listen", config.admin_listen, "Address of /metrics, /livez and /readyz; keep it inside.");
  table.text("pg.dsn", config.pg_dsn, "PostgreSQL, as libpq keywords.");
  table.required();
  table.text("catalogue.dir", config.catalogue_dir, "Folder of the catalogue, one JSON file a model.");
  table.text("models.dir", config.models_dir, "Folder that the catalogue's paths start from.");
  table.text("region", config.region, "Region this scheduler stands in.");
  table.text("local.worker_binary", config.worker_binary, "Local driver: path of tidegate-worker.");
  table.required();
  table.text("local.run_dir", config.run_dir, "Local driver: folder for records and logs of its processes.");
  table.required();
  table.text("local.socket_dir", config.socket_dir, "Local driver: folder for the workers' unix sockets; a short path.");
  table.required();
  table.milliseconds("local.stop_limit_ms", config.stop_limit, 100, 3'600'000, "Local driver: how long a replica may take to finish before it is killed.");
  table.secret_file("secrets.cluster_token_file", config.cluster_token, "Token that gateways and workers show.");
  table.required();
  table.secret_file("secrets.admin_key_file", config.admin_key, "The administrator's key (tga_...), for FleetAdmin.");
  table.required();
  table.text("billing.address", config.callers_address,
             "Where FleetAdmin asks who its callers are (host:port or unix:/path of billing): keys of people, and the identity "
             "provider's tokens. Empty: only the key of secrets.admin_key_file calls it.");
  table.milliseconds("billing.remember_ms", config.callers_remembered, 0, 60'000,
                     "How long an answer is good for: a revoked key may still change the fleet for as long.");
  table.milliseconds("lease.ttl_ms", config.lease_ttl, 1'000, 600'000, "How long leadership lasts without renewal.");
  table.milliseconds("shutdown.drain_ms", config.drain, 0, 600'000, "How long calls under way may take at shutdown.");
  table.text("local.billing_address", config.billing_address,
             "Local driver: where its workers tell what each sequence cost (host:port or unix:/path); empty = nowhere.");
  table.text("local.cluster_token_file", config.cluster_token_file, "Local driver: path of the token file its workers read.");
  table.required();
  add_rpc_tls_rows(table, config.rpc_tls);
  table.text("local.worker_tls_cert_file", config.worker_tls_cert_file,
             "Local driver: certificate of its workers' role, with rpc.tls_...; one for all of them.");
  table.private_file("local.worker_tls_key_file", config.worker_tls_key_file, "Local driver: key of that certificate.");
  add_log_row(table, config.log_level);
  return table;
}

Status check_config(const SchedulerConfig& config) {
  TG_TRY(check_secret("secrets.cluster_token_file", config.cluster_token));
  if (config.rpc_tls.is_on() && (config.worker_tls_cert_file.empty() || config.worker_tls_key_file.empty())) {
    return fail(Code::kInvalidArgument, "bad_config",
                "with rpc.tls_... the local driver's workers need local.worker_tls_cert_file and local.worker_tls_key_file",
                "local.worker_tls_cert_file");
  }
  const auto key = parse_api_key(config.admin_key);
  if (!key || key->kind != KeyKind::kAdmin) {
    return fail(Code::kInvalidArgument, "weak_secret", "secrets.admin_key_file must hold a key made by: tidegate admin-key mint",
                "secrets.admin_key_file");
  }
  return {};
}

}  // namespace tidegate::scheduler
