#pragma once

#include "base/core/metrics.h"

namespace tidegate::scheduler {

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
  Counter& admin_allowed;  ///< calls of FleetAdmin whose caller may make them
  Counter& admin_refused;
  Counter& reports;
  Counter& reports_refused;
  Histogram& tick_seconds;
};

}  // namespace tidegate::scheduler
