#include "gateway/guard/guard_metrics.h"

#include <string>

namespace tidegate::gateway {
namespace {

Counter& checks(MetricRegistry& registry, GuardDirection direction, const char* verdict) {
  return registry.counter("tidegate_gateway_guard_checks_total", "Checks of the guard, by its verdict.",
                          {{"direction", std::string(direction_name(direction))}, {"verdict", verdict}});
}

}  // namespace

GuardMetrics::Side::Side(MetricRegistry& registry, GuardDirection direction)
    : passed(checks(registry, direction, "pass")),
      masked(checks(registry, direction, "mask")),
      denied(checks(registry, direction, "deny")),
      failures(registry.counter("tidegate_gateway_guard_failures_total",
                                "Checks that the guard did not answer in time, or not well.",
                                {{"direction", std::string(direction_name(direction))}})),
      seconds(registry.histogram("tidegate_gateway_guard_seconds", "Time of a check.", latency_bounds_seconds(),
                                 {{"direction", std::string(direction_name(direction))}})) {}

GuardMetrics::GuardMetrics(MetricRegistry& registry)
    : input(registry, GuardDirection::kInput), output(registry, GuardDirection::kOutput) {}

}  // namespace tidegate::gateway
