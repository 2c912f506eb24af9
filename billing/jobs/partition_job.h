#pragma once

#include "billing/jobs/job_loop.h"

namespace tidegate::billing {

/// Keeps months of usage ready ahead and drops those past their retention, on the one replica that holds the lease of the
/// job. On a thread of its own; the first round is at start.
class PartitionJob {
 public:
  /// `keep_months` >= 1, counted before the current one. `interval` > 0. `holder` is new for each process start.
  PartitionJob(const ServiceContext& context, const std::string& holder, std::chrono::milliseconds interval, int keep_months);

  /// Waits for a round under way. Idempotent.
  void stop() { loop_.stop(); }

 private:
  void tend();

  const ServiceContext& context_;
  const int keep_months_;
  JobLease lease_;
  JobLoop loop_;  // last: its thread uses what stands above
};

}  // namespace tidegate::billing
