#include "base/net/tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/core/check.h"

namespace tidegate {

namespace {

/// What the BIO's functions know of their session.
struct Wire {
  int socket = -1;
  bool is_at_end = false;  ///< the peer's FIN was read
};

Wire& wire_of(BIO* bio) { return *static_cast<Wire*>(BIO_get_data(bio)); }

bool is_not_now(int code) { return code == EAGAIN || code == EWOULDBLOCK || code == EINTR; }

// OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE on a peer that is gone.
int wire_write(BIO* bio, const char* bytes, int size) {
  Wire& wire = wire_of(bio);
  BIO_clear_retry_flags(bio);
  if (wire.socket < 0) return -1;
  const auto sent = ::send(wire.socket, bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && is_not_now(errno)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int wire_read(BIO* bio, char* into, int room) {
  Wire& wire = wire_of(bio);
  BIO_clear_retry_flags(bio);
  if (wire.socket < 0) return -1;
  const auto got = ::recv(wire.socket, into, static_cast<std::size_t>(room), 0);
  if (got < 0 && is_not_now(errno)) BIO_set_retry_read(bio);
  if (got == 0) wire.is_at_end = true;
  return static_cast<int>(got);
}

long wire_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int wire_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

/// One for the process, never freed: connections of detached handlers may outlive everything else.
const BIO_METHOD* wire_method() {
  static const BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tidegate socket");
    TG_CHECK(method != nullptr);
    BIO_meth_set_write(method, wire_write);
    BIO_meth_set_read(method, wire_read);
    BIO_meth_set_ctrl(method, wire_control);
    BIO_meth_set_create(method, wire_create);
    return method;
  }();
  return kMethod;
}

}  // namespace

struct TlsSession::Native {
  Native(SSL_CTX* context, int socket) : ssl(SSL_new(context)) {
    TG_CHECK(ssl != nullptr);
    wire.socket = socket;
    BIO* bio = BIO_new(wire_method());
    TG_CHECK(bio != nullptr);
    BIO_set_data(bio, &wire);
    SSL_set_bio(ssl, bio, bio);  // one reference for both directions; freed with the SSL
    SSL_set_accept_state(ssl);
  }
  ~Native() { SSL_free(ssl); }
  Native(const Native&) = delete;
  Native& operator=(const Native&) = delete;

  Wire wire;
  SSL* ssl;
};

TlsSession::TlsSession(const TlsContext& context, int socket)
    : native_(std::make_unique<Native>(context.native(), socket)) {}
TlsSession::~TlsSession() = default;

TlsSession::Outcome TlsSession::handshake() {
  ERR_clear_error();  // SSL_get_error() looks at the thread's queue
  const int result = SSL_do_handshake(native_->ssl);
  is_open_ = result == 1;
  return outcome_of(result, 0);
}

TlsSession::Outcome TlsSession::read(char* into, std::size_t room) {
  ERR_clear_error();
  std::size_t got = 0;
  const int result = SSL_read_ex(native_->ssl, into, room, &got);
  return outcome_of(result, got);
}

TlsSession::Outcome TlsSession::write(std::string_view bytes) {
  ERR_clear_error();
  std::size_t taken = 0;
  const int result = SSL_write_ex(native_->ssl, bytes.data(), bytes.size(), &taken);
  return outcome_of(result, taken);
}

TlsSession::Outcome TlsSession::say_goodbye() {
  if (!is_open_) return {Next::kFailed, 0};
  ERR_clear_error();
  const int result = SSL_shutdown(native_->ssl);
  // 0: ours is sent, the peer's has not come. Nobody waits for it.
  if (result >= 0) return {Next::kDone, 0};
  return outcome_of(result, 0);
}

TlsSession::Outcome TlsSession::outcome_of(int result, std::size_t bytes) {
  if (result == 1) return {Next::kDone, bytes};
  switch (SSL_get_error(native_->ssl, result)) {
    case SSL_ERROR_WANT_READ: return {Next::kWantRead, 0};
    case SSL_ERROR_WANT_WRITE: return {Next::kWantWrite, 0};
    case SSL_ERROR_ZERO_RETURN: return {Next::kEnd, 0};
    default: break;
  }
  // The protocol is over: OpenSSL forbids further calls, close_notify included.
  is_open_ = false;
  if (native_->wire.is_at_end) {
    ERR_clear_error();
    return {Next::kEnd, 0};
  }
  char words[256] = "the connection broke";
  if (const unsigned long code = ERR_peek_last_error(); code != 0) ERR_error_string_n(code, words, sizeof words);
  ERR_clear_error();
  why_ = words;
  return {Next::kFailed, 0};
}

bool TlsSession::has_buffered() const { return SSL_has_pending(native_->ssl) == 1; }
bool TlsSession::is_resumed() const { return SSL_session_reused(native_->ssl) == 1; }

void TlsSession::detach() {
  native_->wire.socket = -1;
  is_open_ = false;
}

}  // namespace tidegate
