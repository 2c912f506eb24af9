#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/random.h"
#include "base/core/result.h"

/// A certificate authority for one small installation: EC P-256 and SHA-256 throughout. Installations with an authority
/// of their own need none of it.
namespace tidegate {

struct MintedCertificate {
  std::string certificate_pem;
  std::string key_pem;  ///< PKCS#8
};

/// What a certificate is for.
struct CertificateOrder {
  std::string common_name;             ///< at most 64 characters
  std::vector<std::string> uris;       ///< "tidegate://gateway"
  std::vector<std::string> dns_names;  ///< "localhost"
  std::vector<std::string> addresses;  ///< "127.0.0.1", "::1"
  std::chrono::seconds life{0};
};

class CertificateAuthority {
 public:
  /// A new root. It signs leaves only (path length 0).
  static Result<CertificateAuthority> mint(std::string_view common_name, std::chrono::seconds life,
                                           EntropySource& entropy, Wall now);
  /// As written by mint(). Fails: invalid_argument/bad_certificate.
  static Result<CertificateAuthority> from_pem(const MintedCertificate& pem);

  /// With a new key, or with the one in `key_pem`: a renewal that keeps its key can be put in place one file at a time.
  /// Serves as server and as client. Fails: invalid_argument/bad_certificate.
  Result<MintedCertificate> issue(const CertificateOrder& order, std::string_view key_pem, EntropySource& entropy,
                                  Wall now) const;

  const MintedCertificate& pem() const { return pem_; }

 private:
  CertificateAuthority(std::shared_ptr<void> certificate, std::shared_ptr<void> key, MintedCertificate pem)
      : certificate_(std::move(certificate)), key_(std::move(key)), pem_(std::move(pem)) {}

  std::shared_ptr<void> certificate_;  // X509; shared_ptr: copies share what OpenSSL counts itself
  std::shared_ptr<void> key_;          // EVP_PKEY; as above
  MintedCertificate pem_;
};

}  // namespace tidegate
