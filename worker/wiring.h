#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/result.h"
#include "worker/config.h"

namespace tidegate::worker {

class Engine;
namespace external {
class ExternalEngine;
}

/// The worker process without main(): every part built, in order, and taken down in the opposite order.
class WorkerProcess {
 public:
  /// Listens and registers as loading, then loads the model (seconds to minutes, on this thread), then serves.
  /// Fails: whatever a part reports; nothing is left running.
  /// `arguments` are main's, for reading the options again on SIGHUP or POST /reload; empty: that is refused.
  static Result<std::unique_ptr<WorkerProcess>> start(const WorkerConfig& config, const Clock& clock, Log& log,
                                                      std::vector<std::string> arguments = {});
  /// Stops at once what run() did not end.
  ~WorkerProcess();

  /// Serves until request_drain() was called (by SIGTERM, SIGINT or the scheduler), then drains and returns.
  void run();
  /// Any thread. Again: nothing.
  void request_drain();

 private:
  struct Parts;
  WorkerProcess(const WorkerConfig& config, const Clock& clock, Log& log);
  Status listen(std::vector<std::string> arguments);
  Status load();
  Result<std::unique_ptr<Engine>> adopt_engine(external::ExternalEngine*& adopted);
  void watch_adopted(external::ExternalEngine& engine);
  void drain();

  const WorkerConfig config_;
  const Clock& clock_;
  Log& log_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_drain_requested_ = false;
  bool is_drained_ = false;
  std::unique_ptr<Parts> parts_;
};

}  // namespace tidegate::worker
