#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "billing/adapters/tenant_view.h"
#include "billing/rpc/context.h"

namespace tidegate::billing {

/// Keeps the tenant board's gauges: balance, spend and tokens of the tenants who spend most (a bounded set, so that
/// tenants cannot blow up the metrics). Every replica shows the same; panels take the maximum over replicas.
class TenantBoardJob {
 public:
  static constexpr int kTenantsMax = 50;

  TenantBoardJob(const ServiceContext& context, MetricRegistry& registry, std::chrono::milliseconds interval);
  ~TenantBoardJob() { stop(); }
  TenantBoardJob(const TenantBoardJob&) = delete;
  TenantBoardJob& operator=(const TenantBoardJob&) = delete;

  /// Idempotent.
  void stop();

 private:
  void run();
  void refresh();
  void show(const TenantView& view);
  void set(const char* name, const char* help, const Labels& labels, Money amount);

  const ServiceContext& context_;
  MetricRegistry& registry_;
  const std::chrono::milliseconds interval_;
  std::map<std::pair<std::string, Labels>, Gauge*> shown_;  // job's thread: those set by the last refresh
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace tidegate::billing
