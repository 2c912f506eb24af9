#include "billing/rpc/admin_host.h"

#include "base/crypto/api_key.h"
#include "billing/adapters/admin_key_store.h"

namespace tidegate::billing {

namespace {

std::unexpected<Error> bad_token() {
  return fail(Code::kUnauthenticated, "bad_token",
              "the administrator key is not valid: unknown, revoked, expired or mistyped", "authorization");
}

/// What can be refused without a thread or the database: most of what is not a key at all.
Status check_shape(const std::string& token) {
  if (token.empty()) {
    return fail(Code::kUnauthenticated, "missing_token", "send the metadata 'authorization: Bearer tga_...'",
                "authorization");
  }
  const auto parsed = parse_api_key(token);
  if (!parsed || parsed->kind != KeyKind::kAdmin) return bad_token();
  return {};
}

}  // namespace

AdminHost::AdminHost(const ServiceContext& context, rpc::WorkPool& workers)
    : context_(context), host_(workers, rpc::AuthGate::checked_by(check_shape).for_roles({"cli"})) {}

Result<AdminCaller> AdminHost::admit(const rpc::ServerCall& call, std::string_view method) const {
  auto caller = caller_of(rpc::bearer_token(call.context()), call.deadline());
  Status allowed;
  if (!caller) {
    allowed = fail(caller.error());
  } else {
    allowed = check_method(method, caller->role, caller->tenant.has_value());
  }
  if (allowed) return caller;
  context_.metrics.admin_refusals.add();
  context_.log.warn("admin_call_refused", {kv("method", method), kv("actor", caller ? caller->actor : std::string()),
                                           kv("reason", allowed.error().reason)});
  return fail(std::move(allowed).error());
}

Result<AdminCaller> AdminHost::caller_of(const std::string& token, Deadline deadline) const {
  const auto parsed = parse_api_key(token);
  if (!parsed || parsed->kind != KeyKind::kAdmin) return bad_token();
  const std::string actor = "admin/" + parsed->public_id;
  const Digest mac = api_key_mac(context_.pepper, token);
  const Digest operators = api_key_mac(context_.pepper, context_.admin_key);
  if (equal_constant_time(as_view(mac), as_view(operators)))
    return AdminCaller{actor, AdminRole::kOperator, std::nullopt};

  auto find = [&](pqxx::work& tx) -> Result<std::optional<AdminKeySecret>> {
    return load_admin_secret(tx, parsed->public_id);
  };
  TG_ASSIGN(const auto found, context_.pool.run_blocking(deadline, find));
  // Compared for an unknown id as well: time tells neither apart.
  const std::string nobody(mac.size(), '\0');
  const bool is_equal = equal_constant_time(as_view(mac), found ? found->mac : nobody);
  if (!found || !is_equal) return bad_token();
  const AdminKeyRow& key = found->key;
  if (key.revoked || (key.expires && *key.expires <= context_.clock.wall())) return bad_token();
  // A tenant's key sees what the database lets it see. Without row-level security that would be everything.
  if (key.tenant && !context_.has_row_security) {
    return fail(
        Code::kFailedPrecondition, "row_security_off",
        "keys of one tenant work only where billing serves with a role of its own: set pg.role = tidegate_serve");
  }
  return AdminCaller{actor, key.role, key.tenant};
}

}  // namespace tidegate::billing
