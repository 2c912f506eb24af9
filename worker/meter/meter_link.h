#pragma once

#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <string>

#include "base/core/backoff.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/net/signal.h"
#include "base/rpc/client.h"
#include "tidegate/v1/meter.grpc.pb.h"
#include "worker/meter/meter_file.h"
#include "worker/metrics.h"

namespace tidegate::worker {

/// Brings the meter's records to billing: those of this life as they come, those of earlier lives in the same folder
/// until they are told and their files removed. Tries for ever; the worker serves on without it.
class MeterLink {
 public:
  struct Options {
    Duration interval = std::chrono::milliseconds(500);
    Duration call_limit = std::chrono::seconds(5);
    Duration retry_least = std::chrono::milliseconds(100);
    Duration retry_most = std::chrono::seconds(5);
    std::uint64_t seed = 1;
  };

  /// Everything given outlives the link. `own` is this life's file.
  MeterLink(std::shared_ptr<rpc::Channel> channel, Executor executor, const Clock& clock, Log& log,
            const WorkerMetrics& metrics, const MeterFile& own, Options options);
  /// As stop().
  ~MeterLink();

  void start();
  /// Ends the link and waits until nothing of it runs. Not on the executor's thread. Idempotent.
  void stop();

 private:
  awaitable<void> run();
  /// Tells everything there is now; true when all of it was taken.
  awaitable<Status> tell_all();
  awaitable<Status> tell(MeterLife life);
  awaitable<Status> tell_batch(const MeterLife& life, bool is_own, bool& is_more);

  rpc::Client<v1::WorkerMeter> client_;
  Executor executor_;
  const Clock& clock_;
  Log& log_;
  const WorkerMetrics& metrics_;
  const MeterFile& own_;
  const Options options_;
  Backoff backoff_;
  Event stopping_;
  std::promise<void> ended_;
  bool is_started_ = false;
  std::map<std::string, std::uint64_t> told_;  ///< by worker id: records billing has; executor only
};

}  // namespace tidegate::worker
