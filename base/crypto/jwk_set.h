#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/result.h"

/// Public keys of an issuer of tokens (RFC 7517), from OpenSSL. Only what signs: RSA of 2048 to 8192 bits, P-256,
/// Ed25519.
namespace tidegate {

/// How a key signs. The key says it, never the token: RFC 8725, section 3.1.
enum class JwtAlgorithm : std::uint8_t { kRs256, kPs256, kEs256, kEdDsa };
/// "RS256", "PS256", "ES256", "EdDSA".
std::string_view jwt_algorithm_name(JwtAlgorithm algorithm);

/// Immutable, cheap to copy, thread-safe.
class JwkKey {
 public:
  JwkKey(std::string id, JwtAlgorithm algorithm, std::shared_ptr<void> key)
      : id_(std::move(id)), algorithm_(algorithm), key_(std::move(key)) {}

  const std::string& id() const { return id_; }  ///< its `kid`; "" when it has none
  JwtAlgorithm algorithm() const { return algorithm_; }
  /// `signature` as a token carries it, decoded: for ES256 the two numbers, 32 bytes each.
  bool verify(std::string_view text, std::string_view signature) const;

 private:
  std::string id_;
  JwtAlgorithm algorithm_;
  std::shared_ptr<void> key_;  // EVP_PKEY; shared_ptr: copies share what OpenSSL counts itself
};

/// Immutable, thread-safe.
class JwkSet {
 public:
  static constexpr std::size_t kBytesMax = 256 * 1024;
  static constexpr std::size_t kKeysMax = 64;

  /// {"keys": [...]}. A key without `alg` signs as RS256 when it is RSA (whoever means PS256 says so). Keys for
  /// encryption, symmetric ones, weak ones, private ones and those of other kinds are left out, each with a complaint.
  /// Fails: invalid_argument/bad_jwks for a document that is no set, is too large, or holds no key of use.
  static Result<JwkSet> parse(std::string_view text);

  /// By `kid`. With "" the only key of a set of one: a token that names none is of nobody where there are several.
  const JwkKey* find(std::string_view id) const;
  std::size_t size() const { return keys_.size(); }
  /// One sentence for each key that was left out, for the operator's log.
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  std::vector<JwkKey> keys_;
  std::vector<std::string> complaints_;
};

}  // namespace tidegate
