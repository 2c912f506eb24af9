#include "scheduler/metrics.h"

namespace tidegate::scheduler {

namespace {

Gauge& rollouts_gauge(MetricRegistry& registry, const char* phase) {
  return registry.gauge("tidegate_scheduler_rollouts_count", "Deployments whose new revision is on its way, waits for a promotion, goes back, or failed",
                        {{"phase", phase}});
}

}  // namespace

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
      fit_error_ratio(registry.gauge("tidegate_scheduler_fit_error_ratio", "Largest difference between predicted and allocated KV tokens of a live worker, as a share of the prediction")),
      admin_allowed(registry.counter("tidegate_scheduler_admin_calls_total", "Calls of FleetAdmin, by whether their caller may make them", {{"result", "allowed"}})),
      admin_refused(registry.counter("tidegate_scheduler_admin_calls_total", "Calls of FleetAdmin, by whether their caller may make them", {{"result", "refused"}})),
      reports(registry.counter("tidegate_scheduler_reports_total", "Worker reports taken")),
      reports_refused(registry.counter("tidegate_scheduler_reports_refused_total", "Worker links closed because this scheduler does not lead")),
      tick_seconds(registry.histogram("tidegate_scheduler_tick_seconds", "Time of one round of the control loop", latency_bounds_seconds())),
      demand_reports(registry.counter("tidegate_scheduler_demand_reports_total", "Demand reports of gateways taken")),
      autoscale_gateways(registry.gauge("tidegate_scheduler_autoscale_gateways_count", "Gateways whose demand is known")),
      autoscale_ups(registry.gauge("tidegate_scheduler_autoscale_ups_count", "Times that autoscaling asked for more replicas, this process")),
      autoscale_downs(registry.gauge("tidegate_scheduler_autoscale_downs_count", "Times that it asked for fewer, this process")),
      autoscale_reversals(registry.gauge("tidegate_scheduler_autoscale_reversals_count", "Times that it turned round, this process")),
      rollouts_rolling(rollouts_gauge(registry, "rolling")),
      rollouts_waiting(rollouts_gauge(registry, "waiting")),
      rollouts_back(rollouts_gauge(registry, "back")),
      rollouts_failed(rollouts_gauge(registry, "failed")),
      moves(registry.gauge("tidegate_scheduler_moves_count", "Deployments moved out of a lost pool, this term")),
      homeless(registry.gauge("tidegate_scheduler_homeless_count", "Deployments whose pool is lost and that no other pool can have")),
      registry_(registry),
      autoscale_all(autoscale("*")) {}

AutoscaleMetrics SchedulerMetrics::autoscale(const std::string& deployment) {
  const Labels labels = {{"deployment", deployment}};
  AutoscaleMetrics out;
  out.wanted = &registry_.gauge("tidegate_scheduler_autoscale_wanted_replicas", "Replicas that autoscaling wants", labels);
  out.at_most = &registry_.gauge("tidegate_scheduler_autoscale_most_replicas", "Replicas that the policy and its budget allow", labels);
  out.load = &registry_.gauge("tidegate_scheduler_autoscale_load_replicas", "Load offered, in replicas at full use", labels);
  out.forecast = &registry_.gauge("tidegate_scheduler_autoscale_forecast_replicas",
                                  "Greatest load until a replica ordered now is ready, in replicas at full use", labels);
  out.needed = &registry_.gauge("tidegate_scheduler_autoscale_needed_replicas", "Replicas needed for that, before rounding and damping", labels);
  return out;
}

void AutoscaleMetrics::show(const AutoscaleFigures& figures) const {
  wanted->set(figures.wanted);
  at_most->set(figures.at_most);
  load->set(figures.load);
  forecast->set(figures.forecast);
  needed->set(figures.needed);
}

void AutoscaleFigures::add(const AutoscaleFigures& other) {
  wanted += other.wanted;
  at_most += other.at_most;
  load += other.load;
  forecast += other.forecast;
  needed += other.needed;
}

}  // namespace tidegate::scheduler
