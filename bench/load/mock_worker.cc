// The product's worker without a model and without its limits on speed: the session service, the host and the scheduler
// link of tidegate-worker around the load-test engine (worker/engine/sim_engine.h), with steps down to a microsecond, a
// context of 128k tokens and prompts that cost no time. For figures of a gateway, whose worker must never be what is
// slow.
//
//   tidegate-bench-worker --scheduler.address=unix:/x/scheduler.sock --cluster_token_file=/x/cluster_token
//   [--step_us=1000]
//
// It registers with the scheduler like a worker started by hand. It keeps no meter file: what it cost billing to hear a
// worker's side is not part of these figures. Prints its address once it listens, ends on SIGTERM.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>

#include "base/core/clock.h"
#include "base/core/config.h"
#include "base/core/ids.h"
#include "base/core/log.h"
#include "base/core/metrics.h"
#include "base/crypto/sha256.h"
#include "base/net/io_threads.h"
#include "base/rpc/channel.h"
#include "base/rpc/server.h"
#include "bench/load/end_signal.h"
#include "worker/engine/sim_engine.h"
#include "worker/host/engine_thread.h"
#include "worker/metrics.h"
#include "worker/rpc/frame_codec.h"
#include "worker/rpc/scheduler_link.h"
#include "worker/rpc/session_service.h"
#include "worker/rpc/worker_status.h"

namespace tidegate::bench {
namespace {

using namespace tidegate::worker;

struct Options {
  std::string model = "sim-fast";
  std::string variant = "sim";
  std::string region = "local";
  std::string pool = "cpu";
  std::string listen = "127.0.0.1:0";
  std::string scheduler;
  std::string cluster_token;
  std::int64_t step_us = 1'000;
  std::int64_t prefill_tokens_per_s = 1'000'000'000;
  std::int64_t content_tokens = 64;
  std::int64_t sequences_max = 1'024;
  std::int64_t context_max = 131'072;
};

ConfigTable table_of(Options& options) {
  ConfigTable table("tidegate-bench-worker");
  table.text("model", options.model, "Model it offers.");
  table.text("variant", options.variant, "Variant it offers.");
  table.text("region", options.region, "Where it says it runs.");
  table.text("pool", options.pool, "Pool it says it belongs to.");
  table.text("listen", options.listen, "Address of its gRPC server.");
  table.text("scheduler.address", options.scheduler, "host:port or unix:/path.");
  table.required();
  table.secret_file("cluster_token_file", options.cluster_token, "Token that gateways and workers share.");
  table.required();
  table.integer("step_us", options.step_us, 1, 60'000'000, "Time of one step: one token a sequence.");
  table.integer("prefill_tokens_per_s", options.prefill_tokens_per_s, 1, 1'000'000'000'000, "Prompt speed.");
  table.integer("content_tokens", options.content_tokens, 0, 1'000'000,
                "Length of an answer, unless max_tokens is less.");
  table.integer("sequences_max", options.sequences_max, 1, 100'000, "Sequences at once.");
  table.integer("context_max", options.context_max, 16, 1 << 24, "Tokens of prompt and answer.");
  return table;
}

struct Parts {
  MemoryRegistry registry;
  WorkerMetrics metrics{registry};
  SystemEntropy entropy;
  TermFence fence{0};
  IoThreads io{1, "bench-worker"};
  std::unique_ptr<WorkerStatus> status;
  std::unique_ptr<EngineThread> engine;
  std::unique_ptr<SessionService> sessions;
  std::unique_ptr<rpc::RpcServer> server;
  std::shared_ptr<rpc::Channel> scheduler;  // shared with its clients, as make_channel gives it
  std::unique_ptr<SchedulerLink> link;

  /// As tidegate-worker takes itself down: the link, the server, then the engine, which must take what is on its way.
  ~Parts() {
    if (link) link->stop();
    link.reset();
    if (scheduler) scheduler->shut();
    server.reset();
    if (engine) engine->stop();
    io.stop();
  }
};

Status run(int argc, char** argv) {
  const EndSignal end;
  Options options;
  ConfigTable table = table_of(options);
  TG_TRY(table.parse(argc, argv));
  const SystemClock clock;
  JsonLog log(clock, "bench-worker", LogLevel::kWarn);
  Parts parts;

  parts.sessions = std::make_unique<SessionService>(
      rpc::AuthGate::required(options.cluster_token), parts.io.executor(0),
      SessionService::Counting{parts.io.executor(0), CountGate::create({}, parts.metrics)}, log);
  rpc::ServerOptions listen;
  listen.listen = {options.listen};
  TG_ASSIGN(parts.server, rpc::RpcServer::start(listen, {parts.sessions.get()}));
  UuidV7Source ids(clock, parts.entropy);
  WorkerFacts facts;
  facts.worker_id = ids.next().to_string();
  facts.address = parts.server->addresses().front();
  facts.model = options.model;
  facts.variant = options.variant;
  facts.engine = "sim";
  facts.region = options.region;
  facts.pool = options.pool;
  parts.status = std::make_unique<WorkerStatus>(facts, parts.fence);

  SimOptions sim;
  sim.step_interval = std::chrono::microseconds(options.step_us);
  sim.prefill_tokens_per_second = static_cast<double>(options.prefill_tokens_per_s);
  sim.sequences_max = static_cast<std::int32_t>(options.sequences_max);
  sim.waiting_max = sim.sequences_max + 64;
  sim.context_max = static_cast<std::int32_t>(options.context_max);
  sim.reasoning_tokens = 0;
  sim.content_tokens = static_cast<std::int32_t>(options.content_tokens);
  EngineThread::Limits limits;
  limits.host.outbox_bytes_max = std::size_t{64} << 20;
  parts.engine =
      std::make_unique<EngineThread>(std::make_unique<SimEngine>(sim, clock), clock, parts.metrics, log, limits);
  parts.sessions->serve(*parts.engine, encode_hello(facts, parts.engine->facts(), 0));
  parts.status->set_ready(*parts.engine);

  rpc::ChannelOptions channel;
  channel.token = options.cluster_token;
  TG_ASSIGN(parts.scheduler, rpc::make_channel(options.scheduler, channel));
  parts.link = std::make_unique<SchedulerLink>(
      parts.scheduler, parts.io.executor(0), clock, log, parts.metrics, *parts.status, parts.fence, [] {},
      SchedulerLink::Options());
  parts.link->start();
  fmt::print("{}\n", facts.address);
  std::fflush(stdout);
  end.wait();
  return {};
}

}  // namespace
}  // namespace tidegate::bench

int main(int argc, char** argv) {
  const auto status = tidegate::bench::run(argc, argv);
  if (status) return 0;
  fmt::print(stderr, "tidegate-bench-worker: {}\n", status.error().message);
  return 1;
}
