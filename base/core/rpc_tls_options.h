#pragma once

#include <string>

#include "base/core/config.h"

namespace tidegate {

/// Files with which the processes of an installation prove to each other who they are. All three or none.
struct RpcTlsOptions {
  std::string ca_file;
  std::string cert_file;
  std::string key_file;

  bool is_on() const { return !ca_file.empty() || !cert_file.empty() || !key_file.empty(); }
};

/// The rows rpc.tls_ca_file, rpc.tls_cert_file and rpc.tls_key_file, the same in every process.
void add_rpc_tls_rows(ConfigTable& table, RpcTlsOptions& options);

/// The row log.level, the same in every process.
void add_log_row(ConfigTable& table, std::string& level);

}  // namespace tidegate
