#include "base/redis/redis_client.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "base/core/backoff.h"
#include "base/net/quiet.h"
#include "base/net/timer.h"
#include "base/redis/redis_connection.h"

namespace tidegate {

namespace {

using ConnectionPtr = std::shared_ptr<RedisConnection>;

struct Address {
  bool is_unix = false;
  std::string path_or_host;
  std::string port;
};

Result<Address> parse_address(const std::string& text) {
  Address address;
  if (text.starts_with("unix:") && text.size() > 5) {
    address.is_unix = true;
    address.path_or_host = text.substr(5);
    return address;
  }
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) {
    return fail(Code::kInvalidArgument, "bad_address",
                "'" + text + "' is not unix:/path/redis.sock or host:6379");
  }
  address.path_or_host = text.substr(0, colon);
  address.port = text.substr(colon + 1);
  return address;
}

Deadline after(std::chrono::milliseconds span) { return Deadline::at(std::chrono::steady_clock::now() + span); }

struct Metrics {
  Metrics(MetricRegistry& registry, const std::string& service) {
    const std::string prefix = "tidegate_" + service + "_redis_";
    up = &registry.gauge(prefix + "up", "Connections to Redis that are up: one a thread that uses it");
    in_flight = &registry.gauge(prefix + "commands_in_flight", "Redis commands waiting for their reply");
    commands = &registry.counter(prefix + "commands_total", "Redis commands", {{"result", "ok"}});
    failures = &registry.counter(prefix + "commands_total", "Redis commands", {{"result", "failed"}});
    connects = &registry.counter(prefix + "connects_total", "Connections to Redis made");
    seconds = &registry.histogram(prefix + "command_seconds", "Time of a Redis command", latency_bounds_seconds());
  }
  Gauge* up;
  Gauge* in_flight;
  Counter* commands;
  Counter* failures;
  Counter* connects;
  Histogram* seconds;
};

}  // namespace

struct RedisClient::State {
  State(Executor executor_in, RedisOptions options_in, Address address_in, Log& log_in, MetricRegistry& registry,
        std::uint64_t seed)
      : executor(std::move(executor_in)),
        options(std::move(options_in)),
        address(std::move(address_in)),
        log(log_in),
        metrics(registry, options.service),
        backoff(options.backoff_least, options.backoff_most, seed),
        changed(executor),
        stopped(executor) {}

  const Executor executor;
  const RedisOptions options;
  const Address address;
  Log& log;
  Metrics metrics;
  Backoff backoff;
  ConnectionPtr connection;  ///< null while down
  std::atomic<bool> is_connected{false};
  AsyncSignal changed;  ///< a connection came up; for wait_connected()
  Event stopped;

  awaitable<Result<ConnectionPtr>> connect();
  awaitable<Result<ConnectionPtr>> open_and_greet();
};

namespace {

awaitable<Result<RedisConnection::Socket>> open_unix(const std::string& path) {
  asio::local::stream_protocol::socket socket(co_await asio::this_coro::executor);
  if (path.size() >= 108) co_return fail(Code::kInvalidArgument, "bad_address", "the socket path is too long");
  const asio::local::stream_protocol::endpoint endpoint(path);
  const auto [error] = co_await socket.async_connect(endpoint, kQuiet);
  if (error) co_return fail(Code::kUnavailable, "redis_down", path + ": " + error.message());
  co_return RedisConnection::Socket(std::move(socket));
}

awaitable<Result<RedisConnection::Socket>> open_tcp(const std::string& host, const std::string& port) {
  asio::ip::tcp::resolver resolver(co_await asio::this_coro::executor);
  const auto [resolve_error, endpoints] = co_await resolver.async_resolve(host, port, kQuiet);
  std::string why = resolve_error.message();
  for (const auto& entry : endpoints) {
    asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
    const auto [error] = co_await socket.async_connect(entry.endpoint(), kQuiet);
    why = error.message();
    if (error) continue;
    boost::system::error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    co_return RedisConnection::Socket(std::move(socket));
  }
  co_return fail(Code::kUnavailable, "redis_down", host + ":" + port + ": " + why);
}

}  // namespace

