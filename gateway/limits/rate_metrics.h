#pragma once

#include "base/core/metrics.h"
#include "gateway/core/rate_rule.h"

namespace tidegate::gateway {

struct RateMetrics {
  explicit RateMetrics(MetricRegistry& registry);
  Counter& refused(RateMeter meter);

  Counter& admitted;
  Counter& refused_requests;
  Counter& refused_tokens;
  Counter& refused_daily_tokens;
  Counter& refused_concurrency;
  Counter& calls;
  Counter& calls_failed;
  Histogram& wait_seconds;
  Gauge& is_static;
  Gauge& gateways;
  Gauge& limits;
};

}  // namespace tidegate::gateway
