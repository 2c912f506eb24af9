#pragma once

#include "billing/jobs/job_loop.h"

namespace tidegate::billing {

/// Proves the invariants again and again, on the one replica that holds the lease of the job: a difference must wake a
/// person before an invoice shows it. On a thread of its own.
class ReconcileJob {
 public:
  /// `interval` > 0. `holder` is new for each process start.
  ReconcileJob(const ServiceContext& context, const std::string& holder, std::chrono::milliseconds interval);

  /// Waits for a run under way. Idempotent.
  void stop() { loop_.stop(); }

 private:
  void reconcile_once();

  const ServiceContext& context_;
  JobLease lease_;
  JobLoop loop_;  // last: its thread uses what stands above
};

}  // namespace tidegate::billing
