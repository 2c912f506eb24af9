#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/core/log.h"
#include "base/net/signal.h"
#include "base/net/suspend.h"
#include "gateway/limits/rate_metrics.h"
#include "gateway/limits/rate_script.h"
#include "gateway/rate_gate.h"

namespace tidegate::gateway {

struct RateKeeperConfig {
  std::string gateway_id;
  std::uint64_t epoch = 0;  ///< grows with every life of this gateway
  /// Gateways that share the limits, until Redis has told how many there are; the larger number counts.
  std::int64_t gateways = 1;
  /// Longest wait of a request for Redis; an answer that takes half of it counts as none.
  Duration wait_max = std::chrono::milliseconds(50);
};

/// What it works with; all outlive it, Redis included. `executor` belongs to one thread, best one that does nothing
/// else: what runs there may hold up waiting requests.
struct RateKeeperParts {
  Redis* redis = nullptr;  ///< of `executor`; null: there is none, limits are kept by static parts
  std::function<std::shared_ptr<const RateRules>()> rules;  ///< any thread; never returns null
  RateMetrics& metrics;
  const Clock& clock;
  Log& log;
  Executor executor;
};

/// The gate in front of money and workers: admit() from any io thread, one call to Redis at a time on one executor. A
/// lock covers a decision, never a wait.
///
/// Life: make_shared, start(), ... stop(), destruction. Permits keep it alive, since a request may outlast a stop.
class RateKeeper final : public RateGate, public std::enable_shared_from_this<RateKeeper> {
 public:
  RateKeeper(RateKeeperConfig config, RateKeeperParts parts);

  /// Once, any thread: begins to talk to Redis.
  void start();
  /// What waits is decided by static parts, and so is everything from then on. Returns when nothing of it uses Redis any
  /// more. On the executor, once.
  awaitable<void> stop();

  awaitable<RateAdmission> admit(RateRequest request) override;

  /// Limits are shared through Redis at the moment. Any thread.
  bool is_shared() const;
  std::int64_t gateways() const;

 private:
  class Permit;
  struct Woken {
    Resume<RateDecision> resume;
    RateDecision decision;
  };

  awaitable<void> talk();
  awaitable<void> watch_waits();
  template <typename Loop>
  void spawn(Loop loop);
  RateDemand demand_of(const RateRequest& request) const;
  /// Decides at once or keeps `resume` for later.
  void wait(RateDemand demand, Mono began, Resume<RateDecision> resume);
  void note_answer(const Result<RateReply>& reply);
  /// Tells metrics and log when the way limits are kept has changed.
  void note_mode(bool is_shared, std::int64_t gateways, const std::string& why);
  /// Under the lock.
  std::vector<Woken> take_woken(std::vector<RateLimiter::Wake> wakes);
  /// Without the lock.
  static void wake(std::vector<Woken> woken);
  /// Runs `event(limiter, now)` under the lock and tells talk() when that left something to ask.
  template <typename Event>
  void feed(Event event);

  const RateKeeperConfig config_;
  RateKeeperParts parts_;
  std::optional<RateScript> script_;  ///< empty: there is no Redis
  AsyncSignal news_;                  ///< for talk()
  AsyncSignal waits_;                 ///< for watch_waits()
  std::atomic<bool> is_stopping_ = false;
  bool was_shared_ = false;  ///< as last told; on the executor
  int loops_ = 0;            ///< on the executor
  AsyncSignal loop_ended_;

  mutable std::mutex mutex_;
  RateLimiter limiter_;                                           // guarded by mutex_
  std::unordered_map<RateTicket, Resume<RateDecision>> resumes_;  // guarded by mutex_
  RateTicket next_ticket_ = 1;                                    // guarded by mutex_
};

}  // namespace tidegate::gateway
