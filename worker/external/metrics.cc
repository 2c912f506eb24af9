#include "worker/external/metrics.h"

namespace tidegate::worker::external {
namespace {

Counter& external_ended(MetricRegistry& registry, const char* end) {
  return registry.counter("tidegate_worker_external_requests_total", "Requests to the external engine, by how they ended",
                          {{"end", end}});
}
Counter& external_checked(MetricRegistry& registry, const char* verdict) {
  return registry.counter("tidegate_worker_external_usage_checks_total",
                          "Answers of the external engine, by what our own count says of its usage", {{"verdict", verdict}});
}

}  // namespace

ExternalMetrics::ExternalMetrics(MetricRegistry& registry)
    : up(registry.gauge("tidegate_worker_external_up", "1 while the external engine is healthy; 0 also where there is none")),
      first_byte_seconds(registry.histogram("tidegate_worker_external_first_byte_seconds",
                                            "From a request to the external engine to the first byte of its answer",
                                            latency_bounds_seconds())),
      done_(external_ended(registry, "done")),
      cancelled_(external_ended(registry, "cancelled")),
      unreachable_(external_ended(registry, "unreachable")),
      refused_(external_ended(registry, "refused")),
      busy_(external_ended(registry, "busy")),
      timeout_(external_ended(registry, "timeout")),
      cut_(external_ended(registry, "cut")),
      malformed_(external_ended(registry, "malformed")),
      failed_(external_ended(registry, "failed")),
      agrees_(external_checked(registry, "agrees")),
      missing_(external_checked(registry, "missing")),
      under_(external_checked(registry, "under")),
      over_(external_checked(registry, "over")) {}

Counter& ExternalMetrics::ended(std::string_view end) const {
  if (end == "done") return done_;
  if (end == "cancelled") return cancelled_;
  if (end == "upstream_unreachable") return unreachable_;
  if (end == "upstream_refused") return refused_;
  if (end == "upstream_busy") return busy_;
  if (end == "upstream_timeout") return timeout_;
  if (end == "upstream_cut") return cut_;
  if (end == "upstream_malformed" || end == "upstream_oversize") return malformed_;
  return failed_;
}

Counter& ExternalMetrics::checked(UsageVerdict verdict) const {
  switch (verdict) {
    case UsageVerdict::kAgrees: return agrees_;
    case UsageVerdict::kMissing: return missing_;
    case UsageVerdict::kUnderReported: return under_;
    case UsageVerdict::kOverReported: return over_;
  }
  return missing_;
}

}  // namespace tidegate::worker::external
