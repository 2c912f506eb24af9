#pragma once

#include <memory>
#include <string>

#include "base/core/result.h"
#include "base/crypto/certificate.h"

struct ssl_ctx_st;

namespace tidegate {

/// What a client needs to talk TLS. Everything is PEM text, so that it may come from files or from inside others.
struct TlsClientOptions {
  std::string authorities_pem;  ///< the server's certificate must be of one of these; never empty
  std::string chain_pem;        ///< our own certificate; empty: none is shown
  std::string key_pem;
};

/// What every TLS connection of a server shares: certificate, key, protocol versions, ciphers, ticket keys. Immutable
/// and thread-safe; replacing a certificate means a new context for new connections, and the old one lives as long as
/// its last connection.
///
/// TLS 1.2 and 1.3, AEAD ciphers with forward secrecy only, no renegotiation, no compression, no early data. ALPN
/// knows http/1.1; a client that offers other protocols only is refused. Sessions are resumed by ticket: nothing is
/// kept per client.
class TlsContext {
 public:
  /// With authorities (PEM) a client must show a certificate of one of them; empty: none is asked for.
  /// Fails: invalid_argument/bad_certificate.
  static Result<std::shared_ptr<const TlsContext>> for_server(const CertificatePair& pair,
                                                              const std::string& client_authorities);
  /// For connections of ours to a server: the same versions and ciphers; the server's chain is always verified, its name
  /// by whoever connects. facts() are of our own certificate, empty without one.
  /// Fails: invalid_argument/bad_certificate.
  static Result<std::shared_ptr<const TlsContext>> for_client(const TlsClientOptions& options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* native() const { return context_; }
  const CertificateFacts& facts() const { return facts_; }

 private:
  TlsContext(ssl_ctx_st* context, CertificateFacts facts) : context_(context), facts_(std::move(facts)) {}
  ssl_ctx_st* context_;
  CertificateFacts facts_;
};

}  // namespace tidegate
