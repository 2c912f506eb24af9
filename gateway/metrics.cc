#include "gateway/metrics.h"

#include <algorithm>
#include <array>
#include <vector>

#include "gateway/core/pool_key.h"

namespace tidegate::gateway {
namespace {

/// Of OTel's gen_ai.server.time_to_first_token, widened to what a queued request may see.
const std::vector<double> kTtftBounds = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 40, 80, 160};
const std::vector<double> kInterTokenBounds = {.002, .005, .01, .015, .02, .025, .03, .04, .05, .075, .1, .15, .25, .5, 1};
const std::vector<double> kRequestBounds = {.05, .1, .25, .5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640};

/// Reasons that may be a label. Everything else, also what a worker makes up, is "other".
constexpr auto kReasons = std::to_array<std::string_view>({
    "invalid_json",         "missing_field",      "wrong_type",          "invalid_value",     "unsupported_parameter",
    "invalid_api_key",      "tenant_suspended",   "keys_not_loaded",     "model_not_allowed", "model_not_found",
    "region_not_allowed",
    "model_not_ready",      "routes_not_loaded",  "not_found",           "method_not_allowed", "context_length_exceeded",
    "insufficient_balance", "budget_exceeded",    "price_missing",       "billing_unreachable", "journal_full",
    "journal_failed",       "queue_full",         "queue_timeout",       "would_be_late",     "worker_lost",
    "worker_cancelled",     "answer_breaks_format",
    "deadline_exceeded",    "gateway_stopping",   "rate_limit_exceeded", "scope_not_allowed", "source_not_allowed",
    "idempotency_mismatch", "idempotency_in_flight", "idempotency_answer_not_kept", "idempotency_outcome_unknown",
    "idempotency_unavailable", "content_policy", "guard_unavailable"});

std::string_view phase_name(CancelPhase phase) {
  switch (phase) {
    case CancelPhase::kAdmitting: return "admitting";
    case CancelPhase::kQueued: return "queued";
    case CancelPhase::kBeforeFirstToken: return "before_first_token";
    case CancelPhase::kStreaming: return "streaming";
  }
  return "streaming";
}

Counter& cancelled_counter(MetricRegistry& registry, CancelPhase phase) {
  return registry.counter("tidegate_gateway_cancelled_requests_total", "Requests whose client left, by where they were.",
                          {{"phase", std::string(phase_name(phase))}});
}

Counter& answers_counter(MetricRegistry& registry, const char* verdict) {
  return registry.counter("tidegate_gateway_answer_checks_total",
                          "Answers held against the format, or the calls, that were asked for.",
                          {{"verdict", verdict}});
}

}  // namespace

GatewayMetrics::GatewayMetrics(MetricRegistry& registry)
    : answers_held(answers_counter(registry, "held")),
      answers_broken(answers_counter(registry, "broken")),
      answers_unchecked(answers_counter(registry, "unchecked")),
      fields_ignored(registry.counter("tidegate_gateway_fields_ignored_total",
                                      "Request fields that were read and had no effect.")),
      keep_alives(registry.counter("tidegate_gateway_keep_alives_total", "Times an answer was silent for long enough to send a comment or a blank line.")),
      routes_refused(registry.counter("tidegate_gateway_routes_refused_total",
                                      "Route pictures refused because a newer scheduler leads.")),
      routes_reconnects(registry.counter("tidegate_gateway_routes_reconnects_total",
                                         "Times the route stream to the scheduler broke.")),
      routes_workers(registry.gauge("tidegate_gateway_routes_workers", "Workers in the routes in force.")),
      routes_version(registry.gauge("tidegate_gateway_routes_version", "Version of the routes in force.")),
      registry_(registry) {
  arm_requests("", "");  // shown before the first one
  for (const auto phase : {CancelPhase::kAdmitting, CancelPhase::kQueued, CancelPhase::kBeforeFirstToken,
                           CancelPhase::kStreaming}) {
    cancelled_counter(registry, phase);
  }
}

