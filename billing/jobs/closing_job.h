#pragma once

#include "billing/jobs/job_loop.h"

namespace tidegate::billing {

/// Closes ended months and issues their invoices, on the one replica that holds the job's lease. Two that both believe
/// they hold it do no harm: a month is closed under its wallet's lock, once. On a thread of its own.
class ClosingJob {
 public:
  struct Options {
    std::chrono::milliseconds interval{};  ///< > 0
    std::chrono::microseconds grace{};     ///< after a month's end
    bool is_draft = false;                 ///< a person issues
  };
  /// `holder` is new for each process start.
  ClosingJob(const ServiceContext& context, const std::string& holder, const Options& options);

  /// Waits for a run under way. Idempotent.
  void stop() { loop_.stop(); }

 private:
  void close_once();

  const ServiceContext& context_;
  const Options options_;
  JobLease lease_;
  JobLoop loop_;  // last: its thread uses what stands above
};

}  // namespace tidegate::billing
