#include "gateway/money/money_metrics.h"

namespace tidegate::gateway {

FeedMetrics::FeedMetrics(MetricRegistry& registry)
    : principals(registry.gauge("tidegate_gateway_principals_count", "API keys known.")),
      staleness_seconds(registry.gauge("tidegate_gateway_principals_staleness_seconds",
                                       "Time since billing was last heard from on the watch stream.")),
      clock_error_seconds(registry.gauge("tidegate_gateway_clock_error_seconds",
                                         "Bound on the difference between this clock and billing's.")),
      price_versions(registry.gauge("tidegate_gateway_price_versions_count", "Published price versions known.")),
      reconnects(registry.counter("tidegate_gateway_principals_reconnects_total", "Watch streams begun anew.")),
      refused_prices(registry.counter("tidegate_gateway_price_refusals_total",
                                      "Price snapshots that could not be used; the last good one stays.")),
      refused_limits(registry.counter("tidegate_gateway_limit_refusals_total",
                                      "Snapshots of rate limits that could not be used; the last good one stays.")) {}

LeaseMetrics::LeaseMetrics(MetricRegistry& registry)
    : holds_granted(registry.counter("tidegate_gateway_lease_holds_total", "Holds by outcome.", {{"outcome", "granted"}})),
      holds_refused(registry.counter("tidegate_gateway_lease_holds_total", "Holds by outcome.",
                                     {{"outcome", "insufficient_balance"}})),
      holds_over_cap(registry.counter("tidegate_gateway_lease_holds_total", "Holds by outcome.",
                                      {{"outcome", "budget_exceeded"}})),
      holds_unreachable(registry.counter("tidegate_gateway_lease_holds_total", "Holds by outcome.",
                                         {{"outcome", "billing_unreachable"}})),
      acquired(registry.counter("tidegate_gateway_lease_calls_total", "Lease calls answered.", {{"call", "acquire"}})),
      returned(registry.counter("tidegate_gateway_lease_calls_total", "Lease calls answered.", {{"call", "return"}})),
      retries(registry.counter("tidegate_gateway_lease_retries_total", "Lease calls repeated after no answer.")),
      mismatches(registry.counter("tidegate_gateway_lease_mismatches_total",
                                  "Answers of billing that did not match this gateway's books.")),
      wallets(registry.gauge("tidegate_gateway_lease_wallets_count", "Wallets with a lease here.")),
      tail_wallets(registry.gauge("tidegate_gateway_lease_tail_wallets_count", "Wallets nearly empty.")),
      short_wallets(registry.gauge("tidegate_gateway_lease_short_wallets_count",
                                   "Wallets in use whose lease would not last for leases.horizon_ms without billing.")),
      waiting(registry.gauge("tidegate_gateway_lease_waiting_requests", "Requests waiting for a lease.")),
      hold_seconds(registry.histogram("tidegate_gateway_lease_hold_seconds", "Time to get a hold.",
                                      latency_bounds_seconds())) {}

ShipperMetrics::ShipperMetrics(MetricRegistry& registry)
    : events(registry.counter("tidegate_gateway_shipper_events_total", "Usage events billing has acknowledged.")),
      batches(registry.counter("tidegate_gateway_shipper_batches_total", "Usage batches billing has acknowledged.")),
      failures(registry.counter("tidegate_gateway_shipper_failures_total", "Usage batches that got no answer.")),
      refused(registry.counter("tidegate_gateway_shipper_refused_total",
                               "Usage batches billing refused; they are kept and offered again.")),
      backlog(registry.gauge("tidegate_gateway_shipper_backlog_events", "Finished requests not yet acknowledged.")),
      oldest_age_seconds(registry.gauge("tidegate_gateway_shipper_oldest_age_seconds",
                                        "Age of the oldest event not yet acknowledged.")),
      submit_seconds(registry.histogram("tidegate_gateway_shipper_submit_seconds", "Time of one SubmitUsage.",
                                        latency_bounds_seconds())) {}

MeterMetrics::MeterMetrics(MetricRegistry& registry)
    : admitted(registry.counter("tidegate_gateway_meter_admitted_total", "Requests that got money.")),
      settled(registry.counter("tidegate_gateway_meter_settled_total", "Requests settled.")),
      abandoned(registry.counter("tidegate_gateway_meter_abandoned_total",
                                 "Requests dropped without settling; settled as failed.")),
      overruns(registry.counter("tidegate_gateway_meter_overruns_total",
                                "Usage reports above what was held; billed at the held bound.")),
      repriced(registry.counter("tidegate_gateway_meter_repriced_total",
                                "Settlements at the price of admission, because a newer one exceeded the hold.")),
      open_charges(registry.gauge("tidegate_gateway_meter_open_requests", "Requests admitted and not settled.")),
      recovered_interrupted(registry.counter("tidegate_gateway_recovery_requests_total",
                                             "Requests of an earlier life, by what became of them.",
                                             {{"outcome", "interrupted"}})),
      recovered_void(registry.counter("tidegate_gateway_recovery_requests_total",
                                      "Requests of an earlier life, by what became of them.", {{"outcome", "void"}})),
      stuck_epochs(registry.gauge("tidegate_gateway_recovery_stuck_epochs_count",
                                  "Earlier lives whose usage could not be delivered; a person must look.")) {}

}  // namespace tidegate::gateway
