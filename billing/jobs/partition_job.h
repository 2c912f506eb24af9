#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/pg/leader.h"
#include "billing/rpc/context.h"

namespace tidegate::billing {

/// Keeps months of usage ready ahead and drops those past their retention, on the one replica that holds the lease of the
/// job. On a thread of its own; the first round is at start.
class PartitionJob {
 public:
  /// `keep_months` >= 1, counted before the current one. `interval` > 0. `holder` is new for each process start.
  PartitionJob(const ServiceContext& context, const std::string& holder, std::chrono::milliseconds interval, int keep_months);
  ~PartitionJob() { stop(); }
  PartitionJob(const PartitionJob&) = delete;
  PartitionJob& operator=(const PartitionJob&) = delete;

  /// Waits for a round under way. Idempotent.
  void stop();

 private:
  void run();
  void tend();

  const ServiceContext& context_;
  const std::chrono::milliseconds interval_;
  const int keep_months_;
  pg::LeaderLease lease_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace tidegate::billing
