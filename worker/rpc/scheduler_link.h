#pragma once

#include <functional>
#include <future>
#include <memory>

#include "base/core/backoff.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/net/signal.h"
#include "base/rpc/client.h"
#include "tidegate/v1/fleet.grpc.pb.h"
#include "worker/metrics.h"
#include "worker/rpc/term_fence.h"
#include "worker/rpc/worker_status.h"

namespace tidegate::worker {

/// The worker's life line to the scheduler: registers, sends heartbeats, obeys commands of the newest term. When the
/// scheduler is gone it tries again for ever, and the worker serves on meanwhile (fail static). One link a scheduler: a
/// worker that knows several keeps one to each, for a frozen leader says nothing while its standby leads already. Those that
/// do not lead refuse it; the fence they share decides whom it obeys.
class SchedulerLink {
 public:
  struct Options {
    Duration heartbeat = std::chrono::milliseconds(500);
    Duration reconnect_least = std::chrono::milliseconds(50);
    Duration reconnect_most = std::chrono::seconds(1);
    std::uint64_t seed = 1;
  };

  /// Everything given outlives the link. `on_drain` runs on `executor`, at most once per command.
  SchedulerLink(std::shared_ptr<rpc::Channel> channel, Executor executor, const Clock& clock, Log& log,
                const WorkerMetrics& metrics, const WorkerStatus& status, TermFence& fence,
                std::function<void()> on_drain, Options options);
  /// As stop().
  ~SchedulerLink();

  void start();
  /// A report goes out now instead of with the next heartbeat. Any thread.
  void report_now() { changed_.notify(); }
  /// Ends the link and waits until nothing of it runs. Not on the executor's thread. Idempotent.
  void stop();

 private:
  using Stream = rpc::BidiClient<v1::WorkerReport, v1::WorkerCommand>;

  awaitable<void> run();
  awaitable<Error> serve_one();
  awaitable<Error> read_commands(Stream& stream);
  awaitable<Error> send_reports(Stream& stream);
  /// False: the sender is not the scheduler any more.
  bool obey(const v1::WorkerCommand& command);

  rpc::Client<v1::Fleet> client_;
  Executor executor_;
  const Clock& clock_;
  Log& log_;
  const WorkerMetrics& metrics_;
  const WorkerStatus& status_;
  TermFence& fence_;
  std::function<void()> on_drain_;
  Options options_;
  Backoff backoff_;
  AsyncSignal changed_;
  Event stopping_;
  std::promise<void> ended_;
  bool is_started_ = false;
  bool is_welcome_ = false;  // executor only
};

}  // namespace tidegate::worker
