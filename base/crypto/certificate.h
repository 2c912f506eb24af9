#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"

/// Certificates as an operator gives them: files in PEM, checked before anything listens with them.
namespace tidegate {

struct CertificateFacts {
  std::string subject;             ///< "CN=tidegate gateway"
  std::vector<std::string> uris;   ///< of the subject's alternative names
  Wall not_before{};
  Wall not_after{};
  std::string fingerprint;  ///< SHA-256 of the certificate, hexadecimal
};

/// A certificate with the chain that follows it in its file, and its key. The key is never printed.
struct CertificatePair {
  std::string chain_pem;
  std::string key_pem;
  CertificateFacts facts;
};

/// Reads `<options>cert_file` and `<options>key_file`, e.g. of "http.tls_". The certificate must be in force at `now`,
/// the key must be its own and at least RSA 2048, EC P-256 or Ed25519.
/// Fails: invalid_argument/bad_certificate naming option, file and fix.
Result<CertificatePair> load_certificate_pair(const std::string& cert_file, const std::string& key_file,
                                              std::string_view options, Wall now);

/// Reads a file of one or more authorities' certificates, each in force. `option` is for the message.
/// Fails: invalid_argument/bad_certificate.
Result<std::string> load_authorities(const std::string& file, std::string_view option, Wall now);

/// Facts of the first certificate in `pem`. Fails: invalid_argument/bad_certificate.
Result<CertificateFacts> read_certificate(std::string_view pem, std::string_view name);

}  // namespace tidegate
