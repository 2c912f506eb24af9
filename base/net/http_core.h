#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <unordered_set>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "base/net/address_count.h"
#include "base/net/http_metrics.h"
#include "base/net/http_server.h"

namespace tidegate {

/// What belongs to one IoThreads lane; touched by its thread alone.
struct HttpLane {
  HttpLane(std::size_t index_in, Executor executor_in, const HttpServerOptions& options)
      : index(index_in),
        executor(std::move(executor_in)),
        sweep_timer(std::in_place, executor),
        limits(options.limits),
        tls(options.tls) {}

  const std::size_t index;
  const Executor executor;
  std::optional<asio::steady_timer> sweep_timer;  ///< until the server is drained
  std::unordered_set<HttpConnection*> connections;  ///< each removes itself when its coroutine ends
  bool is_draining = false;
  HttpLimits limits;                      ///< as last set
  std::shared_ptr<const TlsContext> tls;  ///< of new connections; null: plain. Shared: its own connections hold it too

  /// Refreshed once a second.
  std::string_view date_line(Wall now);

 private:
  std::int64_t date_second_ = -1;
  std::string date_line_;
};

/// The parts of a server that connections share. Read-only after start, but for the atomics and what the lanes own.
struct HttpCore {
  HttpCore(IoThreads& threads_in, HttpServerOptions options_in, HttpHandler handler_in, const Clock& clock_in,
           Log& log_in, MetricRegistry& registry)
      : threads(threads_in),
        options(std::move(options_in)),
        handler(std::move(handler_in)),
        clock(clock_in),
        log(log_in),
        metrics(registry, options.service),
        acceptor(std::in_place, threads.executor(0)),
        accept_pause(std::in_place, threads.executor(0)) {}

  IoThreads& threads;
  const HttpServerOptions options;
  const HttpHandler handler;
  const Clock& clock;
  Log& log;
  HttpMetrics metrics;

  std::vector<std::unique_ptr<HttpLane>> lanes;
  // Lane 0, until drained: a connection whose handler ignores its cut may outlive the threads and then holds only
  // this object, which must not reach into an io_context that is gone.
  std::optional<asio::ip::tcp::acceptor> acceptor;
  std::optional<asio::steady_timer> accept_pause;  ///< rest after running out of file descriptors
  asio::ip::tcp::endpoint endpoint;

  std::atomic<std::size_t> open{0};  ///< connections of all lanes
  std::atomic<std::size_t> handshakes{0};  ///< TLS handshakes under way
  AddressCount addresses;
  std::atomic<bool> draining{false};  ///< accept no more
  std::atomic<bool> is_drained{false};
  std::mutex mutex;
  std::condition_variable all_closed;  ///< notified under `mutex` when `open` falls to zero
};

}  // namespace tidegate
