#pragma once

#include <string>

#include "base/core/result.h"

namespace tidegate::scheduler::kube {

/// Where the options say that the API server is found.
struct AccessOptions {
  std::string kubeconfig;  ///< empty: as a pod of the cluster
  std::string context;     ///< of the kubeconfig; empty: its current one
  std::string api_server = "https://kubernetes.default.svc";
  std::string token_file = "/var/run/secrets/kubernetes.io/serviceaccount/token";
  std::string ca_file = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
};

/// Everything needed to talk to it, as the files have it now. Secrets in it are never printed.
struct KubeAccess {
  std::string host;
  std::string port;
  std::string prefix;  ///< before every path; empty for most clusters
  bool is_tls = true;
  std::string server_name;
  std::string authorities_pem;
  std::string chain_pem;
  std::string key_pem;
  std::string token;

  bool operator==(const KubeAccess&) const = default;
};

/// Reads the files anew: tokens of service accounts are replaced every hour or so, certificates now and then.
/// Plain HTTP is for a loopback address only (kubectl proxy). Fails: invalid_argument/bad_kubeconfig, bad_config.
Result<KubeAccess> load_access(const AccessOptions& options);

}  // namespace tidegate::scheduler::kube
