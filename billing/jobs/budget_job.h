#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/pg/leader.h"
#include "billing/adapters/alert_store.h"
#include "billing/adapters/webhook_sender.h"
#include "billing/rpc/context.h"

namespace tidegate::billing {

/// Lapses grants that are over, raises alerts and delivers them to the tenants' webhooks, on the one replica that holds
/// the lease of the job, on a thread of its own. A delivery is made at least once: its id is the alert's.
class BudgetJob {
 public:
  /// `interval` > 0. `holder` is new for each process start.
  BudgetJob(const ServiceContext& context, const std::string& holder, std::chrono::milliseconds interval, WebhookPolicy policy);
  ~BudgetJob() { stop(); }
  BudgetJob(const BudgetJob&) = delete;
  BudgetJob& operator=(const BudgetJob&) = delete;

  /// Waits for a delivery under way. Idempotent.
  void stop();

 private:
  void run();
  void turn();
  void deliver();
  bool is_stopping();

  const ServiceContext& context_;
  const std::chrono::milliseconds interval_;
  const WebhookPolicy policy_;
  pg::LeaderLease lease_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace tidegate::billing
