#include "gateway/limits/rate_metrics.h"

namespace tidegate::gateway {
namespace {

Counter& decisions(MetricRegistry& registry, const char* outcome) {
  return registry.counter("tidegate_gateway_limit_decisions_total",
                          "Requests that a limit binds, by outcome: admitted, or the limit that refused.",
                          {{"outcome", outcome}});
}

Counter& calls_of(MetricRegistry& registry, const char* result) {
  return registry.counter("tidegate_gateway_limit_calls_total", "Steps in Redis for shares of limits.",
                          {{"result", result}});
}

}  // namespace

RateMetrics::RateMetrics(MetricRegistry& registry)
    : admitted(decisions(registry, "admitted")),
      refused_requests(decisions(registry, "requests")),
      refused_tokens(decisions(registry, "tokens")),
      refused_daily_tokens(decisions(registry, "daily_tokens")),
      refused_concurrency(decisions(registry, "concurrency")),
      calls(calls_of(registry, "ok")),
      calls_failed(calls_of(registry, "failed")),
      wait_seconds(registry.histogram("tidegate_gateway_limit_wait_seconds",
                                      "Wait of requests for which no share was left here.", latency_bounds_seconds())),
      is_static(registry.gauge("tidegate_gateway_limit_static_count",
                               "1 while Redis is away and limits are kept by static parts, else 0.")),
      gateways(registry.gauge("tidegate_gateway_limit_gateways_count", "Gateways that share the limits.")),
      limits(registry.gauge("tidegate_gateway_limit_limits_count", "Limits in use here.")) {}

Counter& RateMetrics::refused(RateMeter meter) {
  switch (meter) {
    case RateMeter::kRequests: return refused_requests;
    case RateMeter::kTokens: return refused_tokens;
    case RateMeter::kDailyTokens: return refused_daily_tokens;
    case RateMeter::kConcurrency: return refused_concurrency;
  }
  return refused_requests;
}

}  // namespace tidegate::gateway
