#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/crypto/jwt.h"
#include "billing/adapters/issuer_keys.h"
#include "billing/core/person_rules.h"

namespace tidegate::billing {

/// How the tokens of the one identity provider are read.
struct PersonCheckOptions {
  JwtRules token;
  std::string role_claim;
  std::string tenant_claim;  ///< empty: everybody is of the whole installation
  RoleMap roles;
};

/// A person whose token the identity provider signed.
struct Person {
  std::string actor;  ///< "person/<sub>", as the audit log names them
  PersonShape shape;
};

/// Tokens of people, verified. Why one is refused is in the log; the caller of it hears one sentence, whatever the
/// reason. Thread-safe; may block for seconds when the provider's keys have to be looked for.
class PersonCheck {
 public:
  /// References outlive it.
  PersonCheck(PersonCheckOptions options, std::unique_ptr<IssuerKeys> keys, const Clock& clock, Log& log)
      : options_(std::move(options)), keys_(std::move(keys)), clock_(clock), log_(log) {}

  /// Fails: unauthenticated/bad_token, permission_denied/no_role, no_tenant or operator_of_a_tenant (of a person who is
  /// known), unavailable/keys_unreachable.
  Result<Person> verify(const std::string& token);

  /// The one sentence.
  static Error bad_token();

 private:
  Result<Jwt> read(const std::string& token);

  const PersonCheckOptions options_;
  const std::unique_ptr<IssuerKeys> keys_;
  const Clock& clock_;
  Log& log_;
};

}  // namespace tidegate::billing
