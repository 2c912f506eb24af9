#include "worker/wiring.h"

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/core/ids.h"
#include "base/crypto/sha256.h"
#include "base/net/hangup.h"
#include "base/net/io_threads.h"
#include "base/obs/admin_server.h"
#include "base/obs/config_reloader.h"
#include "base/rpc/address.h"
#include "base/rpc/server.h"
#include "base/rpc/tls.h"
#include "worker/engine/open_engine.h"
#include "worker/engine/sim_engine.h"
#include "worker/external/external_engine.h"
#include "worker/meter/meter_link.h"
#include "worker/rpc/frame_codec.h"
#include "worker/rpc/scheduler_link.h"
#include "worker/rpc/serving_state.h"
#include "worker/rpc/session_service.h"
#include "worker/rpc/worker_status.h"

namespace tidegate::worker {

namespace {

/// Threads of the process: what beats, what reads gateways' frames and compiles the schemas in them, and what counts
/// prompts.
constexpr std::size_t kLinks = 0;
constexpr std::size_t kSessions = 1;
constexpr std::size_t kCounting = 2;

constexpr auto kStreamsEndWithin = std::chrono::seconds(2);
constexpr auto kCancelsEndWithin = std::chrono::seconds(5);

Result<std::string> read_authorities(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (in && !text.str().empty()) return text.str();
  return fail(Code::kInvalidArgument, "bad_config", "cannot read external.ca_file '" + path + "'", "external.ca_file");
}

Result<external::ExternalOptions> external_options(const WorkerConfig& config) {
  external::ExternalOptions options;
  options.upstream.url = config.external_url;
  options.upstream.api_key = config.external_api_key;
  TG_ASSIGN(options.upstream.authorities_pem, read_authorities(config.external_ca_file));
  options.upstream.connect_limit = config.external_connect;
  options.kind = external::find_engine_kind(config.external_kind).value_or(external::EngineKind::kOpenAi);
  options.model = config.external_model;
  options.tokenizer_dir = config.external_tokenizer_dir;
  options.bytes_per_token_max = config.external_bytes_per_token_max;
  options.tolerance.percent = config.external_tolerance_percent;
  options.tolerance.tokens = config.external_tolerance_tokens;
  options.continuous_usage = config.external_continuous_usage;
  options.context_max = static_cast<std::int32_t>(config.external_context_max);
  options.sequences_max = static_cast<std::int32_t>(config.sequences_max);
  options.waiting_max = 4 * options.sequences_max + 64;
  options.first_byte_limit = config.external_first_byte;
  options.silence_limit = config.external_silence;
  options.probe_every = config.external_probe;
  options.start_limit = config.external_start_limit;
  return options;
}

Result<std::unique_ptr<Engine>> make_engine(const WorkerConfig& config, const Clock& clock, LoadProgress& progress,
                                            LoadReport& loaded) {
  // A session may use all its credits at once, also those it was given before others joined.
  const auto sequences_max = static_cast<std::int32_t>(config.sequences_max);
  const std::int32_t waiting_max = 4 * sequences_max + 64;
  if (config.engine == "sim") {
    const SimOptions options{.step_interval = std::chrono::milliseconds(config.sim_step_ms),
                             .prefill_tokens_per_second = static_cast<double>(config.sim_prefill_tokens_per_s),
                             .sequences_max = sequences_max,
                             .waiting_max = waiting_max,
                             .reasoning_tokens = static_cast<std::int32_t>(config.sim_reasoning_tokens),
                             .content_tokens = static_cast<std::int32_t>(config.sim_content_tokens)};
    return std::make_unique<SimEngine>(options, clock);
  }
  TG_ASSIGN(const CpuIsa isa, choose_isa(config.arithmetic, config.kernels));
  const std::int64_t cores = std::max<std::int64_t>(1, std::thread::hardware_concurrency());
  EngineOptions options;
  options.sequences_max = sequences_max;
  options.waiting_max = waiting_max;
  options.step_tokens_max = static_cast<std::int32_t>(config.step_tokens_max);
  options.kv_bytes_max = config.kv_mib << 20;
  options.prefix_cache = config.kv_prefix_cache;
  options.drafts_batch_max = static_cast<std::int32_t>(config.drafts_batch_max);
  options.load.threads = static_cast<int>(config.threads == 0 ? cores : config.threads);
  options.load.isa = isa;
  options.load.progress = &progress;
  options.load.cache = {.folder = config.weights_cache_dir,
                        .bytes_max = config.weights_cache_mib << 20,
                        .verify = config.weights_cache_verify};
  options.load.report = &loaded;
  options.clock = &clock;
  return open_engine(config.model_dir, options);
}

/// Once a start: whether the packed weights were there, and what stood in the way.
void report_load(const LoadReport& loaded, std::chrono::nanoseconds took, WorkerMetrics& metrics, Log& log) {
  metrics.load_seconds.set(std::chrono::duration<double>(took).count());
  if (loaded.isa != CpuIsa::kAuto) log.info("kernels_chosen", {kv("kernels", isa_name(loaded.isa))});
  switch (loaded.cache) {
    case WeightsCache::kOff:
      return;
    case WeightsCache::kHit:
      metrics.weights_cache_hits.add();
      log.info("weights_mapped", {kv("mib", loaded.pack_bytes >> 20)});
      return;
    case WeightsCache::kBuilt:
      metrics.weights_cache_built.add();
      log.info("weights_packed", {kv("mib", loaded.pack_bytes >> 20), kv("replaced", loaded.note)});
      return;
    case WeightsCache::kUnavailable:
      metrics.weights_cache_unavailable.add();
      log.warn("weights_cache_unavailable", {kv("reason", loaded.note)});
      return;
  }
}

}  // namespace

/// Declared in the order in which they are built: destruction runs backwards.
struct WorkerProcess::Parts {
  Parts(const WorkerConfig& config, const Clock& clock)
      : metrics(registry), external_metrics(registry), fence(static_cast<std::uint64_t>(config.term)), progress(clock) {}

