#include "base/core/rpc_tls_options.h"

namespace tidegate {

void add_rpc_tls_rows(ConfigTable& table, RpcTlsOptions& options) {
  table.text("rpc.tls_ca_file", options.ca_file,
             "Authority that signed the certificates of all processes of this installation, PEM. With it and the next two "
             "every gRPC connection inside is TLS and both sides are verified; unix sockets stay as they are.");
  table.text("rpc.tls_cert_file", options.cert_file,
             "This process's certificate with its chain, PEM; its URI names its role. A changed file is taken up within "
             "ten seconds.");
  table.private_file("rpc.tls_key_file", options.key_file, "Key of rpc.tls_cert_file, PEM without a passphrase.");
}

void add_log_row(ConfigTable& table, std::string& level) {
  table.choice("log.level", level, {"debug", "info", "warn", "error"}, "Least level of a log line that is written.");
  table.reloadable();
}

}  // namespace tidegate
