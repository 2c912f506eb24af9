#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/pg/leader.h"
#include "billing/rpc/context.h"

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
  ~ClosingJob() { stop(); }
  ClosingJob(const ClosingJob&) = delete;
  ClosingJob& operator=(const ClosingJob&) = delete;

  /// Waits for a run under way. Idempotent.
  void stop();

 private:
  void run();
  void close_once();

  const ServiceContext& context_;
  const Options options_;
  pg::LeaderLease lease_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace tidegate::billing
