#include "gateway/wiring.h"

#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <future>
#include <optional>
#include <utility>
#include <vector>

#include "base/core/ids.h"
#include "base/crypto/certificate.h"
#include "base/crypto/sha256.h"
#include "base/net/hangup.h"
#include "base/net/io_threads.h"
#include "base/net/timer.h"
#include "base/net/tls_context.h"
#include "base/obs/admin_server.h"
#include "base/obs/config_reloader.h"
#include "base/redis/redis_client.h"
#include "base/rpc/address.h"
#include "base/rpc/server.h"
#include "base/rpc/tls.h"
#include "base/rpc/work_pool.h"
#include "gateway/adapters/billing_accounts.h"
#include "gateway/adapters/redis_idempotency.h"
#include "gateway/adapters/pooled_guard.h"
#include "gateway/adapters/remote_guard.h"
#include "gateway/dispatch/demand_reporter.h"
#include "gateway/dispatch/lane_dispatcher.h"
#include "gateway/dispatch/route_watch.h"
#include "gateway/guard/guard_desk.h"
#include "gateway/guard/rule_file.h"
#include "gateway/http/http_api.h"
#include "gateway/http/idempotency_desk.h"
#include "gateway/journal/posix_disk.h"
#include "gateway/limits/rate_keeper.h"
#include "gateway/metrics.h"
#include "gateway/money/balance_cache.h"
#include "gateway/money/treasury.h"
#include "gateway/part_options.h"
#include "gateway/rpc/inference_service.h"

namespace tidegate::gateway {
namespace {

/// After the drain limit every open answer ends with an error frame; this is the time to write it.
constexpr auto kErrorFramesWithin = std::chrono::seconds(3);
/// To ship the journal and let billing close the epoch. What is left is settled by the next start.
constexpr auto kShipWithin = std::chrono::seconds(10);
constexpr auto kReadinessEvery = std::chrono::milliseconds(200);

/// Null: plain HTTP.
Result<std::shared_ptr<const TlsContext>> load_http_tls(const GatewayConfig& config, Wall now) {
  if (config.http_tls_cert_file.empty() && config.http_tls_key_file.empty() && config.http_tls_client_ca_file.empty()) {
    return std::shared_ptr<const TlsContext>();
  }
  TG_ASSIGN(const auto pair, load_certificate_pair(config.http_tls_cert_file, config.http_tls_key_file, "http.tls_", now));
  std::string authorities;
  if (!config.http_tls_client_ca_file.empty()) {
    TG_ASSIGN(authorities, load_authorities(config.http_tls_client_ca_file, "http.tls_client_ca_file", now));
  }
  return TlsContext::for_server(pair, authorities);
}

/// What gRPC reads by itself is checked here, so that a bad file is told before it is met.
Status check_grpc_tls(const GatewayConfig& config, Wall now) {
  TG_TRY(rpc::check_rpc_tls(config.rpc_tls, rpc::kGatewayRole, now));
  if (config.grpc_tls_cert_file.empty() && config.grpc_tls_key_file.empty()) return {};
  TG_TRY(load_certificate_pair(config.grpc_tls_cert_file, config.grpc_tls_key_file, "grpc.tls_", now));
  return {};
}

/// What one io thread owns.
struct Lane {
  Lane(MetricRegistry& registry) : metrics(registry) {}
  GatewayMetrics metrics;
  OpenRequests open_requests;
  std::unique_ptr<LaneDispatcher> dispatcher;
  std::optional<Serving> serving;
  std::unique_ptr<RedisClient> redis;  ///< null without redis.address, and so are the next two
  std::unique_ptr<RedisIdempotency> idempotency_store;
  std::unique_ptr<IdempotencyDesk> idempotency;
  std::future<void> claims_kept;
};

awaitable<void> wait_until_answered(const OpenRequests& open, const Clock& clock, Deadline deadline) {
  while (open.size() > 0 && !deadline.is_expired(clock.mono())) co_await sleep_for(std::chrono::milliseconds(5));
}

}  // namespace

/// Declared in the order in which they are built: destruction runs backwards.
struct GatewayProcess::Parts {
  Parts(const GatewayConfig& config, const Clock& clock)
      : ids(clock, entropy),
        control(1, "control"),
        limits(1, "limits"),
        io(static_cast<std::size_t>(config.io_threads)),
        control_metrics(registry),
        rate_metrics(registry),
        idempotency_metrics(registry),
        guard_metrics(registry),
        stopping(control.executor(0)),
        money_ready(readiness.add("money")),
        routes_ready(readiness.add("routes")),
        process_ready(readiness.add("process")) {}

