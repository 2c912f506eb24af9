#include "billing/rpc/person_check.h"

#include <optional>
#include <vector>

namespace tidegate::billing {

Error PersonCheck::bad_token() {
  return {Code::kUnauthenticated, "bad_token",
          "the token is not accepted: not signed by this installation's identity provider, not for it, or over. The "
          "operator's log says which",
          "authorization"};
}

Result<Jwt> PersonCheck::read(const std::string& token) {
  TG_ASSIGN(const std::string key_id, jwt_key_id(token));
  TG_ASSIGN(const auto keys, keys_->for_key(key_id));
  return verify_jwt(token, *keys, options_.token, clock_.wall());
}

Result<Person> PersonCheck::verify(const std::string& token) {
  const auto jwt = read(token);
  if (!jwt) {
    const Error& why = jwt.error();
    log_.warn("person_refused", {kv("reason", why.reason), kv("message", why.message)});
    if (why.code != Code::kUnauthenticated) return fail(why);
    return fail(bad_token());
  }
  Person person;
  person.actor = "person/" + jwt->subject;
  std::optional<std::vector<std::string>> tenants;
  if (!options_.tenant_claim.empty()) tenants = claim_values(jwt->claims, options_.tenant_claim);
  auto shape = shape_of_person(options_.roles, claim_values(jwt->claims, options_.role_claim), tenants);
  if (!shape) {
    log_.warn("person_refused", {kv("actor", person.actor), kv("reason", shape.error().reason),
                                 kv("message", shape.error().message)});
    return fail(std::move(shape).error());
  }
  person.shape = *std::move(shape);
  return person;
}

}  // namespace tidegate::billing
