#include "scheduler/drivers/kubernetes/api/kube_metrics.h"

namespace tidegate::scheduler::kube {

namespace {

Counter& calls(MetricRegistry& registry, const char* result) {
  return registry.counter("tidegate_scheduler_kube_calls_total", "Calls of the cluster's API server, by how they ended",
                          {{"result", result}});
}

Counter& watches(MetricRegistry& registry, const char* why) {
  return registry.counter("tidegate_scheduler_kube_watch_restarts_total",
                          "Watches of the cluster begun again, by why the one before was left", {{"why", why}});
}

}  // namespace

KubeMetrics::KubeMetrics(MetricRegistry& registry)
    : calls_ok(calls(registry, "ok")),
      calls_conflict(calls(registry, "conflict")),
      calls_throttled(calls(registry, "throttled")),
      calls_absent(calls(registry, "absent")),
      calls_refused(calls(registry, "refused")),
      calls_failed(calls(registry, "failed")),
      calls_unanswered(calls(registry, "unanswered")),
      watches_ended(watches(registry, "ended")),
      watches_expired(watches(registry, "expired")),
      watches_failed(watches(registry, "failed")),
      orders(registry.gauge("tidegate_scheduler_kube_orders_count",
                            "Starts and stops of replicas that the cluster does not show yet")),
      sync_age_seconds(registry.gauge("tidegate_scheduler_kube_sync_age_seconds",
                                      "Since the cluster's watch longest silent was last heard of")) {}

}  // namespace tidegate::scheduler::kube
