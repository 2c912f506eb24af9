#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/pg/leader.h"
#include "billing/rpc/context.h"

namespace tidegate::billing {

/// Proves the invariants again and again, on the one replica that holds the lease of the job: a difference must wake a
/// person before an invoice shows it. On a thread of its own.
class ReconcileJob {
 public:
  /// `interval` > 0. `holder` is new for each process start.
  ReconcileJob(const ServiceContext& context, const std::string& holder, std::chrono::milliseconds interval);
  ~ReconcileJob() { stop(); }
  ReconcileJob(const ReconcileJob&) = delete;
  ReconcileJob& operator=(const ReconcileJob&) = delete;

  /// Waits for a run under way. Idempotent.
  void stop();

 private:
  void run();
  void reconcile_once();

  const ServiceContext& context_;
  const std::chrono::milliseconds interval_;
  pg::LeaderLease lease_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace tidegate::billing
