#pragma once
#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "billing/adapters/tenant_view.h"
#include "billing/jobs/job_loop.h"

namespace tidegate::billing {

/// Keeps the tenant board's gauges: balance, spend and tokens of the tenants who spend most (a bounded set, so that
/// tenants cannot blow up the metrics). Every replica shows the same; panels take the maximum over replicas.
class TenantBoardJob {
 public:
  static constexpr int kTenantsMax = 50;

  TenantBoardJob(const ServiceContext& context, MetricRegistry& registry, std::chrono::milliseconds interval);

  /// Idempotent.
  void stop() { loop_.stop(); }

 private:
  void refresh();
  void show(const TenantView& view);
  void set(const char* name, const char* help, const Labels& labels, Money amount);

  const ServiceContext& context_;
  MetricRegistry& registry_;
  std::map<std::pair<std::string, Labels>, Gauge*> shown_;  // job's thread: those set by the last refresh
  JobLoop loop_;  // last: its thread uses what stands above
};

}  // namespace tidegate::billing
