#pragma once

#include "base/core/metrics.h"

namespace tidegate::scheduler::kube {

/// How the scheduler gets on with the cluster's API server. All zero with another driver.
struct KubeMetrics {
  explicit KubeMetrics(MetricRegistry& registry);

  Counter& calls_ok;
  Counter& calls_conflict;    ///< 409: somebody else wrote first; normal in small numbers
  Counter& calls_throttled;   ///< 429
  Counter& calls_absent;      ///< 404: normal where a cluster has no LeaderWorkerSet, or before the first Lease
  Counter& calls_refused;     ///< other 4xx: the cluster will not do it
  Counter& calls_failed;      ///< 5xx
  Counter& calls_unanswered;  ///< no connection, or no answer in time
  Counter& watches_ended;     ///< in order, by the server's own limit
  Counter& watches_expired;   ///< 410: listed again
  Counter& watches_failed;
  Gauge& orders;            ///< that the cluster does not show yet
  Gauge& sync_age_seconds;  ///< since the watch longest silent was last heard of
};

}  // namespace tidegate::scheduler::kube
