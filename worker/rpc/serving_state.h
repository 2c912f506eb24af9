#pragma once

#include <mutex>
#include <string>

#include "base/core/metrics.h"
#include "base/obs/readiness.h"
#include "worker/rpc/worker_status.h"

namespace tidegate::worker {

/// Whether a loaded worker serves, as the scheduler, probes and metrics are told it: three places that never disagree
/// for longer than a call here takes. A drain is the last word: a look at the engine that was under way when it began
/// changes nothing any more. Thread-safe.
class ServingState {
 public:
  /// All of them outlive this.
  ServingState(WorkerStatus& status, Readiness& readiness, Gauge& ready)
      : status_(status), check_(readiness.add("model")), ready_(ready) {}

  /// What the worker serves is gone, and why, or it is back. From when the worker is ready on; after
  /// drain(): nothing.
  void set_serving(bool is_up, const std::string& why) {
    const std::lock_guard lock(mutex_);
    if (!status_.set_serving(is_up)) return;
    ready_.set(is_up ? 1 : 0);
    if (is_up) {
      check_.up();
    } else {
      check_.down(why);
    }
  }
  void drain() {
    const std::lock_guard lock(mutex_);
    status_.set_state(v1::WORKER_STATE_DRAINING);
    ready_.set(0);
    check_.down("draining");
  }

 private:
  WorkerStatus& status_;
  const Readiness::Check check_;
  Gauge& ready_;
  std::mutex mutex_;
};

}  // namespace tidegate::worker
