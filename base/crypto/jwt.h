#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/crypto/jwk_set.h"
#include "base/json/json.h"

/// Signed tokens of an identity provider (RFC 7519, 7515), as strictly as RFC 8725 asks: the key says the algorithm, a
/// token brings no key of its own (`jku`, `jwk`, `x5u`, `x5c` are not looked at), extensions are refused.
namespace tidegate {

inline constexpr std::size_t kJwtBytesMax = 8 * 1024;

/// What a token must say to be for us.
struct JwtRules {
  std::string issuer;    ///< `iss`, to the letter
  std::string audience;  ///< one of `aud`
  std::chrono::seconds leeway{60};  ///< how far the issuer's clock may be from ours
};

struct Jwt {
  std::string subject;  ///< 1 to 255 visible ASCII characters
  std::string key_id;   ///< of the key that signed; may be empty
  Wall expires;
  json::object claims;
};

/// Three parts of base64url's letters: worth a closer look. Says nothing of who signed it.
bool has_jwt_shape(std::string_view text);

/// The `kid` that the token names, "" for none, before anything is verified: to find out whether its key is there.
/// Fails: as verify_jwt() for a malformed token.
Result<std::string> jwt_key_id(std::string_view text);

/// Fails: unauthenticated with one of jwt_too_large, jwt_malformed, jwt_algorithm, jwt_unknown_key, jwt_bad_signature,
/// jwt_issuer, jwt_audience, jwt_expired, jwt_not_yet_valid, jwt_bad_claim. The words are for the log of whoever runs
/// the installation, never for the caller; they hold no part of the token but the names it gives.
Result<Jwt> verify_jwt(std::string_view text, const JwkSet& keys, const JwtRules& rules, Wall now);

/// What a claim says: its string, or the strings of its list; nothing for any other value. A name that is no member
/// itself may be a path ("realm_access.roles").
std::vector<std::string> claim_values(const json::object& claims, std::string_view name);

}  // namespace tidegate
