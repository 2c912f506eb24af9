#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <string_view>

#include "base/crypto/certificate.h"
#include "tests/support/net/raw_client.h"

namespace tidegate::test {

/// How a TlsClient presents itself.
struct TlsDial {
  std::string ca_file;              ///< empty: the server is not verified
  std::string cert_file, key_file;  ///< empty: no certificate of its own
  std::string alpn;                 ///< one protocol, e.g. "http/1.1"; empty: none offered
  int version_max = 0;              ///< e.g. TLS1_1_VERSION
  std::shared_ptr<SSL_SESSION> resume;
};

/// A RawClient whose bytes go through TLS. The handshake is tried in the constructor; is_open() tells how it ended.
class TlsClient final : public RawClient {
 public:
  explicit TlsClient(std::uint16_t port, const TlsDial& dial = {}, int receive_buffer_bytes = 0)
      : RawClient(port, receive_buffer_bytes), context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes with write(2)
    SSL_CTX_set_security_level(context_.get(), 0);  // the server decides, not this machine's defaults
    if (dial.version_max != 0) {
      SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
      SSL_CTX_set_max_proto_version(context_.get(), dial.version_max);
    }
    if (!dial.ca_file.empty()) {
      SSL_CTX_load_verify_locations(context_.get(), dial.ca_file.c_str(), nullptr);
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    }
    if (!dial.cert_file.empty()) {
      SSL_CTX_use_certificate_chain_file(context_.get(), dial.cert_file.c_str());
      SSL_CTX_use_PrivateKey_file(context_.get(), dial.key_file.c_str(), SSL_FILETYPE_PEM);
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_clear_mode(ssl_.get(), SSL_MODE_AUTO_RETRY);  // read_some() must come back from a ticket
    SSL_set_fd(ssl_.get(), fd());
    if (!dial.alpn.empty()) {
      const std::string list = std::string(1, static_cast<char>(dial.alpn.size())) + dial.alpn;
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(list.data()),
                          static_cast<unsigned int>(list.size()));
    }
    if (dial.resume) SSL_set_session(ssl_.get(), dial.resume.get());
    ERR_clear_error();
    is_open_ = SSL_connect(ssl_.get()) == 1;
  }
  ~TlsClient() override { forget(); }

  bool is_open() const { return is_open_; }
  bool is_resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  std::string version() const { return SSL_get_version(ssl_.get()); }
  std::string protocol() const {
    const unsigned char* chosen = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &chosen, &size);
    return {reinterpret_cast<const char*>(chosen), size};
  }
  /// For a later TlsDial; with TLS 1.3 after the first answer, which the ticket precedes.
  std::shared_ptr<SSL_SESSION> session() const { return {SSL_get1_session(ssl_.get()), SSL_SESSION_free}; }
  /// Of the server's certificate.
  std::string subject() const {
    X509* certificate = SSL_get1_peer_certificate(ssl_.get());
    if (certificate == nullptr) return {};
    char name[256] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    X509_free(certificate);
    return name;
  }
  /// Bytes past the encryption: half a record, or garbage.
  bool send_raw(std::string_view bytes) { return RawClient::transmit(bytes) == static_cast<ssize_t>(bytes.size()); }
  /// Sends close_notify and nothing else.
  void say_goodbye() { SSL_shutdown(ssl_.get()); }

 protected:
  ssize_t transmit(std::string_view bytes) override {
    if (!is_open_) return -1;
    ERR_clear_error();
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
  }
  ssize_t receive(char* into, std::size_t room) override {
    if (!is_open_) return -1;
    ERR_clear_error();
    const int got = SSL_read(ssl_.get(), into, static_cast<int>(room));
    if (got > 0) return got;
    switch (SSL_get_error(ssl_.get(), got)) {
      case SSL_ERROR_ZERO_RETURN: return 0;
      case SSL_ERROR_WANT_READ: errno = EAGAIN; return -1;
      default: errno = ECONNRESET; return -1;  // a FIN without close_notify is a cut
    }
  }
  bool has_buffered() const override { return is_open_ && SSL_pending(ssl_.get()) > 0; }
  void forget() override { is_open_ = false; }

 private:
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
  bool is_open_ = false;
};

}  // namespace tidegate::test
