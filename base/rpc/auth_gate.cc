#include "base/rpc/auth_gate.h"

#include <grpcpp/server_context.h>

#include <string_view>

#include "base/crypto/sha256.h"
#include "base/rpc/tls.h"

namespace tidegate::rpc {

std::string bearer_token(const grpc::ServerContextBase& context) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto& metadata = context.client_metadata();
  if (metadata.count("authorization") != 1) return {};
  const auto& value = metadata.find("authorization")->second;
  const std::string_view text(value.data(), value.size());
  return text.starts_with(kScheme) ? std::string(text.substr(kScheme.size())) : std::string();
}

Status AuthGate::check(const grpc::ServerContextBase& context) const {
  if (!roles_.empty()) TG_TRY(check_caller_role(context, roles_));
  if (!token_ && !check_) return {};
  return check_token(bearer_token(context));
}

Status AuthGate::check_token(const std::string& token) const {
  if (check_) return check_(token);
  if (!token_) return {};
  if (token.empty()) {
    return fail(Code::kUnauthenticated, "missing_token", "send the metadata 'authorization: Bearer <token>'", "authorization");
  }
  // Digests have equal lengths: not even the token's length shows in the time.
  if (token_->empty() || !equal_constant_time(as_view(sha256(token)), as_view(sha256(*token_)))) {
    return fail(Code::kUnauthenticated, "bad_token", "the token is not the one this service expects", "authorization");
  }
  return {};
}

}  // namespace tidegate::rpc
