#include "base/net/http_server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <algorithm>

#include "base/core/check.h"
#include "base/net/endpoint.h"
#include "base/net/http_connection.h"
#include "base/net/http_core.h"
#include "base/net/response_head.h"
#include "base/net/tls_context.h"

namespace tidegate {

namespace {

using CorePtr = std::shared_ptr<HttpCore>;  // shared: a queued callback may be the last user

constexpr int kBacklog = 1024;
constexpr std::size_t kTurnedAwayAtOnceMax = 128;  ///< beyond: RST without a word
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::chrono::seconds kCutGrace{5};  ///< for handlers to notice that their client was cut off

std::chrono::milliseconds sweep_period(const HttpLimits& limits) {
  const auto shortest =
      std::min({limits.handshake, limits.header, limits.body, limits.idle, limits.write_stall, limits.linger});
  return std::clamp(shortest / 4, std::chrono::milliseconds(10), std::chrono::milliseconds(250));
}

void sweep(CorePtr core, HttpLane& lane) {
  lane.sweep_timer->expires_after(sweep_period(lane.limits));
  lane.sweep_timer->async_wait([core, &lane](const boost::system::error_code& error) {
    if (error) return;
    const Mono now = core->clock.mono();
    // check_time() only closes sockets and cancels timers: connections leave the set later, from their coroutine.
    for (HttpConnection* connection : lane.connections) connection->check_time(now);
    sweep(core, lane);
  });
}

void start_connection(const CorePtr& core, HttpLane& lane, asio::ip::tcp::socket socket, std::string address,
                      bool turn_away) {
  auto connection = std::make_shared<HttpConnection>(std::move(socket), std::move(address), lane, core);
  if (lane.is_draining) connection->begin_drain();
  auto life = turn_away ? &HttpConnection::turn_away : &HttpConnection::serve;
  auto* raw = connection.get();
  asio::co_spawn(lane.executor, (raw->*life)(), [connection](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);  // serve() catches what handlers throw: this is a bug of ours
  });
}

/// RST without a word.
void hang_up(asio::ip::tcp::socket& socket) {
  boost::system::error_code ignored;
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
}

std::string address_of(const asio::ip::tcp::socket& socket) {
  boost::system::error_code gone;
  const auto peer = socket.remote_endpoint(gone);
  return gone ? std::string() : peer.address().to_string();
}

void accept_next(CorePtr core, std::size_t lane_index) {
  HttpLane& lane = *core->lanes[lane_index];
  core->acceptor->async_accept(
      lane.executor, [core, &lane](const boost::system::error_code& error, asio::ip::tcp::socket socket) {
        if (core->draining || error == asio::error::operation_aborted) return;
        const std::size_t next = (lane.index + 1) % core->lanes.size();
        if (error) {
          core->log.warn("http_accept_failed", {kv("error", error.message())});
          core->accept_pause->expires_after(kAcceptPause);
          core->accept_pause->async_wait([core, next](const boost::system::error_code& stopped) {
            if (!stopped) accept_next(core, next);
          });
          return;
        }
        core->metrics.connections_total->add();
        const std::size_t others = core->open.fetch_add(1);
        // This runs on lane 0, whose limits are those of all.
        const HttpLimits& limits = core->lanes[0]->limits;
        const std::size_t most = limits.connections;
        std::string address = address_of(socket);
        if (others >= most + kTurnedAwayAtOnceMax) {
          core->open.fetch_sub(1);
          hang_up(socket);
        } else if (!core->addresses.enter(address, limits.connections_per_address)) {
          core->open.fetch_sub(1);
          core->metrics.count_refusal("too_many_from_address");
          hang_up(socket);
        } else {
          asio::post(lane.executor, [core, &lane, turn_away = others >= most, peer = std::move(socket),
                                     from = std::move(address)]() mutable {
            start_connection(core, lane, std::move(peer), std::move(from), turn_away);
          });
        }
        accept_next(core, next);
      });
}

template <typename Fn>
void on_every_lane(const CorePtr& core, Fn fn) {
  for (auto& lane : core->lanes) {
    asio::post(lane->executor, [core, &lane = *lane, fn] { fn(lane); });
  }
}

bool wait_until_closed(HttpCore& core, std::chrono::milliseconds grace) {
  std::unique_lock lock(core.mutex);
  return core.all_closed.wait_for(lock, grace, [&core] { return core.open == 0; });
}

Status listen(HttpCore& core) {
  TG_ASSIGN(const auto endpoint, parse_endpoint(core.options.listen));
  boost::system::error_code error;
  core.acceptor->open(endpoint.protocol(), error);
  if (!error) core.acceptor->set_option(asio::socket_base::reuse_address(true), error);
  if (!error) core.acceptor->bind(endpoint, error);
  if (!error) core.acceptor->listen(kBacklog, error);
  if (!error) core.endpoint = core.acceptor->local_endpoint(error);
  if (!error) return {};
  return fail(Code::kUnavailable, "listen_failed",
              "cannot listen on " + format_endpoint(endpoint) + ": " + error.message());
}

}  // namespace

