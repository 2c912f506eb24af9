#pragma once

#include <string>
#include <string_view>

#include "base/core/result.h"

namespace tidegate::scheduler::kube {

/// A PEM text that is in the kubeconfig itself, or in a file of its own.
struct PemSource {
  std::string inline_pem;
  std::string file;
  bool is_given() const { return !inline_pem.empty() || !file.empty(); }
};

/// What one context of a kubeconfig says.
struct Kubeconfig {
  std::string server;       ///< "https://host:port/prefix"
  std::string server_name;  ///< that its certificate bears; empty: the host
  PemSource authorities;
  PemSource certificate;  ///< of the client
  PemSource key;
  std::string token;
  std::string token_file;
};

/// Reads the context named `context`, or the current one when it is empty. What would run a program to log in (exec,
/// auth-provider), a password, impersonation, a proxy and unverified TLS are refused by name: a scheduler logs in with
/// what it was given. Fails: invalid_argument/bad_kubeconfig.
Result<Kubeconfig> parse_kubeconfig(std::string_view text, std::string_view context);

}  // namespace tidegate::scheduler::kube
