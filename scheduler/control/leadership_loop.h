#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/core/log.h"
#include "base/net/asio.h"
#include "base/net/signal.h"
#include "base/pg/leader.h"
#include "scheduler/core/ports.h"

namespace tidegate::scheduler {

/// Keeps trying to lead, on a thread of its own, because asking the database may block while heartbeats must not wait.
/// The state of affairs is posted to the control executor.
class LeadershipLoop {
 public:
  struct Settings {
    Duration ttl = std::chrono::seconds(10);  ///< of the lease; renewed every third of it
  };
  struct Handlers {
    /// A term began: everything desired, as of now.
    std::function<void(Term, std::vector<Deployment>)> on_begin;
    /// It ended, or could not be renewed in time: act no more. The lease is given away only after this returned.
    std::function<void()> on_end;
  };

  /// The references outlive the loop; handlers run on `executor`.
  LeadershipLoop(pg::LeaderLease& lease, DeploymentStore& store, const Clock& clock, Log& log, Executor executor,
                 Settings settings, Handlers handlers);
  ~LeadershipLoop() { stop(); }

  void start();
  /// Gives the lease up, so that a standby takes over at once. Blocks. Idempotent.
  void stop();

 private:
  void run();
  bool round();
  void begin(const pg::Leadership& leadership);
  void end(const char* why);

  pg::LeaderLease& lease_;
  DeploymentStore& store_;
  const Clock& clock_;
  Log& log_;
  Executor executor_;
  Settings settings_;
  Handlers handlers_;
  Term leading_ = 0;       // loop's thread
  Mono valid_until_{};     // loop's thread
  std::mutex mutex_;
  std::condition_variable wake_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace tidegate::scheduler
