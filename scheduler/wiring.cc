#include "scheduler/wiring.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <future>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/core/ids.h"
#include "base/crypto/sha256.h"
#include "base/net/hangup.h"
#include "base/net/io_threads.h"
#include "base/obs/admin_server.h"
#include "base/obs/config_reloader.h"
#include "base/pg/leader.h"
#include "base/pg/migrate.h"
#include "base/pg/pool.h"
#include "base/rpc/server.h"
#include "base/rpc/tls.h"
#include "base/rpc/work_pool.h"
#include "scheduler/adapters/billing_callers.h"
#include "scheduler/adapters/pg_deployments.h"
#include "scheduler/adapters/pg_lease.h"
#include "scheduler/catalogue/catalogue_file.h"
#include "scheduler/control/fleet_control.h"
#include "scheduler/control/leadership_loop.h"
#include "scheduler/drivers/local/local_driver.h"
#include "scheduler/metrics.h"
#include "scheduler/migrations/migrations.h"
#include "scheduler/planned_pools.h"
#include "scheduler/rest/fleet_rest_server.h"
#include "scheduler/rpc/caller_desk.h"
#include "scheduler/rpc/fleet_admin_host.h"
#include "scheduler/rpc/fleet_admin_service.h"
#include "scheduler/rpc/fleet_service.h"

namespace tidegate::scheduler {

namespace {

constexpr auto kMigrateLimit = std::chrono::seconds(60);
constexpr auto kPodBegins = std::chrono::minutes(10);
constexpr std::size_t kAdminThreads = 4;
constexpr std::size_t kAdminQueueMax = 64;

pg::PoolOptions pool_options(const SchedulerConfig& config) {
  pg::PoolOptions options;
  options.connection = config.pg_dsn;
  options.application = "tidegate-scheduler";
  options.connections = 2;
  options.idle_in_transaction_timeout =
      std::min(options.idle_in_transaction_timeout, LeadershipLoop::transaction_limit(config.lease_ttl));
  return options;
}

LocalDriver::Settings driver_settings(const SchedulerConfig& config) {
  LocalDriver::Settings settings;
  settings.worker_binary = config.worker_binary;
  settings.run_dir = config.run_dir;
  settings.socket_dir = config.socket_dir;
  settings.scheduler_address = config.peers.empty() ? config.grpc_listen : config.grpc_listen + "," + config.peers;
  settings.billing_address = config.billing_address;
  settings.cluster_token_file = config.cluster_token_file;
  settings.stop_limit = config.stop_limit;
  settings.limits = config.limits;
  settings.worker_tls = {config.rpc_tls.ca_file, config.worker_tls_cert_file, config.worker_tls_key_file};
  return settings;
}

/// What a driver needs and is, in the order of need.
struct Runtime {
  PrometheusRegistry registry;
  kube::KubeMetrics kube_metrics{registry};  // all zero with another driver: names are the same everywhere
  std::unique_ptr<RuntimeDriver> driver;
};

/// To billing, for who calls; null when there is no address.
Result<std::shared_ptr<rpc::Channel>> callers_channel(const SchedulerConfig& config) {
  if (config.callers_address.empty()) return std::shared_ptr<rpc::Channel>();
  rpc::ChannelOptions options;
  options.token = config.cluster_token;
  options.tls = config.rpc_tls;
  options.peer_role = rpc::kBillingRole;
  return rpc::make_channel(config.callers_address, options);
}

CallerDeskOptions desk_options(const SchedulerConfig& config) {
  CallerDeskOptions options;
  options.remembered_for = config.callers_remembered;
  options.refused_for = config.callers_refused;
  return options;
}

std::uint64_t seed_from(EntropySource& entropy) {
  std::uint64_t seed = 0;
  entropy.fill(&seed, sizeof seed);
  return seed;
}

Result<std::unique_ptr<Runtime>> open_runtime(const SchedulerConfig& config, const Clock& clock, Log& log) {
  auto runtime = std::make_unique<Runtime>();
  if (config.driver == "kubernetes") {
    SystemEntropy entropy;
    std::string holder = UuidV7Source(clock, entropy).next().to_string();
    TG_ASSIGN(runtime->driver, open_kubernetes_driver(config.kube, config.models_dir, std::move(holder), clock, log,
                                                      runtime->kube_metrics, seed_from(entropy)));
  } else {
    TG_ASSIGN(runtime->driver, LocalDriver::open(driver_settings(config), clock, log));
  }
  return runtime;
}

}  // namespace

/// In the order of need; destroyed the other way round, after the destructor has quieted them.
struct SchedulerProcess::Parts {
  Parts(const SchedulerConfig& config_in, const Clock& clock_in, Log& log_in, Catalogue catalogue_in, std::unique_ptr<Runtime> runtime_in,
        std::shared_ptr<rpc::Channel> callers_in, std::vector<PlannedPool> pools_in)
      : config(config_in),
        clock(clock_in),
        log(log_in),
        runtime(std::move(runtime_in)),
        metrics(registry),
        leading(readiness.add("leader")),
        catalogue(std::move(catalogue_in)),
        planner(catalogue, std::move(pools_in)),
        pool(pool_options(config)),
        store(pool, clock),
        stored_lease(pool, clock, kLeaseName, UuidV7Source(clock, entropy).next().to_string(), config.lease_ttl),
        control(catalogue, fleet_settings(), seed_from(entropy), *runtime->driver, clock, log, metrics, io.executor(0)),
        leadership(lease, store, clock, log, io.executor(0), {config.lease_ttl}, leadership_handlers()),
        workers(kAdminThreads, kAdminQueueMax, "admin"),
        fleet(control, rpc::AuthGate::required(config.cluster_token), log),
        callers_link(std::move(callers_in)),
        callers(callers_link ? std::make_unique<BillingCallers>(callers_link, clock) : nullptr),
        desk(config.admin_key, callers.get(), clock, desk_options(config)),
        admin_host(desk, workers, log, {metrics.admin_allowed, metrics.admin_refused}),
        admin_service(control, catalogue, planner, store, clock, log, admin_host) {
    control.save_with([this](Deployment next, Term held) { save(std::move(next), held); });
    control.act_while([this] { return leadership.is_lease_good(); });
  }

