#pragma once

#include <optional>
#include <string>

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

  /// Fails: unauthenticated/missing_token, unauthenticated/bad_token.
  Status check(const grpc::ServerContextBase& context) const;
  Status check_token(const std::string& token) const;

 private:
  explicit AuthGate(std::optional<std::string> token) : token_(std::move(token)) {}
  std::optional<std::string> token_;
};

}  // namespace tidegate::rpc
