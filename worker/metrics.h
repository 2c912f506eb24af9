#pragma once

#include "base/core/metrics.h"

namespace tidegate::worker {

/// Every metric of the worker. Handles are resolved once; the registry outlives this.
struct WorkerMetrics {
  explicit WorkerMetrics(MetricRegistry& registry);

  Counter& steps;
  Histogram& step_seconds;
  Histogram& batch_sequences;
  Counter& prompt_tokens;
  Counter& cached_tokens;
  Counter& completion_tokens;
  Counter& drafted_tokens;
  Counter& accepted_tokens;
  Gauge& kv_tokens_used;
  Gauge& kv_tokens_idle;
  Gauge& kv_tokens_capacity;
  Gauge& sequences_running;
  Gauge& sequences_waiting;
  Gauge& sequences_max;
  Counter& sequences_started;
  Counter& finished_stop;
  Counter& finished_length;
  Counter& finished_tool_calls;
  Counter& finished_cancelled;
  Counter& finished_error;
  Counter& cancelled_budget;
  Counter& cancelled_session;
  Counter& cancelled_backpressure;
  Gauge& sessions;
  Counter& credits_granted;
  Gauge& credits_outstanding;
  Counter& frames;
  Gauge& counts_waiting;
  Counter& counts_refused;
  Gauge& outbox_bytes;
  Gauge& ready;
  Gauge& term;
  Gauge& scheduler_connected;
  Counter& commands_refused;
  Gauge& meter_backlog;
  Counter& meter_failures;
  Gauge& load_seconds;
  Counter& weights_cache_hits;
  Counter& weights_cache_built;
  Counter& weights_cache_unavailable;
};

}  // namespace tidegate::worker
