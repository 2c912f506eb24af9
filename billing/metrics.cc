#include "billing/metrics.h"

namespace tidegate::billing {

BillingMetrics::BillingMetrics(MetricRegistry& r)
    : usage_events(r.counter("tidegate_billing_usage_events_total", "Usage events stored, rated and posted.")),
      usage_duplicates(r.counter("tidegate_billing_usage_duplicates_total", "Usage events delivered again and ignored.")),
      usage_batches(r.counter("tidegate_billing_usage_batches_total", "Batches acknowledged.")),
      usage_refusals(r.counter("tidegate_billing_usage_refusals_total", "Batches refused: the gateway's journal waits for a person.")),
      usage_batch_seconds(r.histogram("tidegate_billing_usage_batch_seconds", "Time to apply a batch.", latency_bounds_seconds())),
      usage_delay_seconds(r.histogram("tidegate_billing_usage_delay_seconds", "From a request's end to its bill, oldest of a batch.", {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600, 86400, 604800})),
      leases_granted(r.counter("tidegate_billing_leases_granted_total", "Lease grants.")),
      leases_returned(r.counter("tidegate_billing_leases_returned_total", "Lease returns.")),
      leases_refused(r.counter("tidegate_billing_leases_refused_total", "Lease grants refused because the wallet is exhausted.")),
      lease_seconds(r.histogram("tidegate_billing_lease_seconds", "Time to grant or return a lease.", latency_bounds_seconds())),
      top_ups(r.counter("tidegate_billing_top_ups_total", "Wallet top-ups accepted.")),
      admin_refusals(r.counter("tidegate_billing_admin_refusals_total", "Admin calls refused for their key, role or tenant.")),
      issuer_key_loads(r.counter("tidegate_billing_issuer_key_looks_total", "Looks at the identity provider's keys, by what came of them.", {{"result", "read"}})),
      issuer_key_failures(r.counter("tidegate_billing_issuer_key_looks_total", "Looks at the identity provider's keys, by what came of them.", {{"result", "failed"}})),
      watchers(r.gauge("tidegate_billing_watchers", "Gateways that watch accounts and prices.")),
      watch_updates(r.counter("tidegate_billing_watch_updates_total", "Changes handed to gateways.")),
      watch_lag_seconds(r.histogram("tidegate_billing_watch_lag_seconds", "From noticing a change to handing it out.", latency_bounds_seconds())),
      reconcile_runs(r.counter("tidegate_billing_reconcile_runs_total", "Reconciliations finished.")),
      reconcile_differences(r.gauge("tidegate_billing_reconcile_differences", "Rows that broke an invariant in the last reconciliation.")),
      invoices_closed(r.counter("tidegate_billing_invoices_closed_total", "Invoices made by the closing job.")),
      closing_failures(r.counter("tidegate_billing_closing_failures_total", "Runs of the closing job that left a month open.")),
      receipt_days_sealed(r.counter("tidegate_billing_receipt_days_sealed_total", "Days whose receipts got their signed root.")),
      receipt_differences(r.gauge("tidegate_billing_receipt_differences", "Unsound receipts found when the last day was sealed.")),
      pool_queued(r.gauge("tidegate_billing_pg_queued", "Jobs waiting for a database connection.")),
      pool_wait_seconds(r.histogram("tidegate_billing_pg_wait_seconds", "Wait for a database connection.", latency_bounds_seconds())),
      pool_run_seconds(r.histogram("tidegate_billing_pg_run_seconds", "Time of a database transaction, retries included.", latency_bounds_seconds())),
      pool_retries(r.counter("tidegate_billing_pg_retries_total", "Database transactions run again.")),
      pool_reconnects(r.counter("tidegate_billing_pg_reconnects_total", "Database connections made again.")) {}

}  // namespace tidegate::billing
