#include "worker/metrics.h"

namespace tidegate::worker {

namespace {
Counter& finished(MetricRegistry& registry, const char* reason) {
  return registry.counter("tidegate_worker_sequences_finished_total", "Sequences that ended, by reason",
                          {{"reason", reason}});
}
Counter& cancelled(MetricRegistry& registry, const char* cause) {
  return registry.counter("tidegate_worker_sequences_cancelled_total", "Sequences the worker itself ended, by cause",
                          {{"cause", cause}});
}
Counter& weights_cache(MetricRegistry& registry, const char* outcome) {
  return registry.counter("tidegate_worker_weights_cache_total", "Starts by what the cache of packed weights gave",
                          {{"outcome", outcome}});
}
}  // namespace

WorkerMetrics::WorkerMetrics(MetricRegistry& registry)
    : steps(registry.counter("tidegate_worker_steps_total", "Engine steps")),
      step_seconds(registry.histogram("tidegate_worker_step_seconds", "Time of one engine step",
                                      latency_bounds_seconds())),
      batch_sequences(registry.histogram("tidegate_worker_batch_sequences", "Sequences in a step",
                                         {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024})),
      prompt_tokens(registry.counter("tidegate_worker_prompt_tokens_total", "Prompt tokens accepted, cached ones included")),
      cached_tokens(registry.counter("tidegate_worker_cached_tokens_total", "Prompt tokens read from the prefix cache")),
      completion_tokens(registry.counter("tidegate_worker_completion_tokens_total", "Tokens generated")),
      drafted_tokens(registry.counter("tidegate_worker_drafted_tokens_total", "Tokens the draft layer guessed")),
      accepted_tokens(registry.counter("tidegate_worker_accepted_tokens_total", "Guesses that were what was generated")),
      kv_tokens_used(registry.gauge("tidegate_worker_kv_used_tokens", "KV cache in use")),
      kv_tokens_idle(registry.gauge("tidegate_worker_kv_idle_tokens", "Cached prefixes that nobody uses now")),
      kv_tokens_capacity(registry.gauge("tidegate_worker_kv_capacity_tokens", "KV cache size")),
      sequences_running(registry.gauge("tidegate_worker_sequences_running", "Sequences in the batch")),
      sequences_waiting(registry.gauge("tidegate_worker_sequences_waiting", "Sequences waiting for a place in the batch")),
      sequences_max(registry.gauge("tidegate_worker_sequences_max", "Places in the batch")),
      sequences_started(registry.counter("tidegate_worker_sequences_started_total", "Sequences gateways started")),
      finished_stop(finished(registry, "stop")),
      finished_length(finished(registry, "length")),
      finished_tool_calls(finished(registry, "tool_calls")),
      finished_cancelled(finished(registry, "cancelled")),
      finished_error(finished(registry, "error")),
      cancelled_budget(cancelled(registry, "budget_spent")),
      cancelled_session(cancelled(registry, "session_ended")),
      cancelled_backpressure(cancelled(registry, "backpressure")),
      sessions(registry.gauge("tidegate_worker_sessions", "Gateway streams open")),
      credits_granted(registry.counter("tidegate_worker_credits_granted_total", "Credits given to gateways")),
      credits_outstanding(registry.gauge("tidegate_worker_credits_outstanding", "Credits given and not used")),
      frames(registry.counter("tidegate_worker_frames_total", "Frames sent to gateways")),
      counts_waiting(registry.gauge("tidegate_worker_counts_waiting", "Prompts that wait to be counted only")),
      counts_refused(registry.counter("tidegate_worker_counts_refused_total",
                                      "Prompts that were not counted because too many waited")),
      outbox_bytes(registry.gauge("tidegate_worker_outbox_bytes", "Text waiting for streams that do not take it")),
      ready(registry.gauge("tidegate_worker_ready", "1 when the model is loaded and the worker takes sequences")),
      term(registry.gauge("tidegate_worker_scheduler_term", "Newest scheduler term this worker has accepted")),
      scheduler_connected(registry.gauge("tidegate_worker_scheduler_connected", "Links to a scheduler that leads: 1, or 0 while there is none")),
      commands_refused(registry.counter("tidegate_worker_commands_refused_total", "Commands of an older term")),
      meter_backlog(registry.gauge("tidegate_worker_meter_backlog_records", "Records of ended sequences billing was last told")),
      meter_failures(registry.counter("tidegate_worker_meter_failures_total", "Meter files that could not be written on")),
      load_seconds(registry.gauge("tidegate_worker_load_seconds", "Time in which the model was loaded")),
      weights_cache_hits(weights_cache(registry, "hit")),
      weights_cache_built(weights_cache(registry, "built")),
      weights_cache_unavailable(weights_cache(registry, "unavailable")) {}

}  // namespace tidegate::worker