std::string_view HttpLane::date_line(Wall now) {
  const std::int64_t second = unix_micros(now) / 1'000'000;
  if (second != date_second_) {
    date_second_ = second;
    date_line_ = make_date_line(now);
  }
  return date_line_;
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(IoThreads& threads, HttpServerOptions options,
                                                      HttpHandler handler, const Clock& clock, Log& log,
                                                      MetricRegistry& metrics) {
  auto core = std::make_shared<HttpCore>(threads, std::move(options), std::move(handler), clock, log, metrics);
  TG_TRY(listen(*core));
  for (std::size_t i = 0; i < threads.size(); ++i) {
    core->lanes.push_back(std::make_unique<HttpLane>(i, threads.executor(i), core->options));
  }
  on_every_lane(core, [core](HttpLane& lane) { sweep(core, lane); });
  threads.post_on(0, [core] { accept_next(core, 0); });
  log.info("http_listening", {kv("address", format_endpoint(core->endpoint)), kv("server", core->options.service),
                              kv("tls", core->options.tls != nullptr)});
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(core)));
}

HttpServer::HttpServer(std::shared_ptr<HttpCore> core) : core_(std::move(core)) {}
HttpServer::~HttpServer() { drain(std::chrono::milliseconds(0)); }

std::uint16_t HttpServer::port() const { return core_->endpoint.port(); }
std::string HttpServer::address() const { return format_endpoint(core_->endpoint); }
std::size_t HttpServer::open_connections() const { return core_->open; }

void HttpServer::set_limits(const HttpLimits& limits) {
  on_every_lane(core_, [limits](HttpLane& lane) { lane.limits = limits; });
}

void HttpServer::set_tls(std::shared_ptr<const TlsContext> tls) {
  TG_CHECK((tls == nullptr) == (core_->options.tls == nullptr));
  on_every_lane(core_, [tls = std::move(tls)](HttpLane& lane) { lane.tls = tls; });
}

std::size_t HttpServer::drain(std::chrono::milliseconds grace) {
  if (core_->is_drained.exchange(true)) return 0;
  core_->draining = true;
  core_->threads.post_on(0, [core = core_] {
    boost::system::error_code ignored;
    if (core->acceptor) core->acceptor->close(ignored);
    if (core->accept_pause) core->accept_pause->cancel();
  });
  on_every_lane(core_, [](HttpLane& lane) {
    lane.is_draining = true;
    for (HttpConnection* connection : lane.connections) connection->begin_drain();
  });
  std::size_t cut = 0;
  if (!wait_until_closed(*core_, grace)) {
    cut = core_->open;
    on_every_lane(core_, [](HttpLane& lane) {
      for (HttpConnection* connection : lane.connections) connection->cut();
    });
    if (!wait_until_closed(*core_, kCutGrace)) {
      core_->log.error("http_handlers_ignore_cut", {kv("connections", core_->open.load())});
    }
  }
  for (auto& lane : core_->lanes) {
    const auto release = [this, &lane] {
      lane->sweep_timer.reset();
      if (lane->index != 0) return;
      core_->acceptor.reset();
      core_->accept_pause.reset();
    };
    if (core_->threads.context(lane->index).stopped()) {
      release();
    } else {
      core_->threads.run_on(lane->index, release);
    }
  }
  core_->log.info("http_drained", {kv("server", core_->options.service), kv("connections_cut", cut)});
  return cut;
}

}  // namespace tidegate
