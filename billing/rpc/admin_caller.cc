#include "billing/rpc/admin_caller.h"

#include <utility>

#include "base/crypto/api_key.h"
#include "base/crypto/jwt.h"
#include "billing/adapters/account_store.h"
#include "billing/adapters/admin_key_store.h"
#include "billing/rpc/person_check.h"

namespace tidegate::billing {

namespace {

std::unexpected<Error> bad_key() {
  return fail(Code::kUnauthenticated, "bad_token",
              "the administrator key is not valid: unknown, revoked, expired or mistyped", "authorization");
}

bool is_persons(const ServiceContext& context, const std::string& token) {
  return context.people != nullptr && has_jwt_shape(token);
}

/// A tenant's caller sees what the database lets it see. Without row-level security that would be everything.
Status check_row_security(const ServiceContext& context) {
  if (context.has_row_security) return {};
  return fail(Code::kFailedPrecondition, "row_security_off",
              "keys and people of one tenant are served only where billing has a role of its own: set pg.role = "
              "tidegate_serve");
}

Result<AdminCaller> find_person(const ServiceContext& context, const std::string& token, Deadline deadline) {
  TG_ASSIGN(Person person, context.people->verify(token));
  AdminCaller caller{std::move(person.actor), person.shape.role, std::nullopt};
  const std::string& name = person.shape.tenant;
  if (name.empty()) return caller;
  TG_TRY(check_row_security(context));
  auto find = [&](pqxx::work& tx) { return find_tenant(tx, name); };
  const auto tenant = context.pool.run_blocking(deadline, find);
  if (tenant) {
    caller.tenant = tenant->id;
    return caller;
  }
  if (tenant.error().code != Code::kNotFound) return fail(tenant.error());
  context.log.warn("person_refused",
                   {kv("actor", caller.actor), kv("reason", "unknown_tenant"), kv("message", tenant.error().message)});
  return fail(Code::kPermissionDenied, "no_tenant",
              "your account is of a tenant that this installation does not have: ask its operator");
}

Result<AdminCaller> find_key(const ServiceContext& context, const std::string& token, Deadline deadline) {
  const auto parsed = parse_api_key(token);
  if (!parsed || parsed->kind != KeyKind::kAdmin) return bad_key();
  const std::string actor = "admin/" + parsed->public_id;
  const Digest mac = api_key_mac(context.pepper, token);
  const Digest operators = api_key_mac(context.pepper, context.admin_key);
  if (equal_constant_time(as_view(mac), as_view(operators)))
    return AdminCaller{actor, AdminRole::kOperator, std::nullopt};

  auto find = [&](pqxx::work& tx) -> Result<std::optional<AdminKeySecret>> {
    return load_admin_secret(tx, parsed->public_id);
  };
  TG_ASSIGN(const auto found, context.pool.run_blocking(deadline, find));
  // Compared for an unknown id as well: time tells neither apart.
  const std::string nobody(mac.size(), '\0');
  const bool is_equal = equal_constant_time(as_view(mac), found ? found->mac : nobody);
  if (!found || !is_equal) return bad_key();
  const AdminKeyRow& key = found->key;
  if (key.revoked || (key.expires && *key.expires <= context.clock.wall())) return bad_key();
  if (key.tenant) {
    TG_TRY(check_row_security(context));
  }
  return AdminCaller{actor, key.role, key.tenant};
}

}  // namespace

Status check_caller_shape(const ServiceContext& context, const std::string& token) {
  if (token.empty()) {
    return fail(Code::kUnauthenticated, "missing_token", "send the metadata 'authorization: Bearer tga_...'",
                "authorization");
  }
  if (is_persons(context, token)) return {};
  const auto parsed = parse_api_key(token);
  if (!parsed || parsed->kind != KeyKind::kAdmin) return bad_key();
  return {};
}

Result<AdminCaller> find_caller(const ServiceContext& context, const std::string& token, Deadline deadline) {
  return is_persons(context, token) ? find_person(context, token, deadline) : find_key(context, token, deadline);
}

}  // namespace tidegate::billing
