#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/core/result.h"

namespace grpc {
class ServerContextBase;
}

namespace tidegate::rpc {

/// The bearer token of a request's metadata ("authorization: Bearer <token>"); empty when there is none, when it is
/// malformed or when it is given twice.
std::string bearer_token(const grpc::ServerContextBase& context);

/// Who may call a service. Every service checks its gate before it does anything else (UnaryHost does it); the built-in
/// health and reflection services need no token. Immutable, thread-safe. Compares in constant time.
class AuthGate {
 public:
  /// Refuses every call without this token. An empty token is a broken configuration and lets nobody in.
  static AuthGate required(std::string token) { return AuthGate(std::move(token)); }
  /// Lets everybody in: for services that check their callers themselves (API keys).
  static AuthGate open() { return AuthGate(std::nullopt); }
  /// Lets in whom `check` lets in, called with the token, "" when there is none. Cheap and without waiting: it runs on
  /// gRPC's threads. For services that look at the token again, where they may wait.
  static AuthGate checked_by(std::function<Status(const std::string& token)> check) {
    AuthGate gate(std::nullopt);
    gate.check_ = std::move(check);
    return gate;
  }

  /// The same gate for callers whose certificate names one of `roles` (base/rpc/tls.h). Without TLS it changes nothing.
  AuthGate for_roles(std::vector<std::string> roles) const {
    AuthGate gate = *this;
    gate.roles_ = std::move(roles);
    return gate;
  }

  /// Fails: permission_denied/wrong_role, unauthenticated/missing_token, unauthenticated/bad_token.
  Status check(const grpc::ServerContextBase& context) const;
  Status check_token(const std::string& token) const;

 private:
  explicit AuthGate(std::optional<std::string> token) : token_(std::move(token)) {}
  std::optional<std::string> token_;
  std::function<Status(const std::string&)> check_;
  std::vector<std::string> roles_;  ///< empty: any
};

}  // namespace tidegate::rpc
