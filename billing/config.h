#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/core/config.h"
#include "base/core/result.h"
#include "base/core/rpc_tls_options.h"

namespace tidegate::billing {

struct Config {
  std::string grpc_listen = "127.0.0.1:7443";
  std::string admin_listen = "127.0.0.1:9101";
  std::string pg_dsn;
  std::string pg_owner_dsn;  ///< empty: pg_dsn
  std::string pg_role;       ///< empty: the user's own rights
  std::int64_t pg_connections = 8;
  std::string pepper, cluster_token, admin_key;
  std::string root_key;  ///< PEM
  std::string deployment = "tidegate";
  std::chrono::milliseconds receipts_interval{60'000};
  std::int64_t worker_threads = 8;
  std::int64_t queue_max = 512;
  std::int64_t keys_alive_max = 500;
  std::int64_t keys_created_day_max = 100;
  std::chrono::milliseconds lease_ttl{120'000};
  std::chrono::milliseconds price_lead{900'000};
  std::chrono::milliseconds board_interval{5'000};
  std::chrono::milliseconds drain{10'000};
  std::chrono::milliseconds reconcile_interval{300'000};
  std::chrono::milliseconds budget_interval{5'000};
  bool allow_private_webhooks = false;
  std::chrono::milliseconds partition_interval{3'600'000};
  std::int64_t retention_months = 120;
  std::chrono::milliseconds invoice_interval{3'600'000};
  std::chrono::milliseconds invoice_grace{900'000};
  bool invoice_drafts = false;
  RpcTlsOptions rpc_tls;
  std::string log_level = "info";
  std::string oidc_issuer;  ///< empty: no identity provider, people call with keys
  std::string oidc_audience, oidc_jwks_file, oidc_jwks_url, oidc_ca_file;
  std::string oidc_role_claim = "groups";
  std::string oidc_role_map;
  std::string oidc_tenant_claim;
  std::chrono::milliseconds oidc_refresh{600'000};
  std::chrono::milliseconds oidc_look_least{30'000};
  std::string tzdata_file = "/usr/share/zoneinfo/tzdata.zi";
};

/// The table that fills `config`, which must outlive it.
ConfigTable config_table(Config& config);

/// Secrets must be hard to guess: at least 32 characters, at least 8 different ones; the admin key must be a tga_ key.
/// Fails: invalid_argument/weak_secret naming the option, never the value.
Status check_secrets(const Config& config);

/// The identity provider's options belong together: an issuer with its audience, one place of its keys, and a map of
/// roles; or none of them. Fails: invalid_argument/bad_config, bad_key_url or bad_role_map naming the option.
Status check_oidc(const Config& config);

}  // namespace tidegate::billing
