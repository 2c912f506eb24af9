#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/core/config.h"
#include "base/core/rpc_tls_options.h"

namespace tidegate::gateway {

/// Everything an operator can set. The table in config.cc names, bounds and explains each.
struct GatewayConfig {
  std::string http_listen = "127.0.0.1:8080";
  std::string grpc_listen = "127.0.0.1:8081";
  std::string admin_listen = "127.0.0.1:8082";
  std::string trusted_proxies;
  std::string http_tls_cert_file;  ///< empty: plain HTTP
  std::string http_tls_key_file;
  std::string http_tls_client_ca_file;
  std::string grpc_tls_cert_file;  ///< empty: plain gRPC
  std::string grpc_tls_key_file;
  RpcTlsOptions rpc_tls;
  std::string log_level = "info";
  std::int64_t io_threads = 2;
  std::string region = "local";
  std::string pool = "cpu";
  std::string gateway_id = "gateway-1";
  std::string scheduler_address;
  std::string billing_address;
  std::string redis_address;  ///< empty: no Redis; limits are kept by static parts, and no Idempotency-Keys are taken
  std::string redis_password;
  std::int64_t limit_gateways = 1;
  std::chrono::milliseconds limit_wait_max{50};
  std::string journal_dir;
  std::int64_t journal_quota_bytes = std::int64_t{4} << 30;
  std::chrono::milliseconds lease_horizon{75'000};
  std::string pepper;
  std::string cluster_token;
  std::string cache_salt;
  std::string receipt_key;  ///< PEM
  std::string deployment = "tidegate";
  std::chrono::milliseconds idempotency_ttl{24 * 3'600'000};
  std::int64_t idempotency_answer_bytes_max = 1024 * 1024;

  std::string guard_rules_file;  ///< this or the next, or neither: no policy on content
  std::string guard_address;
  std::string guard_token;       ///< shown to the server at guard_address; may be empty
  std::chrono::milliseconds guard_wait_max{1'000};
  std::int64_t guard_calls_max = 1'024;
  std::int64_t guard_threads = 2;
  std::string guard_input_on_failure = "closed";
  std::string guard_output_on_failure = "closed";
  std::int64_t guard_window_bytes = 512;

  std::chrono::milliseconds balance_keep{1'000};
  std::int64_t balance_lookups_per_second = 50;

  std::chrono::milliseconds request_max{600'000};
  std::chrono::milliseconds queue_wait_max{60'000};
  std::int64_t queue_length_max = 4'096;
  std::chrono::milliseconds queue_target{2'000};
  std::int64_t queue_input_weight = 1;
  std::int64_t queue_output_weight = 2;
  std::chrono::milliseconds keep_alive{9'000};
  std::int64_t completion_tokens_default = 8'192;
  std::int64_t connections_max = 10'000;
  std::int64_t body_bytes_max = 8 * 1024 * 1024;
  std::chrono::milliseconds lame_duck{0};
  std::chrono::milliseconds drain_max{20'000};

  std::int64_t prefix_entries_max = 262'144;
  std::chrono::milliseconds slow_start{10'000};
  std::int64_t eject_after_errors = 5;
  std::chrono::milliseconds eject_least{5'000};
  std::int64_t ejected_percent_max = 30;
  std::chrono::milliseconds stall_after{30'000};
  std::chrono::milliseconds spill_after{0};
  std::chrono::milliseconds header_max{10'000};
  std::chrono::milliseconds body_max{30'000};
  std::chrono::milliseconds idle_max{75'000};
  std::chrono::milliseconds write_stall_max{30'000};
  std::chrono::milliseconds handshake_max{10'000};
  std::int64_t handshakes_max = 512;
  std::int64_t connections_per_address_max = 0;
  std::int64_t requests_per_connection_max = 100'000;
  std::int64_t body_rate_min = 1'024;
};

/// Rows write into `config`, which must outlive the table.
ConfigTable config_table(GatewayConfig& config);

/// What no single row can see: secrets too weak to be secrets, the same secret twice.
/// Fails: invalid_argument/bad_config with every problem, one a line. Never prints a secret.
Status check_config(const GatewayConfig& config);

/// The values in force for /configz, without secrets.
std::string describe_config(GatewayConfig config);

}  // namespace tidegate::gateway
