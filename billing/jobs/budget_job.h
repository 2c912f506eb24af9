#pragma once

#include "billing/adapters/alert_store.h"
#include "billing/adapters/webhook_sender.h"
#include "billing/jobs/job_loop.h"

namespace tidegate::billing {

/// Lapses grants that are over, raises alerts and delivers them to the tenants' webhooks, on the one replica that holds
/// the lease of the job, on a thread of its own. A delivery is made at least once: its id is the alert's.
class BudgetJob {
 public:
  /// `interval` > 0. `holder` is new for each process start.
  BudgetJob(const ServiceContext& context, const std::string& holder, std::chrono::milliseconds interval, WebhookPolicy policy);

  /// Waits for a delivery under way. Idempotent.
  void stop() { loop_.stop(); }

 private:
  void turn();
  void deliver();

  const ServiceContext& context_;
  const WebhookPolicy policy_;
  JobLease lease_;
  JobLoop loop_;  // last: its thread uses what stands above
};

}  // namespace tidegate::billing
