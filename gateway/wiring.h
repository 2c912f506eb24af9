#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/result.h"
#include "gateway/config.h"
#include "gateway/stop_order.h"

namespace tidegate {
class IoThreads;
class RedisClient;
class TlsContext;
}  // namespace tidegate

namespace tidegate::gateway {

/// The gateway process without main(): every part built, in order, and taken down in the opposite order.
class GatewayProcess {
 public:
  /// Listens at once; requests are refused with 503 until keys, prices and routes are there (/readyz says which).
  /// Fails: whatever a part reports (an address in use, a locked journal); nothing is left running.
  /// `arguments` are main's, for reading the options again on SIGHUP or POST /reload; empty: that is refused.
  static Result<std::unique_ptr<GatewayProcess>> start(const GatewayConfig& config, const Clock& clock, Log& log,
                                                       std::vector<std::string> arguments = {});
  /// Stops at once what run() did not end.
  ~GatewayProcess();

  /// Serves until request_stop(), SIGTERM, SIGINT or a failed journal. Then it is a lame duck for limits.lame_duck_ms:
  /// not ready, and serving as before. Then it drains: no new connections, open answers finish or end with an error
  /// frame, the journal is shipped. Returns the process's exit status.
  int run();
  /// As SIGTERM and SIGINT. Any thread. Again: it is a lame duck no longer; once it drains: nothing.
  void request_stop() { stop_.give(); }

  /// Reads the options again and applies those that may change, for what begins from now on: open answers go on as they
  /// began. All or nothing. Any thread while run() runs. Fails: invalid_argument/bad_config, not_reloadable,
  /// bad_certificate; nothing has changed then.
  Result<std::vector<std::string>> reload();

  /// With the ports that were bound: "127.0.0.1:41234".
  std::string http_address() const;
  std::string grpc_address() const;
  std::string admin_address() const;

 private:
  struct Parts;
  GatewayProcess(const GatewayConfig& config, const Clock& clock, Log& log, std::vector<std::string> arguments);
  GatewayConfig running() {
    const std::lock_guard lock(mutex_);
    return running_;
  }
  Result<std::vector<std::string>> reread();
  Status open_money();
  Result<std::unique_ptr<RedisClient>> connect_redis(IoThreads& threads, std::size_t thread);
  Status open_limits();
  Status open_guard();
  void open_lanes();
  Status open_idempotency();
  Status watch_routes();
  void note_certificate(const TlsContext* tls);
  Status listen();
  void hear_signals();
  void be_lame_duck();
  void drain();
  void shut_down();

  const GatewayConfig config_;                ///< as started
  const std::vector<std::string> arguments_;  ///< main's
  const Clock& clock_;
  Log& log_;
  StopOrder stop_;
  std::mutex mutex_;
  GatewayConfig running_;  ///< as last read; guarded by mutex_
  std::unique_ptr<Parts> parts_;
};

}  // namespace tidegate::gateway
