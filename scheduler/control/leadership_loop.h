#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/core/log.h"
#include "base/net/asio.h"
#include "base/net/signal.h"
#include "scheduler/core/ports.h"

namespace tidegate::scheduler {

/// Keeps trying to lead, on a thread of its own, because asking the database may block while heartbeats must not wait.
/// The state of affairs is posted to the control executor. Who has the lease and cannot read what is wanted gives it back,
/// and leaves it to others for a third of its time.
class LeadershipLoop {
 public:
  struct Settings {
    Duration ttl = std::chrono::seconds(10);  ///< of the lease; renewed every third of it
  };
  /// The longest that a transaction of a scheduler may stand still in the database: its fence holds the lease's row, and whoever
  /// follows one that was frozen inside it waits for that. Half of `ttl`: over before the lease is.
  static std::chrono::milliseconds transaction_limit(Duration ttl) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(ttl) / 2;
  }
  struct Handlers {
    /// A term began: everything desired, as of now.
    std::function<void(Term, std::vector<Deployment>)> on_begin;
    /// It ended, or could not be renewed in time: act no more. The lease is given away only after this returned.
    std::function<void()> on_end;
  };

  /// The references outlive the loop; handlers run on `executor`.
  LeadershipLoop(Lease& lease, DeploymentStore& store, const Clock& clock, Log& log, Executor executor,
                 Settings settings, Handlers handlers);
  ~LeadershipLoop() { stop(); }

  /// The lease has not run out, by our own clock. Any thread; what acts on a term asks right before it does: after a freeze
  /// the loop's own thread may be the last to run.
  bool is_lease_good() const { return clock_.mono().time_since_epoch().count() < good_until_.load(); }

  void start();
  /// Gives the lease up, so that a standby takes over at once. Blocks. Idempotent.
  void stop();

 private:
  void run();
  Duration round();
  void begin(const Lease::Held& held);
  void give_up(Term term, const Error& why);
  void release();
  void hold_until(Mono valid_until);
  void end(const char* why);

  Lease& lease_;
  DeploymentStore& store_;
  const Clock& clock_;
  Log& log_;
  Executor executor_;
  Settings settings_;
  Handlers handlers_;
  Term leading_ = 0;       // loop's thread
  Mono valid_until_{};     // loop's thread
  std::atomic<Mono::rep> good_until_ = 0;  // valid_until_ for others
  std::mutex mutex_;
  std::condition_variable wake_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace tidegate::scheduler
