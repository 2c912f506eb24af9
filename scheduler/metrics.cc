#include "scheduler/metrics.h"

namespace tidegate::scheduler {

SchedulerMetrics::SchedulerMetrics(MetricRegistry& registry)
    : is_leader(registry.gauge("tidegate_scheduler_is_leader", "1 while this scheduler leads")),
      term(registry.gauge("tidegate_scheduler_term", "Term of the last leadership held here")),
      workers_live(registry.gauge("tidegate_scheduler_workers_live_count", "Workers heard of lately")),
      workers_ready(registry.gauge("tidegate_scheduler_workers_ready_count", "Workers that take sequences")),
      routes(registry.gauge("tidegate_scheduler_routes_count", "Routes in the picture gateways see")),
      routes_version(registry.gauge("tidegate_scheduler_routes_version", "Version of that picture within the term")),
      watchers(registry.gauge("tidegate_scheduler_watchers_count", "Gateways that watch the routes")),
      links(registry.gauge("tidegate_scheduler_links_count", "Worker life lines open")),
      deployments(registry.gauge("tidegate_scheduler_deployments_count", "Deployments wanted")),
      replicas_desired(registry.gauge("tidegate_scheduler_replicas_desired_count", "Replicas wanted")),
      replicas_ready(registry.gauge("tidegate_scheduler_replicas_ready_count", "Replicas that are ready")),
      restarts(registry.gauge("tidegate_scheduler_restarts_count", "Replicas started again after an end nobody asked for, this term")),
      start_failures(registry.gauge("tidegate_scheduler_start_failures_count", "Replicas that failed before they were ready, this term")),
      admin_allowed(registry.counter("tidegate_scheduler_admin_calls_total", "Calls of FleetAdmin, by whether their caller may make them", {{"result", "allowed"}})),
      admin_refused(registry.counter("tidegate_scheduler_admin_calls_total", "Calls of FleetAdmin, by whether their caller may make them", {{"result", "refused"}})),
      reports(registry.counter("tidegate_scheduler_reports_total", "Worker reports taken")),
      reports_refused(registry.counter("tidegate_scheduler_reports_refused_total", "Worker links closed because this scheduler does not lead")),
      tick_seconds(registry.histogram("tidegate_scheduler_tick_seconds", "Time of one round of the control loop", latency_bounds_seconds())) {}

}  // namespace tidegate::scheduler