  PrometheusRegistry registry;
  Readiness readiness;
  SystemEntropy entropy;
  UuidV7Source ids;
  PosixDisk disk;
  IoThreads control;  ///< money, routes, readiness
  IoThreads limits;   ///< Redis alone: requests wait for it
  IoThreads io;       ///< requests
  GatewayMetrics control_metrics;
  RateMetrics rate_metrics;
  IdempotencyMetrics idempotency_metrics;
  GuardMetrics guard_metrics;
  Event stopping;
  Readiness::Check money_ready;
  Readiness::Check routes_ready;
  Readiness::Check process_ready;  ///< of its own: money and routes go up again whenever they can
  std::optional<asio::signal_set> signals;

  std::unique_ptr<Accounts> accounts;
  std::unique_ptr<ReceiptArchive> receipts;
  std::unique_ptr<Balances> balances;
  std::unique_ptr<BalanceCache> balance_cache;
  std::shared_ptr<Treasury> treasury;  // shared with open charges
  bool is_money_drained = false;
  std::unique_ptr<RedisClient> redis;  ///< null without redis.address; lives on `limits`
  std::shared_ptr<RateKeeper> rates;   // shared with permits of open requests
  std::unique_ptr<PrefixStore> prefixes;  ///< null when routing.prefix_entries is 0; outlives the lanes
  std::unique_ptr<Guard> guard;             ///< null without a policy on content, and so is the next
  std::unique_ptr<GuardDesk> guard_desk;
  DemandBoard demand;                       ///< outlives the lanes
  TrafficBoard traffic;                     ///< outlives the lanes
  std::unique_ptr<rpc::WorkPool> guard_pool;  ///< null without guard.rules_file; its jobs use the guard: it ends before
  std::vector<std::unique_ptr<Lane>> lanes;
  std::vector<std::unique_ptr<RouteWatch>> watches;  ///< one a scheduler
  std::vector<std::future<void>> watches_ended;
  std::unique_ptr<DemandReporter> reporter;
  std::future<void> reporter_ended;
  std::future<void> readiness_ended;
  std::unique_ptr<HttpApi> api;
  HttpHandler handler;
  std::unique_ptr<HttpServer> http;
  std::unique_ptr<InferenceService> inference;
  std::unique_ptr<rpc::RpcServer> grpc;
  std::optional<ConfigReloader> reloader;
  std::unique_ptr<HangupWatch> hangups;
  std::string certificate;  ///< fingerprint of the HTTP port's, as last loaded; touched by reloads, one at a time
  std::unique_ptr<AdminServer> admin;
};

GatewayProcess::GatewayProcess(const GatewayConfig& config, const Clock& clock, Log& log,
                               std::vector<std::string> arguments)
    : config_(config),
      arguments_(std::move(arguments)),
      clock_(clock),
      log_(log),
      running_(config),
      parts_(std::make_unique<Parts>(config_, clock)) {}

GatewayProcess::~GatewayProcess() { shut_down(); }

Result<std::unique_ptr<GatewayProcess>> GatewayProcess::start(const GatewayConfig& config, const Clock& clock,
                                                              Log& log, std::vector<std::string> arguments) {
  TG_TRY(check_grpc_tls(config, clock.wall()));
  TG_TRY(load_http_tls(config, clock.wall()));  // again in listen(); here before a journal is opened
  std::unique_ptr<GatewayProcess> process(new GatewayProcess(config, clock, log, std::move(arguments)));
  TG_TRY(process->open_money());
  TG_TRY(process->open_limits());
  TG_TRY(process->open_guard());
  process->open_lanes();
  TG_TRY(process->open_idempotency());
  TG_TRY(process->watch_routes());
  TG_TRY(process->listen());
  log.info("gateway_started", {kv("http", process->http_address()), kv("grpc", process->grpc_address()),
                               kv("admin", process->admin_address()), kv("gateway", config.gateway_id),
                               kv("region", config.region)});
  return process;
}

Status GatewayProcess::open_money() {
  Parts& parts = *parts_;
  TG_ASSIGN(parts.accounts, connect_billing(config_.billing_address, config_.cluster_token, clock_, config_.rpc_tls));
  TG_ASSIGN(parts.receipts, connect_receipts(config_.billing_address, config_.cluster_token, clock_, config_.rpc_tls));
  TG_ASSIGN(parts.balances, connect_balances(config_.billing_address, config_.cluster_token, clock_, config_.rpc_tls));
  BalanceCacheOptions balances;
  balances.keep = config_.balance_keep;
  balances.lookups_per_second = config_.balance_lookups_per_second;
  parts.balance_cache = std::make_unique<BalanceCache>(*parts.balances, balances, clock_);
  TreasuryConfig config;
  config.gateway_id = config_.gateway_id;
  config.pepper = config_.pepper;
  config.journal_folder = config_.journal_dir;
  config.journal.quota_bytes = static_cast<std::uint64_t>(config_.journal_quota_bytes);
  TG_ASSIGN(auto receipt_key, Ed25519Key::from_pem(config_.receipt_key, "secrets.receipt_key_file"));
  config.receipts = ReceiptIssuer{config_.deployment, std::move(receipt_key)};
  config.leases.horizon = config_.lease_horizon;
  config.meter.region = config_.region;
  config.meter.pool = config_.pool;
  config.meter.budget = config_.request_max;
  TreasuryParts money{*parts.accounts, parts.disk,     clock_, parts.entropy,
                      parts.registry,  log_,           parts.control.executor(0),
                      [this] { stop_.give_at_once(); }};
  TG_ASSIGN(parts.treasury, Treasury::open(std::move(config), std::move(money)));
  parts.treasury->start();

  const auto report_readiness = [&parts, this]() -> awaitable<void> {
    do {
      const Status ready = parts.treasury->ready();
      if (ready) {
        parts.money_ready.up();
      } else {
        parts.money_ready.down(ready.error().message);
      }
    } while (!co_await parts.stopping.wait_until(Deadline::after(clock_.mono(), kReadinessEvery)));
  };
  parts.readiness_ended = std::async(std::launch::async, [&parts, report_readiness] {
    parts.control.run_on(0, report_readiness);
  });
  return {};
}

/// Null without redis.address. Each thread has a connection of its own.
Result<std::unique_ptr<RedisClient>> GatewayProcess::connect_redis(IoThreads& threads, std::size_t thread) {
  if (config_.redis_address.empty()) return std::unique_ptr<RedisClient>();
  RedisOptions options;
  options.address = config_.redis_address;
  options.password = config_.redis_password;
  options.service = "gateway";
  // Of the jitter: no two connections of the installation come back in step.
  const auto seed = static_cast<std::uint64_t>(unix_micros(clock_.wall())) + thread;
  const auto start = [&] {
    return RedisClient::start(threads.executor(thread), options, log_, parts_->registry, seed);
  };
  return threads.run_on(thread, start);
}

Status GatewayProcess::open_limits() {
  Parts& parts = *parts_;
  TG_ASSIGN(parts.redis, connect_redis(parts.limits, 0));
  RateKeeperConfig config;
  config.gateway_id = config_.gateway_id;
  config.epoch = static_cast<std::uint64_t>(unix_micros(clock_.wall()));
  config.gateways = config_.limit_gateways;
  config.wait_max = config_.limit_wait_max;
  RateKeeperParts with{.redis = parts.redis.get(),
                       .rules = [treasury = parts.treasury.get()] { return treasury->feed().limits(); },
                       .metrics = parts.rate_metrics,
                       .clock = clock_,
                       .log = log_,
                       .executor = parts.limits.executor(0)};
  parts.rates = std::make_shared<RateKeeper>(std::move(config), std::move(with));
  parts.rates->start();
  return {};
}

/// Null without guard.rules_file and guard.address.
Status GatewayProcess::open_guard() {
  Parts& parts = *parts_;
  GuardPolicy policy;
  policy.window_bytes = static_cast<std::size_t>(config_.guard_window_bytes);
  // check_config() has seen both words.
  policy.input = parse_on_guard_failure(config_.guard_input_on_failure).value_or(OnGuardFailure::kClosed);
  policy.output = parse_on_guard_failure(config_.guard_output_on_failure).value_or(OnGuardFailure::kClosed);
  if (!config_.guard_rules_file.empty()) {
    TG_ASSIGN(RuleBook book, load_rules(config_.guard_rules_file, policy.window_bytes));
    parts.guard_pool = std::make_unique<rpc::WorkPool>(static_cast<std::size_t>(config_.guard_threads),
                                                       static_cast<std::size_t>(config_.guard_calls_max), "guard");
    parts.guard = std::make_unique<PooledGuard>(std::move(book), *parts.guard_pool);
  } else if (!config_.guard_address.empty()) {
    RemoteGuardOptions options;
    options.address = config_.guard_address;
    options.token = config_.guard_token;
    options.wait_max = config_.guard_wait_max;
    options.calls_max = static_cast<std::size_t>(config_.guard_calls_max);
    TG_ASSIGN(parts.guard, connect_guard(options, clock_));
  } else {
    return {};
  }
  parts.guard_desk = std::make_unique<GuardDesk>(*parts.guard, policy, parts.guard_metrics, log_, clock_);
  return {};
}

void GatewayProcess::open_lanes() {
  Parts& parts = *parts_;
  if (config_.prefix_entries_max > 0) {
    const auto entries_max = static_cast<std::size_t>(config_.prefix_entries_max);
    parts.prefixes = std::make_unique<PrefixStore>(entries_max, parts.registry);
  }
  const RoutingOptions routing = routing_options(config_, parts.prefixes.get(), &parts.demand, &parts.traffic);
  for (std::size_t i = 0; i < parts.io.size(); ++i) {
    parts.lanes.push_back(std::make_unique<Lane>(parts.registry));
    Lane& lane = *parts.lanes.back();
    SessionOptions options;
    options.gateway_id = config_.gateway_id;
    // Tells the lives of a gateway apart in a worker's log.
    options.epoch = static_cast<std::uint64_t>(unix_micros(clock_.wall()));
    options.thread = static_cast<std::uint32_t>(i);
    options.cluster_token = config_.cluster_token;
    options.tls = config_.rpc_tls;
    options.cache_secret = std::string(as_view(derive_key(config_.cache_salt, "tenant cache salt")));
    parts.io.run_on(i, [&] {
      lane.dispatcher =
          std::make_unique<LaneDispatcher>(std::move(options), queue_limits(config_), config_.region,
                                           parts.io.executor(i), clock_, log_, lane.metrics, routing);
    });
    lane.serving.emplace(Serving{parts.treasury->meter(), *lane.dispatcher, lane.open_requests, clock_, log_,
                                 lane.metrics, serving_limits(config_), parts.rates.get()});
    lane.serving->guard = parts.guard_desk.get();
  }
}

/// Starts without Redis as well: only requests with the header need it, and they are told.
Status GatewayProcess::open_idempotency() {
  Parts& parts = *parts_;
  if (config_.redis_address.empty()) return {};
  RedisIdempotencyOptions store;
  store.time_to_live = config_.idempotency_ttl;
  IdempotencyOptions desk;
  desk.secret = derive_key(config_.pepper, "idempotent answers");
  desk.answer_bytes_max = static_cast<std::size_t>(config_.idempotency_answer_bytes_max);
  for (std::size_t i = 0; i < parts.lanes.size(); ++i) {
    Lane& lane = *parts.lanes[i];
    TG_ASSIGN(lane.redis, connect_redis(parts.io, i));
    lane.idempotency_store = std::make_unique<RedisIdempotency>(*lane.redis, store, clock_);
    lane.idempotency = std::make_unique<IdempotencyDesk>(*lane.idempotency_store, desk, clock_, parts.entropy, log_,
                                                         parts.idempotency_metrics, parts.io.executor(i));
    lane.claims_kept = std::async(std::launch::async, [&parts, &lane, i] {
      const auto keep = [&lane] { return lane.idempotency->keep_claims(); };
      parts.io.run_on(i, keep);
    });
  }
  return {};
}

/// The pictures of all schedulers go the same way: that of a newer term wins, an older one is refused (RouteTable).
Status GatewayProcess::watch_routes() {
  Parts& parts = *parts_;
  TG_ASSIGN(const std::vector<std::string> schedulers, rpc::split_addresses(config_.scheduler_address));
  RouteWatchOptions options;
  options.cluster_token = config_.cluster_token;
  options.tls = config_.rpc_tls;
  options.gateway_id = config_.gateway_id;
  options.region = config_.region;
  options.is_one_of_several = schedulers.size() > 1;
  const auto publish = [&parts](const RouteWatch::Snapshot& snapshot) {
    for (std::size_t i = 0; i < parts.lanes.size(); ++i) {
      parts.io.post_on(i, [&parts, i, snapshot] { parts.lanes[i]->dispatcher->apply_routes(*snapshot); });
    }
    parts.routes_ready.up();
  };
  for (const std::string& scheduler : schedulers) {
    options.scheduler_address = scheduler;
    parts.watches.push_back(std::make_unique<RouteWatch>(options, publish, parts.control.executor(0), clock_, log_,
                                                         parts.control_metrics));
    parts.watches_ended.push_back(std::async(std::launch::async, [&parts, this, watch = parts.watches.back().get()] {
      const Status ended = parts.control.run_on(0, [watch] { return watch->run(); });
      if (!ended) log_.error("routes_watch_failed", {kv("error", ended.error().to_string())});
    }));
  }

  DemandReporterOptions report;
  report.scheduler_addresses = config_.scheduler_address;
  report.cluster_token = config_.cluster_token;
  report.tls = config_.rpc_tls;
  report.gateway_id = config_.gateway_id;
  report.epoch = static_cast<std::uint64_t>(unix_micros(clock_.wall()));
  parts.reporter = std::make_unique<DemandReporter>(std::move(report), parts.demand, parts.control.executor(0), clock_, log_);
  parts.reporter_ended = std::async(std::launch::async, [&parts, this] {
    const Status ended = parts.control.run_on(0, [&parts] { return parts.reporter->run(); });
    if (!ended) log_.error("demand_reports_failed", {kv("error", ended.error().to_string())});
  });
  return {};
}

Status GatewayProcess::listen() {
  Parts& parts = *parts_;
  std::vector<Serving*> servings;
  std::vector<ServingLane> serving_lanes;
  for (std::size_t i = 0; i < parts.lanes.size(); ++i) {
    servings.push_back(&*parts.lanes[i]->serving);
    serving_lanes.push_back({servings.back(), parts.io.executor(i), parts.lanes[i]->idempotency.get()});
  }
  HttpApiParts behind;
  behind.receipts = parts.receipts.get();
  behind.balances = parts.balance_cache.get();
  for (const auto& lane : parts.lanes) {
    if (lane->idempotency) behind.desks.push_back(lane->idempotency.get());
  }
  TG_ASSIGN(const auto proxies, TrustedProxies::parse(config_.trusted_proxies));
  behind.proxies = proxies;
  parts.api = std::make_unique<HttpApi>(parts.treasury->principals(), parts.ids, clock_, std::move(servings),
                                        std::move(behind));
  parts.handler = [api = parts.api.get()](HttpExchange& exchange) { return api->handle(exchange); };
  HttpServerOptions http;
  http.listen = config_.http_listen;
  http.service = "gateway";
  http.render_error = HttpApi::render_error;
  http.error_headers = [api = parts.api.get()](const Error& error, int status) {
    return api->error_headers(error, status);
  };
  http.limits = http_limits(config_);
  TG_ASSIGN(http.tls, load_http_tls(config_, clock_.wall()));
  if (http.tls) parts.certificate = http.tls->facts().fingerprint;
  note_certificate(http.tls.get());
  TG_ASSIGN(parts.http, HttpServer::start(parts.io, std::move(http), parts.handler, clock_, log_, parts.registry));

  parts.inference = std::make_unique<InferenceService>(parts.treasury->principals(), parts.ids, clock_,
                                                       std::move(serving_lanes), proxies);
  rpc::ServerOptions grpc;
  grpc.listen = {config_.grpc_listen};
  grpc.public_cert_file = config_.grpc_tls_cert_file;
  grpc.public_key_file = config_.grpc_tls_key_file;
  TG_ASSIGN(parts.grpc, rpc::RpcServer::start(grpc, {parts.inference.get()}));
  parts.reloader.emplace("gateway", [this] { return reread(); }, clock_, log_, parts.registry);
  AdminActions actions;
  actions.reload = [this] { return reload(); };
  actions.config = [this] { return describe_config(running()); };
  TG_ASSIGN(parts.admin, AdminServer::start(config_.admin_listen, parts.registry, parts.readiness,
                                            describe_config(config_), clock_, log_, std::move(actions)));
  parts.hangups = std::make_unique<HangupWatch>(parts.control.context(0), [this] {
    const auto reloaded = reload();  // told to the log
  });
  parts.signals.emplace(parts.control.context(0), SIGTERM, SIGINT);
  hear_signals();
  parts.process_ready.up();
  return {};
}

/// Of each signal. What one set off may still run once the set is gone; both are on the control thread.
void GatewayProcess::hear_signals() {
  parts_->signals->async_wait([this](const boost::system::error_code& stopped, int) {
    if (stopped || !parts_->signals) return;
    request_stop();
    hear_signals();
  });
}

/// When the HTTP port's certificate ends, for the operator's alarm; 0 without TLS.
void GatewayProcess::note_certificate(const TlsContext* tls) {
  const double ends = tls == nullptr ? 0 : static_cast<double>(unix_micros(tls->facts().not_after)) / 1e6;
  parts_->registry
      .gauge("tidegate_gateway_certificate_expiry_timestamp_seconds",
             "End of the HTTP port's certificate, seconds since 1970; 0 without TLS")
      .set(ends);
}

Result<std::vector<std::string>> GatewayProcess::reload() { return parts_->reloader->reload(); }

/// Everything that can fail first; from the first thing applied on nothing can. A part that wants a new option at run
/// time gets its line among those that apply.
Result<std::vector<std::string>> GatewayProcess::reread() {
  Parts& parts = *parts_;
  TG_ASSIGN(auto again, reread_config<GatewayConfig>(running(), config_table, arguments_));
  const GatewayConfig& fresh = again.config;
  TG_TRY(check_config(fresh));
  TG_TRY(check_grpc_tls(fresh, clock_.wall()));
  TG_ASSIGN(const auto proxies, TrustedProxies::parse(fresh.trusted_proxies));
  TG_ASSIGN(const auto tls, load_http_tls(fresh, clock_.wall()));
  if ((tls == nullptr) != parts.certificate.empty()) {
    return fail(Code::kInvalidArgument, "not_reloadable",
                "http.tls_cert_file: a port that runs does not begin or cease to speak TLS; put it back or restart",
                "http.tls_cert_file");
  }

  parts.http->set_limits(http_limits(fresh));
  if (tls) {
    parts.http->set_tls(tls);
    if (std::exchange(parts.certificate, tls->facts().fingerprint) != tls->facts().fingerprint) {
      again.changed.push_back("the certificate of http.listen");
    }
    note_certificate(tls.get());
  }
  for (std::size_t i = 0; i < parts.lanes.size(); ++i) {
    parts.io.post_on(i, [&parts, i, proxies, serving = serving_limits(fresh), queue = queue_limits(fresh)] {
      parts.lanes[i]->serving->limits = serving;
      parts.lanes[i]->dispatcher->set_limits(queue);
      parts.api->set_proxies(i, proxies);
    });
  }
  parts.inference->set_proxies(proxies);
  log_.set_least(parse_log_level(fresh.log_level).value_or(LogLevel::kInfo));
  const std::lock_guard lock(mutex_);
  running_ = fresh;
  return std::move(again.changed);
}

int GatewayProcess::run() {
  stop_.wait();
  be_lame_duck();
  const bool has_failed = parts_->treasury->has_failed();
  log_.info("gateway_stopping", {kv("journal_failed", has_failed)});
  drain();
  shut_down();
  log_.info("gateway_stopped");
  return has_failed ? 1 : 0;
}

/// Serves on while those who route here learn by readiness and gRPC health to go elsewhere.
void GatewayProcess::be_lame_duck() {
  parts_->process_ready.down("stopping");
  parts_->grpc->set_serving(false);
  const std::chrono::milliseconds limit = running().lame_duck;
  log_.info("gateway_lame_duck", {kv("limit_ms", in_millis(limit))});
  const bool is_cut_short = stop_.wait_at_once(Deadline::after(clock_.mono(), limit));
  log_.info("gateway_lame_duck_ended", {kv("cut_short", is_cut_short)});
}

/// Lets what is open finish. The two servers drain side by side; at the limit every request still open is
/// told.
void GatewayProcess::drain() {
  Parts& parts = *parts_;
  const std::chrono::milliseconds drain_max = running().drain_max;
  const Deadline limit = Deadline::after(clock_.mono(), drain_max);
  const Deadline cut = Deadline::after(clock_.mono(), drain_max + kErrorFramesWithin);
  std::promise<void> answered;
  auto all_answered = answered.get_future();
  auto grpc_drained = std::async(std::launch::async, [&] { parts.grpc->drain(cut); });
  auto ender = std::async(std::launch::async, [&] {
    if (all_answered.wait_until(limit.instant()) == std::future_status::ready) return;
    for (std::size_t i = 0; i < parts.lanes.size(); ++i) {
      parts.io.run_on(i, [&parts, i] { parts.lanes[i]->open_requests.shut_all(); });
    }
  });
  const std::size_t cut_off = parts.http->drain(drain_max + std::chrono::milliseconds(kErrorFramesWithin));
  grpc_drained.get();
  answered.set_value();
  ender.get();
  // A handler whose client is gone may still be settling.
  for (std::size_t i = 0; i < parts.lanes.size(); ++i) {
    const auto wait = [&parts, i, this, cut] { return wait_until_answered(parts.lanes[i]->open_requests, clock_, cut); };
    parts.io.run_on(i, wait);
  }
  const Deadline shipping = Deadline::after(clock_.mono(), kShipWithin);
  const auto ship = [&parts, shipping] { return parts.treasury->drain(shipping); };
  const bool shipped = parts.control.run_on(0, ship);
  parts.is_money_drained = true;
  log_.info("gateway_drained", {kv("connections_cut", cut_off), kv("shipped", shipped)});
}

/// Takes down whatever was built, in any state.
void GatewayProcess::shut_down() {
  if (!parts_) return;
  Parts& parts = *parts_;
  parts.admin.reset();
  parts.control.run_on(0, [&parts] { parts.hangups.reset(); });
  parts.grpc.reset();
  parts.http.reset();
  for (std::size_t i = 0; i < parts.lanes.size(); ++i) {
    Lane& lane = *parts.lanes[i];
    parts.io.run_on(i, [&lane] { return lane.dispatcher->stop(); });
    if (lane.idempotency) lane.idempotency->stop();
    if (lane.claims_kept.valid()) lane.claims_kept.get();
  }
  for (std::size_t i = 0; i < parts.watches_ended.size(); ++i) {
    parts.control.run_on(0, [&parts, i] { parts.watches[i]->stop(); });
    parts.watches_ended[i].get();
  }
  if (parts.reporter) {
    parts.control.run_on(0, [&parts] { parts.reporter->stop(); });
    parts.reporter_ended.get();
  }
  if (parts.treasury && !parts.is_money_drained) {
    const auto stop = [&parts, this] { return parts.treasury->drain(Deadline::at(clock_.mono())); };
    parts.control.run_on(0, stop);
  }
  parts.stopping.set();
  if (parts.readiness_ended.valid()) parts.readiness_ended.get();
  // Routes posted before the watch stopped have run once this returns.
  for (std::size_t i = 0; i < parts.lanes.size(); ++i) {
    parts.io.run_on(i, [&parts, i] {
      parts.lanes[i]->dispatcher.reset();
      parts.lanes[i]->redis.reset();
    });
  }
  if (parts.rates) {
    const auto stop = [&parts] { return parts.rates->stop(); };
    parts.limits.run_on(0, stop);
  }
  parts.limits.run_on(0, [&parts] { parts.redis.reset(); });
  parts.control.run_on(0, [&parts] { parts.signals.reset(); });
  parts.io.stop();
  parts.limits.stop();
  parts.control.stop();
  parts_.reset();
}

std::string GatewayProcess::http_address() const { return parts_->http->address(); }
std::string GatewayProcess::grpc_address() const { return parts_->grpc->addresses().front(); }
std::string GatewayProcess::admin_address() const { return parts_->admin->address(); }

}  // namespace tidegate::gateway
