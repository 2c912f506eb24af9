#pragma once

#include "base/core/metrics.h"

namespace tidegate::billing {

/// Everything an operator sees of billing. Names are an API: tests/golden lists them.
struct BillingMetrics {
  explicit BillingMetrics(MetricRegistry& registry);

  Counter& usage_events;             ///< applied
  Counter& usage_duplicates;         ///< delivered again
  Counter& usage_batches;
  Counter& usage_refusals;           ///< batches refused: each one stops a gateway's journal and wants a person
  Histogram& usage_batch_seconds;
  Histogram& usage_delay_seconds;    ///< from a request's end to its bill, of the oldest in a batch
  Counter& leases_granted;
  Counter& leases_returned;
  Counter& leases_refused;           ///< wallet exhausted
  Histogram& lease_seconds;
  Counter& top_ups;
  Counter& admin_refusals;           ///< calls of people refused for their key, role or tenant
  Counter& issuer_key_loads;         ///< looks at the identity provider's keys that found some
  Counter& issuer_key_failures;      ///< and those that did not: in a day nobody's token is taken any more
  Gauge& watchers;
  Counter& watch_updates;
  Histogram& watch_lag_seconds;      ///< from noticing a change to handing it to the streams
  Counter& reconcile_runs;
  Gauge& reconcile_differences;      ///< of the last run; anything but 0 wakes somebody
  Counter& invoices_closed;          ///< made by the closing job
  Counter& closing_failures;         ///< runs of it that left a month open: somebody must look
  Counter& receipt_days_sealed;
  Gauge& receipt_differences;        ///< found when the last day was sealed; anything but 0 wakes somebody
  Gauge& pool_queued;
  Histogram& pool_wait_seconds;
  Histogram& pool_run_seconds;
  Counter& pool_retries;
  Counter& pool_reconnects;
};

}  // namespace tidegate::billing