PoolMetrics& GatewayMetrics::pool(const std::string& model, const std::string& region, const std::string& pool_name) {
  std::string key = pool_key(model, region, pool_name);
  if (const auto found = pools_.find(key); found != pools_.end()) return found->second;

  const Labels labels{{"model", model}, {"region", region}, {"pool", pool_name}};
  const auto tokens = [&](const char* kind) {
    Labels with_kind = labels;
    with_kind.emplace("kind", kind);
    return &registry_.counter("tidegate_gateway_tokens_total",
                              "Tokens settled, by kind; completion includes reasoning.", with_kind);
  };
  PoolMetrics made;
  made.ttft_seconds = &registry_.histogram("tidegate_gateway_ttft_seconds",
                                           "First byte of the request to first token sent.", kTtftBounds, labels);
  made.inter_token_seconds = &registry_.histogram("tidegate_gateway_inter_token_seconds",
                                                  "Between two deliveries of one stream.", kInterTokenBounds, labels);
  made.request_seconds = &registry_.histogram("tidegate_gateway_request_seconds",
                                              "First byte of the request to the end of its answer.", kRequestBounds, labels);
  made.queue_wait_seconds = &registry_.histogram("tidegate_gateway_queue_wait_seconds",
                                                 "Wait in the fair queue of requests that left it for a worker.",
                                                 latency_bounds_seconds(), labels);
  made.queue_requests = &registry_.gauge("tidegate_gateway_queue_requests", "Requests waiting for a worker.", labels);
  made.inflight_requests = &registry_.gauge("tidegate_gateway_inflight_requests", "Requests admitted and not settled.", labels);
  made.sessions = &registry_.gauge("tidegate_gateway_sessions", "Open sessions to workers, over all threads.", labels);
  made.credits = &registry_.gauge("tidegate_gateway_credits", "Sequences workers would take now.", labels);
  made.tokens_prompt_hit = tokens("prompt_hit");
  made.tokens_prompt_miss = tokens("prompt_miss");
  made.tokens_completion = tokens("completion");
  made.tokens_reasoning = tokens("reasoning");
  made.retries = &registry_.counter("tidegate_gateway_retries_total",
                                    "Requests sent to another worker because theirs was lost before the first token.", labels);
  made.workers_lost = &registry_.counter("tidegate_gateway_workers_lost_total", "Sessions that broke.", labels);
  made.spills = &registry_.counter("tidegate_gateway_spills_total",
                                   "Requests that went to another region's pool because this one had no room.", labels);
  made.ejections = &registry_.counter("tidegate_gateway_ejections_total",
                                      "Times a thread took a worker out of the choice because it failed or hung.",
                                      labels);
  made.workers_ejected = &registry_.gauge("tidegate_gateway_workers_ejected",
                                          "Workers out of the choice, over all threads.", labels);
  const auto prefix_tokens = [&](const char* kind) {
    Labels with_kind = labels;
    with_kind.emplace("kind", kind);
    return &registry_.counter("tidegate_gateway_prefix_tokens_total",
                              "Prompt tokens in the chosen worker's cache: as the gateway believed, and as it was.",
                              with_kind);
  };
  made.prefix_tokens_believed = prefix_tokens("believed");
  made.prefix_tokens_found = prefix_tokens("found");
  made.fairness_gap_tokens = &registry_.gauge("tidegate_gateway_fairness_gap_tokens",
                                              "Weighted tokens between the most and the least served tenant that wait; "
                                              "summed over threads.", labels);
  made.fairness_bound_tokens = &registry_.gauge("tidegate_gateway_fairness_bound_tokens",
                                                "What the gap may be at most; summed over threads.", labels);
  made.fairness_violations = &registry_.counter("tidegate_gateway_fairness_violations_total",
                                                "Times the gap was over its bound: stays 0.", labels);
  made.arm_passed_on = &registry_.counter("tidegate_gateway_arm_passed_on_total",
                                          "Requests given to another arm because the one whose turn it was had no room.",
                                          labels);
  return pools_.emplace(std::move(key), made).first->second;
}

Counter& GatewayMetrics::arm_requests(const std::string& model, const std::string& arm) {
  constexpr std::size_t kArmsMax = 256;  // every edit of a deployment makes one
  std::string key = model;
  key.append(1, '\0').append(arm);
  if (const auto found = arms_.find(key); found != arms_.end()) return *found->second;
  const bool is_full = arms_.size() >= kArmsMax;
  Counter& counter = registry_.counter("tidegate_gateway_arm_requests_total",
                                       "Requests of models whose traffic is divided, by the arm that got them.",
                                       {{"model", is_full ? "other" : model}, {"arm", is_full ? "other" : arm}});
  if (!is_full) arms_.emplace(std::move(key), &counter);
  return counter;
}

Counter& GatewayMetrics::requests(const std::string& model, std::string_view surface, int status) {
  std::string key = model;
  key.append(1, '\0').append(surface).append(1, '\0').append(std::to_string(status));
  if (const auto found = requests_.find(key); found != requests_.end()) return *found->second;
  Counter& counter = registry_.counter("tidegate_gateway_requests_total",
                                       "Requests ended, by HTTP status (499: the client left).",
                                       {{"model", model}, {"surface", std::string(surface)}, {"status", std::to_string(status)}});
  requests_.emplace(std::move(key), &counter);
  return counter;
}

Counter& GatewayMetrics::refusals(std::string_view reason) {
  if (std::ranges::find(kReasons, reason) == kReasons.end()) reason = "other";
  if (const auto found = refusals_.find(reason); found != refusals_.end()) return *found->second;
  Counter& counter = registry_.counter("tidegate_gateway_refusals_total", "Requests refused or failed, by reason.",
                                       {{"reason", std::string(reason)}});
  refusals_.emplace(std::string(reason), &counter);
  return counter;
}

Counter& GatewayMetrics::cancelled(CancelPhase phase) { return cancelled_counter(registry_, phase); }

}  // namespace tidegate::gateway
