#pragma once

#include "base/core/metrics.h"

namespace tidegate::gateway {

/// What the watch stream feeds.
struct FeedMetrics {
  explicit FeedMetrics(MetricRegistry& registry);
  Gauge& principals;
  Gauge& staleness_seconds;
  Gauge& clock_error_seconds;
  Gauge& price_versions;
  Counter& reconnects;
  Counter& refused_prices;
  Counter& refused_limits;
};

struct LeaseMetrics {
  explicit LeaseMetrics(MetricRegistry& registry);
  Counter& holds_granted;
  Counter& holds_refused;
  Counter& holds_over_cap;
  Counter& holds_unreachable;
  Counter& acquired;
  Counter& returned;
  Counter& retries;
  Counter& mismatches;
  Gauge& wallets;
  Gauge& tail_wallets;
  Gauge& short_wallets;
  Gauge& waiting;
  Histogram& hold_seconds;
};

struct ShipperMetrics {
  explicit ShipperMetrics(MetricRegistry& registry);
  Counter& events;
  Counter& batches;
  Counter& failures;
  Counter& refused;
  Gauge& backlog;
  Gauge& oldest_age_seconds;
  Histogram& submit_seconds;
};

struct MeterMetrics {
  explicit MeterMetrics(MetricRegistry& registry);
  Counter& admitted;
  Counter& settled;
  Counter& abandoned;
  Counter& overruns;
  Counter& repriced;
  Gauge& open_charges;
  Counter& recovered_interrupted;
  Counter& recovered_void;
  Gauge& stuck_epochs;
};

}  // namespace tidegate::gateway