  /// The database may block, the control may not.
  void save(Deployment next, Term held) {
    const std::string name = next.name;
    auto job = [this, held, stored = std::move(next)] {
      auto saved = std::make_shared<Result<Deployment>>(store.put(stored, held));  // shared: post() wants a copyable handler
      if (!*saved && saved->error().code == Code::kAborted) admin_service.look_again(stored.name, stored.version);
      asio::post(control.executor(), [this, saved, deployment = stored.name] {
        if (*saved) {
          control.on_saved(**saved);
        } else {
          control.on_save_failed(deployment, saved->error().message);
        }
      });
    };
    if (!workers.try_submit(std::move(job))) control.on_save_failed(name, "too many calls wait for the database");
  }

  Fleet::Settings fleet_settings() const {
    Fleet::Settings settings;
    settings.models_folder = config.models_dir;
    settings.find_home = [this](const HomeRequest& request) { return planner.home_for(request); };
    // A pod is given a node and its image before it begins to load.
    if (config.driver == "kubernetes") settings.reconciler.start_limit = config.kube.objects.load_limit + kPodBegins;
    return settings;
  }
  LeadershipLoop::Handlers leadership_handlers() {
    LeadershipLoop::Handlers handlers;
    handlers.on_begin = [this](Term term, std::vector<Deployment> desired) {
      control.begin_term(term, std::move(desired));
      leading.up();
    };
    handlers.on_end = [this] {
      control.end_term();
      leading.down("this scheduler does not lead");
    };
    return handlers;
  }

