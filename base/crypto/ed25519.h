#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/core/random.h"
#include "base/core/result.h"
#include "base/signing/ed25519_signer.h"

/// Ed25519 (RFC 8032): keys, their files and verification from OpenSSL, signatures from base/signing. Signing is
/// deterministic: the same key and message always give the same bytes.
namespace tidegate {

inline std::string_view as_view(const Signature& signature) {
  return {reinterpret_cast<const char*>(signature.data()), signature.size()};
}

/// Immutable, cheap to copy, thread-safe.
class Ed25519PublicKey {
 public:
  /// Exactly 32 bytes. Fails: invalid_argument/bad_key.
  static Result<Ed25519PublicKey> from_raw(std::string_view raw);
  /// "-----BEGIN PUBLIC KEY-----". `name` is the file or option, for the message. Fails:
  /// invalid_argument/bad_key.
  static Result<Ed25519PublicKey> from_pem(std::string_view pem, std::string_view name);

  bool verify(std::string_view message, std::string_view signature) const;
  const std::string& raw() const { return raw_; }
  std::string pem() const;
  /// The first 16 hexadecimal digits of the key's SHA-256: whoever has the key can check its name.
  const std::string& id() const { return id_; }

 private:
  Ed25519PublicKey(std::shared_ptr<void> key, std::string raw);
  std::shared_ptr<void> key_;  // EVP_PKEY; shared_ptr: copies share what OpenSSL counts itself
  std::string raw_;
  std::string id_;
};

/// A private key. Immutable, cheap to copy, thread-safe. Never printed.
class Ed25519Key {
 public:
  static Ed25519Key mint(EntropySource& entropy);
  /// PKCS#8, "-----BEGIN PRIVATE KEY-----". `name` is the file or option. Fails: invalid_argument/bad_key.
  static Result<Ed25519Key> from_pem(std::string_view pem, std::string_view name);

  /// About 20 us.
  Signature sign(std::string_view message) const;
  const Ed25519PublicKey& public_key() const { return public_; }
  /// For writing a new key to its file.
  std::string pem() const;

 private:
  Ed25519Key(std::shared_ptr<void> key, Ed25519PublicKey public_key);
  std::shared_ptr<void> key_;
  Ed25519Signer signer_;
  Ed25519PublicKey public_;
};

}  // namespace tidegate