  PrometheusRegistry registry;
  WorkerMetrics metrics;
  external::ExternalMetrics external_metrics;
  Readiness readiness;
  SystemEntropy entropy;
  TermFence fence;
  LoadProgress progress;
  std::optional<ConfigReloader> reloader;
  std::unique_ptr<AdminServer> admin;
  IoThreads io{3, "worker-io"};  ///< kLinks, kSessions, kCounting
  std::optional<asio::signal_set> signals;
  std::unique_ptr<HangupWatch> hangups;
  std::optional<WorkerStatus> status;
  std::optional<ServingState> serving;
  std::unique_ptr<MeterFile> meter;
  std::unique_ptr<EngineThread> engine;
  std::unique_ptr<SessionService> sessions;
  std::unique_ptr<rpc::RpcServer> server;
  std::vector<std::shared_ptr<rpc::Channel>> schedulers;
  std::vector<std::unique_ptr<SchedulerLink>> links;  // one each
  std::shared_ptr<rpc::Channel> billing;
  std::unique_ptr<MeterLink> meter_link;
};

WorkerProcess::WorkerProcess(const WorkerConfig& config, const Clock& clock, Log& log)
    : config_(config), clock_(clock), log_(log), parts_(std::make_unique<Parts>(config_, clock_)) {}

WorkerProcess::~WorkerProcess() {
  Parts& parts = *parts_;
  if (parts.meter_link) parts.meter_link->stop();
  parts.meter_link.reset();
  if (parts.billing) parts.billing->shut();
  for (auto& link : parts.links) link->stop();
  parts.links.clear();
  for (auto& channel : parts.schedulers) channel->shut();
  parts.server.reset();
  // The ends of streams are still on their way through io to the engine's inbox: it must take them, and may drop them.
  if (parts.engine) parts.engine->stop();
  parts.io.stop();
}

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::start(const WorkerConfig& config, const Clock& clock, Log& log,
                                                            std::vector<std::string> arguments) {
  TG_TRY(rpc::check_rpc_tls(config.rpc_tls, rpc::kWorkerRole, clock.wall()));
  std::unique_ptr<WorkerProcess> process(new WorkerProcess(config, clock, log));
  TG_TRY(process->listen(std::move(arguments)));
  TG_TRY(process->load());
  return process;
}

Status WorkerProcess::listen(std::vector<std::string> arguments) {
  Parts& parts = *parts_;
  WorkerConfig shown = config_;  // a table writes into what it describes
  const auto check = [this](const WorkerConfig& fresh) -> Status {
    TG_TRY(check_config(fresh));
    return rpc::check_rpc_tls(fresh.rpc_tls, rpc::kWorkerRole, clock_.wall());
  };
  parts.reloader.emplace(
      "worker", reload_of_log_level<WorkerConfig>(config_, config_table, std::move(arguments), check, log_), clock_, log_,
      parts.registry);
  AdminActions actions;
  actions.reload = [&parts] { return parts.reloader->reload(); };
  TG_ASSIGN(parts.admin, AdminServer::start(config_.admin_listen, parts.registry, parts.readiness,
                                            config_table(shown).values(), clock_, log_, std::move(actions)));
  parts.hangups = std::make_unique<HangupWatch>(parts.io.context(kLinks), [&parts] {
    const auto reloaded = parts.reloader->reload();  // told to the log
  });
  parts.signals.emplace(parts.io.context(kLinks), SIGTERM, SIGINT);
  parts.signals->async_wait([this](const boost::system::error_code& stopped, int) {
    if (!stopped) request_drain();
  });
  const CountLimits counts{.prompts_max = static_cast<std::size_t>(config_.counts_max),
                           .bytes_max = static_cast<std::size_t>(config_.counts_mib_max) << 20};
  parts.sessions = std::make_unique<SessionService>(
      rpc::AuthGate::required(config_.cluster_token).for_roles({"gateway"}), parts.io.executor(kSessions),
      SessionService::Counting{parts.io.executor(kCounting), CountGate::create(counts, parts.metrics)}, log_);
  rpc::ServerOptions server;
  server.listen = {config_.grpc_listen};
  server.tls = config_.rpc_tls;
  TG_ASSIGN(parts.server, rpc::RpcServer::start(server, {parts.sessions.get()}));

  UuidV7Source ids(clock_, parts.entropy);
  const std::string& bound = parts.server->addresses().front();
  parts.status.emplace(WorkerFacts{.worker_id = ids.next().to_string(),
                                   .deployment = config_.deployment,
                                   .replica = config_.replica,
                                   .address = config_.grpc_advertise.empty() ? bound : config_.grpc_advertise,
                                   .model = config_.model,
                                   .variant = config_.variant,
                                   .engine = config_.engine,
                                   .region = config_.region,
                                   .pool = config_.pool},
                       parts.fence);
  parts.status->set_progress(parts.progress);
  parts.serving.emplace(*parts.status, parts.readiness, parts.metrics.ready);
  log_.info("worker_listening", {kv("grpc", bound), kv("admin", parts.admin->address()),
                                 kv("worker_id", parts.status->facts().worker_id), kv("replica", config_.replica)});
  rpc::ChannelOptions options;
  options.token = config_.cluster_token;
  options.tls = config_.rpc_tls;
  if (!config_.billing_address.empty()) {
    TG_ASSIGN(parts.meter, MeterFile::create(config_.meter_dir, parts.status->facts().worker_id, clock_, log_,
                                             parts.metrics.meter_failures));
    options.peer_role = rpc::kBillingRole;
    TG_ASSIGN(parts.billing, rpc::make_channel(config_.billing_address, options));
    parts.meter_link = std::make_unique<MeterLink>(parts.billing, parts.io.executor(kLinks), clock_, log_, parts.metrics,
                                                   *parts.meter, MeterLink::Options{});
    parts.meter_link->start();
  }
  if (config_.scheduler_address.empty()) return {};
  options.peer_role = rpc::kSchedulerRole;
  TG_ASSIGN(const std::vector<std::string> addresses, rpc::split_addresses(config_.scheduler_address));
  for (const std::string& address : addresses) {
    TG_ASSIGN(auto channel, rpc::make_channel(address, options));
    parts.schedulers.push_back(std::move(channel));
    std::uint64_t seed = 0;
    parts.entropy.fill(&seed, sizeof seed);
    parts.links.push_back(std::make_unique<SchedulerLink>(
        parts.schedulers.back(), parts.io.executor(kLinks), clock_, log_, parts.metrics, *parts.status, parts.fence,
        [this] { request_drain(); }, SchedulerLink::Options{.seed = seed}));
    parts.links.back()->start();
  }
  return {};
}

Result<std::unique_ptr<Engine>> WorkerProcess::adopt_engine(external::ExternalEngine*& adopted) {
  TG_ASSIGN(external::ExternalOptions options, external_options(config_));
  const auto is_given_up = [this] {
    const std::lock_guard lock(mutex_);
    return is_drain_requested_;
  };
  TG_ASSIGN(std::unique_ptr<external::ExternalEngine> engine,
            external::ExternalEngine::open(std::move(options), parts_->external_metrics, clock_, log_, is_given_up));
  adopted = engine.get();
  return engine;
}

/// While the engine behind this worker is down nobody is sent here.
void WorkerProcess::watch_adopted(external::ExternalEngine& engine) {
  engine.watch_health([&parts = *parts_](bool is_up, const std::string& why) { parts.serving->set_serving(is_up, why); });
}

Status WorkerProcess::load() {
  Parts& parts = *parts_;
  const auto model_check = parts.readiness.add("model");
  const Mono began = clock_.mono();
  parts.progress.on_phase([&parts] {
    for (auto& link : parts.links) link->report_now();
  });
  LoadReport loaded;
  external::ExternalEngine* adopted = nullptr;  // of `engine`, then of parts.engine
  Result<std::unique_ptr<Engine>> engine = config_.engine == "external" ? adopt_engine(adopted)
                                                                        : make_engine(config_, clock_, parts.progress, loaded);
  if (!engine) {
    parts.status->set_state(v1::WORKER_STATE_FAILED);
    return fail(engine.error());
  }
  report_load(loaded, clock_.mono() - began, parts.metrics, log_);
  const EngineThread::Limits limits{
      .host = {.credits_overcommit = static_cast<std::int32_t>(config_.credits_overcommit),
               .outbox_bytes_max = static_cast<std::size_t>(config_.outbox_kib_max) << 10}};
  parts.engine = std::make_unique<EngineThread>(*std::move(engine), clock_, parts.metrics, log_, limits,
                                                parts.meter.get());
  const EngineFacts& facts = parts.engine->facts();
  parts.sessions->serve(*parts.engine, encode_hello(parts.status->facts(), facts, parts.fence.newest()));
  parts.progress.enter(LoadPhase::kHealthy);
  parts.status->set_ready(*parts.engine);
  for (auto& link : parts.links) link->report_now();
  parts.metrics.ready.set(1);
  model_check.up();
  if (adopted != nullptr) watch_adopted(*adopted);
  log_.info("worker_ready",
            {kv("model", config_.model), kv("variant", config_.variant), kv("engine", facts.engine),
             kv("weights", facts.weights_digest), kv("sequences_max", facts.sequences_max),
             kv("kv_tokens", facts.kv_tokens_capacity),
             kv("load_ms", std::chrono::duration_cast<std::chrono::milliseconds>(clock_.mono() - began).count())});
  return {};
}

void WorkerProcess::request_drain() {
  {
    const std::lock_guard lock(mutex_);
    is_drain_requested_ = true;
  }
  changed_.notify_all();
}

void WorkerProcess::run() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_drain_requested_; });
  }
  drain();
}

void WorkerProcess::drain() {
  Parts& parts = *parts_;
  parts.serving->drain();
  for (auto& link : parts.links) link->report_now();
  parts.engine->drain([this] {
    {
      const std::lock_guard lock(mutex_);
      is_drained_ = true;
    }
    changed_.notify_all();
  });
  bool in_time = false;
  {
    std::unique_lock lock(mutex_);
    in_time = changed_.wait_for(lock, config_.drain_limit, [this] { return is_drained_; });
    if (!in_time) {
      lock.unlock();
      parts.engine->cancel_all();
      lock.lock();
      changed_.wait_for(lock, kCancelsEndWithin, [this] { return is_drained_; });
    }
  }
  parts.sessions->finish_all();
  parts.server->drain(Deadline::after(clock_.mono(), kStreamsEndWithin));
  log_.info("worker_drained", {kv("in_time", in_time)});
}

}  // namespace tidegate::worker
