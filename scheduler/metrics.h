#pragma once

#include <string>

#include "base/core/metrics.h"

namespace tidegate::scheduler {

struct AutoscaleFigures {
  double wanted = 0;
  double at_most = 0;
  double load = 0;
  double forecast = 0;
  double needed = 0;
  void add(const AutoscaleFigures& other);
};

/// Of one deployment whose number of replicas follows its load. Names come from people, at most a few hundred.
struct AutoscaleMetrics {
  Gauge* wanted = nullptr;
  Gauge* at_most = nullptr;
  Gauge* load = nullptr;
  Gauge* forecast = nullptr;
  Gauge* needed = nullptr;
  void show(const AutoscaleFigures& figures) const;
};

/// Every metric of the scheduler, resolved once. Names are final: tests/golden/metrics.txt lists them.
struct SchedulerMetrics {
  explicit SchedulerMetrics(MetricRegistry& registry);

  Gauge& is_leader;
  Gauge& term;
  Gauge& workers_live;
  Gauge& workers_ready;
  Gauge& routes;
  Gauge& routes_version;
  Gauge& watchers;
  Gauge& links;
  Gauge& deployments;
  Gauge& replicas_desired;
  Gauge& replicas_ready;
  Gauge& restarts;
  Gauge& start_failures;
  Gauge& fit_error_ratio;
  Counter& admin_allowed;  ///< calls of FleetAdmin whose caller may make them
  Counter& admin_refused;
  Counter& reports;
  Counter& reports_refused;
  Histogram& tick_seconds;
  Counter& demand_reports;
  Gauge& autoscale_gateways;
  Gauge& autoscale_ups;
  Gauge& autoscale_downs;
  Gauge& autoscale_reversals;
  Gauge& rollouts_rolling;
  Gauge& rollouts_waiting;
  Gauge& rollouts_back;
  Gauge& rollouts_failed;
  Gauge& moves;
  Gauge& homeless;

  AutoscaleMetrics autoscale(const std::string& deployment);

 private:
  MetricRegistry& registry_;

 public:
  AutoscaleMetrics autoscale_all;  ///< their sums, as deployment "*", which no deployment can be called
};

}  // namespace tidegate::scheduler