  SchedulerConfig config;
  const Clock& clock;
  Log& log;
  std::unique_ptr<Runtime> runtime;
  PrometheusRegistry& registry = runtime->registry;
  SchedulerMetrics metrics;
  Readiness readiness;
  Readiness::Check leading;
  SystemEntropy entropy;
  Catalogue catalogue;
  DeploymentPlanner planner;
  pg::Pool pool;
  PgDeployments store;
  pg::LeaderLease stored_lease;
  PgLease lease{stored_lease};
  IoThreads io{1, "control"};
  FleetControl control;
  LeadershipLoop leadership;
  rpc::WorkPool workers;
  FleetService fleet;
  std::shared_ptr<rpc::Channel> callers_link;  // shared with its clients; null: no directory
  std::unique_ptr<BillingCallers> callers;
  CallerDesk desk;
  FleetAdminHost admin_host;
  FleetAdminService admin_service;
  std::optional<ConfigReloader> reloader;
  std::unique_ptr<AdminServer> admin;
  std::unique_ptr<rpc::RpcServer> server;
  std::unique_ptr<FleetRestServer> rest;  ///< null: not served
};

SchedulerProcess::SchedulerProcess(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

namespace {
/// Reads the options again. Log level and certificates may change; the rest is refused.
ConfigReloader::Work reload_work(const SchedulerConfig& config, std::vector<std::string> arguments, const Clock& clock,
                                 Log& log) {
  const auto check = [&clock](const SchedulerConfig& fresh) -> Status {
    TG_TRY(check_config(fresh));
    return rpc::check_rpc_tls(fresh.rpc_tls, rpc::kSchedulerRole, clock.wall());
  };
  return reload_of_log_level<SchedulerConfig>(config, config_table, std::move(arguments), check, log);
}
}  // namespace

Result<std::unique_ptr<SchedulerProcess>> SchedulerProcess::start(const SchedulerConfig& config, const Clock& clock,
                                                                  Log& log, std::vector<std::string> arguments) {
  TG_TRY(check_config(config));
  TG_TRY(rpc::check_rpc_tls(config.rpc_tls, rpc::kSchedulerRole, clock.wall()));
  TG_ASSIGN(Catalogue catalogue, load_catalogue(config.catalogue_dir));
  TG_ASSIGN(const auto report, pg::migrate(config.pg_dsn, "scheduler", migrations(), Deadline::after(clock.mono(), kMigrateLimit)));
  log.info("migrated", {kv("from", report.version_before), kv("to", report.version_after)});
  TG_ASSIGN(auto runtime, open_runtime(config, clock, log));
  TG_ASSIGN(auto callers, callers_channel(config));
  TG_ASSIGN(auto pools, planned_pools(config));
  std::unique_ptr<SchedulerProcess> process(new SchedulerProcess(
      std::make_unique<Parts>(config, clock, log, std::move(catalogue), std::move(runtime), std::move(callers), std::move(pools))));
  Parts& parts = *process->parts_;
  SchedulerConfig shown = config;  // a table writes into what it describes
  parts.reloader.emplace("scheduler", reload_work(config, std::move(arguments), clock, log), clock, log, parts.registry);
  AdminActions actions;
  actions.reload = [&parts] { return parts.reloader->reload(); };
  TG_ASSIGN(parts.admin, AdminServer::start(config.admin_listen, parts.registry, parts.readiness,
                                            config_table(shown).values(), clock, log, std::move(actions)));
  TG_TRY(parts.stored_lease.create_table(Deadline::after(clock.mono(), kMigrateLimit)));
  parts.control.start();
  rpc::ServerOptions options;
  options.listen = {config.grpc_listen};
  options.tls = config.rpc_tls;
  TG_ASSIGN(parts.server, rpc::RpcServer::start(options, {&parts.fleet, &parts.admin_service}));
  if (!config.rest_listen.empty()) {
    const FleetRestOptions rest{config.rest_listen, process->address(), config.rpc_tls};
    TG_ASSIGN(parts.rest, FleetRestServer::start(rest, clock, log, parts.registry));
  }
  parts.leadership.start();
  log.info("listening", {kv("grpc", process->address()), kv("rest", parts.rest ? parts.rest->address() : std::string()),
                         kv("models", parts.catalogue.models().size())});
  return process;
}

SchedulerProcess::~SchedulerProcess() {
  Parts& parts = *parts_;
  if (parts.rest) parts.rest->stop(parts.config.drain);
  parts.leadership.stop();
  // Links and watchers end here, so that the server's drain does not wait for streams that never end.
  parts.control.stop();
  if (parts.server) parts.server->drain(Deadline::after(parts.clock.mono(), parts.config.drain));
  parts.workers.stop();
  if (parts.callers_link) parts.callers_link->shut();
  parts.io.stop();
  parts.pool.stop();
}

const std::string& SchedulerProcess::address() const { return parts_->server->addresses().front(); }

void SchedulerProcess::run() {
  std::promise<int> signalled;
  asio::signal_set signals(parts_->io.context(0), SIGTERM, SIGINT);
  signals.async_wait([&signalled](const boost::system::error_code& stopped, int signal) {
    if (!stopped) signalled.set_value(signal);
  });
  auto hangups = std::make_unique<HangupWatch>(parts_->io.context(0), [this] {
    const auto reloaded = parts_->reloader->reload();  // told to the log
  });
  const int signal = signalled.get_future().get();
  parts_->io.run_on(0, [&hangups] { hangups.reset(); });
  parts_->log.info("stopping", {kv("signal", signal)});
}

}  // namespace tidegate::scheduler
