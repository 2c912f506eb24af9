#include "base/net/tls_context.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <string_view>
#include <utility>

namespace tidegate {
namespace {

/// ECDHE and AEAD: Mozilla's "intermediate" list without DHE. TLS 1.3 has only good ones.
constexpr const char* kCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr long kTicketLifeSeconds = 2 * 3600;
constexpr unsigned char kSessionIdContext[] = "tidegate http";

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Bio reader(std::string_view text) { return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free}; }
int no_passphrase(char*, int, int, void*) { return 0; }

/// Takes http/1.1 out of the client's list. Who offers only h2 is told so by an alert, not by garbage later.
int select_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                    unsigned int offered_size, void*) {
  static constexpr unsigned char kOurs[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kOurs, sizeof kOurs, offered, offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

bool use_pair(SSL_CTX* context, const CertificatePair& pair) {
  const Bio text = reader(pair.chain_pem);
  const Certificate leaf(PEM_read_bio_X509(text.get(), nullptr, no_passphrase, nullptr), X509_free);
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) return false;
  while (X509* next = PEM_read_bio_X509(text.get(), nullptr, no_passphrase, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context, next) != 1) {  // takes it over when it succeeds
      X509_free(next);
      return false;
    }
  }
  ERR_clear_error();  // the end of the file is not an error
  const Bio key_text = reader(pair.key_pem);
  const Key key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  return key && SSL_CTX_use_PrivateKey(context, key.get()) == 1 && SSL_CTX_check_private_key(context) == 1;
}

enum class Peers : std::uint8_t { kClients, kServers };

bool trust(SSL_CTX* context, const std::string& authorities, Peers peers) {
  const Bio text = reader(authorities);
  int found = 0;
  while (true) {
    const Certificate authority(PEM_read_bio_X509(text.get(), nullptr, no_passphrase, nullptr), X509_free);
    if (!authority) break;
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1) return false;
    if (peers == Peers::kClients && SSL_CTX_add_client_CA(context, authority.get()) != 1) return false;
    ++found;
  }
  ERR_clear_error();
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return found > 0;
}

std::string last_words() {
  char words[256] = "unknown";
  if (const unsigned long code = ERR_peek_last_error(); code != 0) ERR_error_string_n(code, words, sizeof words);
  ERR_clear_error();
  return words;
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::for_server(const CertificatePair& pair,
                                                                 const std::string& client_authorities) {
  SSL_CTX* raw = SSL_CTX_new(TLS_server_method());
  const auto refuse = [] {
    return fail(Code::kInvalidArgument, "bad_certificate", "OpenSSL refuses the certificate: " + last_words());
  };
  if (raw == nullptr) return refuse();
  const std::shared_ptr<const TlsContext> context(new TlsContext(raw, pair.facts));
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_PRIORITIZE_CHACHA |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
  // A write that the kernel did not take whole is retried from wherever its bytes are then; idle connections keep no
  // record buffers; one system call reads a record's head and body.
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(raw, 1);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);  // tickets carry the sessions
  SSL_CTX_set_timeout(raw, kTicketLifeSeconds);
  SSL_CTX_set_alpn_select_cb(raw, select_protocol, nullptr);
  if (SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION) != 1 || SSL_CTX_set_cipher_list(raw, kCiphers) != 1 ||
      SSL_CTX_set1_groups_list(raw, kGroups) != 1 ||
      SSL_CTX_set_session_id_context(raw, kSessionIdContext, sizeof kSessionIdContext - 1) != 1 ||
      !use_pair(raw, pair) || (!client_authorities.empty() && !trust(raw, client_authorities, Peers::kClients))) {
    return refuse();
  }
  return context;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::for_client(const TlsClientOptions& options) {
  CertificatePair pair;
  pair.chain_pem = options.chain_pem;
  pair.key_pem = options.key_pem;
  if (!pair.chain_pem.empty()) {
    TG_ASSIGN(pair.facts, read_certificate(pair.chain_pem, "the client's certificate"));
  }
  const auto refuse = [](std::string_view what) {
    return fail(Code::kInvalidArgument, "bad_certificate", "OpenSSL refuses " + std::string(what) + ": " + last_words());
  };
  SSL_CTX* raw = SSL_CTX_new(TLS_client_method());
  if (raw == nullptr) return refuse("to make a context");
  const std::shared_ptr<const TlsContext> context(new TlsContext(raw, pair.facts));
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION) != 1 || SSL_CTX_set_cipher_list(raw, kCiphers) != 1 ||
      SSL_CTX_set1_groups_list(raw, kGroups) != 1) {
    return refuse("our ciphers");
  }
  if (!trust(raw, options.authorities_pem, Peers::kServers)) return refuse("the authorities' certificates");
  if (!pair.chain_pem.empty() && !use_pair(raw, pair)) return refuse("the client's certificate and key");
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

}  // namespace tidegate