awaitable<Result<ConnectionPtr>> RedisClient::State::open_and_greet() {
  // Two co_awaits in one conditional expression: GCC 12 destroys the frame's temporaries wrongly. Choose, then await.
  auto opening =
      address.is_unix ? open_unix(address.path_or_host) : open_tcp(address.path_or_host, address.port);
  auto socket = co_await std::move(opening);
  if (!socket) co_return fail(std::move(socket).error());
  auto opened = std::make_shared<RedisConnection>(*std::move(socket), options.in_flight_max);
  opened->start();
  const Deadline deadline = after(options.connect_timeout);
  if (!options.password.empty()) {
    RedisArgs auth{"AUTH", options.password};
    TG_CO_TRY(co_await opened->command(std::move(auth), deadline));
  }
  // A server that still loads its data accepts connections but refuses commands.
  RedisArgs ping{"PING"};
  TG_CO_TRY(co_await opened->command(std::move(ping), deadline));
  co_return opened;
}

awaitable<Result<ConnectionPtr>> RedisClient::State::connect() {
  return with_deadline(open_and_greet(), after(options.connect_timeout), "connecting to Redis");
}

Result<std::unique_ptr<RedisClient>> RedisClient::start(Executor executor, RedisOptions options, Log& log,
                                                        MetricRegistry& metrics, std::uint64_t seed) {
  TG_ASSIGN(Address address, parse_address(options.address));
  auto state = std::make_shared<State>(executor, std::move(options), std::move(address), log, metrics, seed);
  const auto keep_up = [](std::shared_ptr<State> self) -> awaitable<void> {
    bool was_down = false;
    while (!self->stopped.is_set()) {
      auto connected = co_await self->connect();
      if (self->stopped.is_set()) co_return;
      if (!connected) {
        // One line when it goes down, not one per attempt.
        if (!was_down) self->log.warn("redis_down", {kv("why", connected.error().message)});
        was_down = true;
      } else {
        self->log.info("redis_up", {kv("address", self->options.address)});
        was_down = false;
        self->backoff.reset();
        self->metrics.connects->add();
        self->metrics.up->add(1);
        self->connection = *connected;
        self->is_connected = true;
        self->changed.notify();
        co_await (*connected)->closed().wait();
        self->connection = nullptr;
        self->is_connected = false;
        if (self->stopped.is_set()) co_return;  // log and metrics may be gone with their owner
        self->metrics.up->add(-1);
        self->log.warn("redis_lost", {kv("why", (*connected)->why_closed())});
      }
      co_await self->stopped.wait_until(Deadline::at(std::chrono::steady_clock::now() + self->backoff.next()));
    }
  };
  asio::co_spawn(executor, keep_up(state), abort_on_throw);
  return std::unique_ptr<RedisClient>(new RedisClient(std::move(state)));
}

RedisClient::RedisClient(std::shared_ptr<State> state) : state_(std::move(state)) {}

RedisClient::~RedisClient() {
  state_->stopped.set();
  const auto connection = state_->connection;
  if (!connection) return;
  state_->metrics.up->add(-1);
  connection->close("the client was closed");
}

bool RedisClient::is_connected() const { return state_->is_connected; }

awaitable<bool> RedisClient::wait_connected(Deadline deadline) {
  const auto state = state_;
  while (!state->is_connected) {
    if (!co_await state->changed.wait_until(deadline)) co_return state->is_connected.load();
  }
  co_return true;
}

awaitable<Result<RedisReply>> RedisClient::command(RedisArgs args, Deadline deadline) {
  const auto state = state_;
  const auto connection = state->connection;
  if (!connection) {
    state->metrics.failures->add();
    co_return fail(Code::kUnavailable, "redis_down", "no connection to Redis");
  }
  const auto began = std::chrono::steady_clock::now();
  state->metrics.in_flight->add(1);
  auto reply = co_await connection->command(std::move(args), deadline);
  state->metrics.in_flight->add(-1);
  state->metrics.seconds->observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  (reply ? state->metrics.commands : state->metrics.failures)->add();
  co_return reply;
}

}  // namespace tidegate
