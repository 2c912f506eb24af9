#include "scheduler/rpc/fleet_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tidegate::scheduler {

namespace {

constexpr std::size_t kTextMax = 512;

WorkerState read_state(v1::WorkerState state) {
  switch (state) {
    case v1::WORKER_STATE_READY: return WorkerState::kReady;
    case v1::WORKER_STATE_DRAINING: return WorkerState::kDraining;
    case v1::WORKER_STATE_FAILED: return WorkerState::kFailed;
    default: return WorkerState::kLoading;
  }
}

v1::WorkerState to_state(WorkerState state) {
  switch (state) {
    case WorkerState::kLoading: return v1::WORKER_STATE_LOADING;
    case WorkerState::kReady: return v1::WORKER_STATE_READY;
    case WorkerState::kDraining: return v1::WORKER_STATE_DRAINING;
    case WorkerState::kFailed: return v1::WORKER_STATE_FAILED;
  }
  return v1::WORKER_STATE_UNSPECIFIED;
}

Status check_text(const std::string& text, bool may_be_empty, const char* field) {
  if (text.size() <= kTextMax && (may_be_empty || !text.empty())) return {};
  return fail(Code::kInvalidArgument, "bad_report", fmt::format("'{}' must be 1 to {} bytes", field, kTextMax), field);
}

template <typename Integer>
void take_given(Integer given, Integer& out) {
  if (given != 0) out = given;
}

AutoscalePolicy read_policy(const v1::AutoscalePolicy& message) {
  AutoscalePolicy policy;
  policy.is_on = true;
  policy.replicas_min = message.replicas_min();
  policy.replicas_max = message.replicas_max();
  take_given(message.target_utilisation_percent(), policy.target_utilisation_percent);
  take_given(message.queue_wait_ms(), policy.queue_wait_ms);
  take_given(message.down_after_s(), policy.down_after_s);
  take_given(message.idle_s(), policy.idle_s);
  take_given(message.time_to_ready_s(), policy.time_to_ready_s);
  policy.prompt_tokens_per_s = message.prompt_tokens_per_s();
  policy.price_micros_per_hour = message.price_micros_per_hour();
  policy.budget_micros_per_hour = message.budget_micros_per_hour();
  policy.batch_surplus = message.batch_surplus();
  if (!message.zone().empty()) policy.zone = message.zone();
  for (const auto& window : message.windows()) {
    // Beyond its seven bits check_autoscale() refuses it.
    policy.windows.push_back({.weekdays = static_cast<std::uint8_t>(std::min<std::uint32_t>(window.weekdays(), 0xff)),
                              .start_minute = window.start_minute(),
                              .end_minute = window.end_minute(),
                              .replicas_min = window.replicas_min()});
  }
  return policy;
}

PlacementPolicy read_placement(const v1::PlacementPolicy& message) {
  PlacementPolicy policy;
  policy.is_on = true;
  policy.regions.assign(message.regions().begin(), message.regions().end());
  policy.pools.assign(message.pools().begin(), message.pools().end());
  take_given(message.lost_after_s(), policy.lost_after_s);
  return policy;
}

void write_placement(const PlacementPolicy& policy, v1::PlacementPolicy& message) {
  for (const std::string& region : policy.regions) message.add_regions(region);
  for (const std::string& pool : policy.pools) message.add_pools(pool);
  message.set_lost_after_s(policy.lost_after_s);
}

void write_policy(const AutoscalePolicy& policy, v1::AutoscalePolicy& message) {
  message.set_replicas_min(policy.replicas_min);
  message.set_replicas_max(policy.replicas_max);
  message.set_target_utilisation_percent(policy.target_utilisation_percent);
  message.set_queue_wait_ms(policy.queue_wait_ms);
  message.set_down_after_s(policy.down_after_s);
  message.set_idle_s(policy.idle_s);
  message.set_time_to_ready_s(policy.time_to_ready_s);
  message.set_prompt_tokens_per_s(policy.prompt_tokens_per_s);
  message.set_price_micros_per_hour(policy.price_micros_per_hour);
  message.set_budget_micros_per_hour(policy.budget_micros_per_hour);
  message.set_batch_surplus(policy.batch_surplus);
  message.set_zone(policy.zone);
  for (const AutoscaleWindow& window : policy.windows) {
    auto* out = message.add_windows();
    out->set_weekdays(window.weekdays);
    out->set_start_minute(window.start_minute);
    out->set_end_minute(window.end_minute);
    out->set_replicas_min(window.replicas_min);
  }
}

}  // namespace

Result<DemandReport> read_demand(const v1::DemandReport& message) {
  TG_TRY(check_text(message.gateway_id(), false, "gateway_id"));
  DemandReport report;
  report.gateway_id = message.gateway_id();
  report.epoch = message.epoch();
  for (const auto& from : message.pools()) {
    TG_TRY(check_text(from.model(), false, "pools.model"));
    TG_TRY(check_text(from.region(), true, "pools.region"));
    TG_TRY(check_text(from.pool(), true, "pools.pool"));
    PoolDemand demand;
    demand.model = from.model();
    demand.region = from.region();
    demand.pool = from.pool();
    demand.arrivals_total = from.arrivals_total();
    demand.dispatches_total = from.dispatches_total();
    demand.refusals_total = from.refusals_total();
    demand.prompt_tokens_total = from.prompt_tokens_total();
    demand.waiting = std::max<std::int64_t>(from.waiting(), 0);
    demand.oldest_wait = std::chrono::milliseconds(std::clamp<std::int64_t>(from.oldest_wait_ms(), 0, 86'400'000));
    report.pools.push_back(std::move(demand));
  }
  return report;
}

void add_autoscale(v1::Deployment& message, std::int32_t replicas_wanted, const AutoscaleDecision* decision) {
  message.set_replicas_wanted(replicas_wanted);
  if (decision == nullptr) return;
  message.set_autoscale_cause(std::string(autoscale_cause_name(decision->cause)));
  message.set_autoscale_why(decision->why);
}

Result<WorkerReport> read_report(const v1::WorkerReport& message) {
  TG_TRY(check_text(message.worker_id(), false, "worker_id"));
  TG_TRY(check_text(message.address(), false, "address"));
  TG_TRY(check_text(message.model(), false, "model"));
  TG_TRY(check_text(message.replica(), true, "replica"));
  TG_TRY(check_text(message.deployment(), true, "deployment"));
  TG_TRY(check_text(message.region(), false, "region"));
  TG_TRY(check_text(message.pool(), false, "pool"));
  WorkerReport report;
  report.worker_id = message.worker_id();
  report.deployment = message.deployment();
  report.replica = message.replica();
  report.address = message.address();
  report.model = message.model();
  report.variant = message.variant();
  report.engine = message.engine();
  report.weights_digest = message.weights_digest();
  report.region = message.region();
  report.pool = message.pool();
  report.state = read_state(message.state());
  report.context_max = message.context_max();
  report.sequences_max = message.sequences_max();
  report.sequences_running = message.sequences_running();
  report.kv_tokens_used = message.kv_tokens_used();
  report.kv_tokens_capacity = message.kv_tokens_capacity();
  report.term_seen = message.term_seen();
  report.steps_total = message.steps_total();
  report.prompt_tokens_total = message.prompt_tokens_total();
  report.completion_tokens_total = message.completion_tokens_total();
  TG_TRY(check_text(message.phase(), true, "phase"));
  report.phase = message.phase();
  report.phase_bytes = message.phase_bytes();
  report.phase_bytes_total = message.phase_bytes_total();
  report.phase_ms = message.phase_ms();
  report.load_ms = message.load_ms();
  return report;
}

v1::WorkerReport to_message(const WorkerReport& report) {
  v1::WorkerReport message;
  message.set_worker_id(report.worker_id);
  message.set_deployment(report.deployment);
  message.set_replica(report.replica);
  message.set_address(report.address);
  message.set_model(report.model);
  message.set_variant(report.variant);
  message.set_engine(report.engine);
  message.set_weights_digest(report.weights_digest);
  message.set_region(report.region);
  message.set_pool(report.pool);
  message.set_state(to_state(report.state));
  message.set_context_max(report.context_max);
  message.set_sequences_max(report.sequences_max);
  message.set_sequences_running(report.sequences_running);
  message.set_kv_tokens_used(report.kv_tokens_used);
  message.set_kv_tokens_capacity(report.kv_tokens_capacity);
  message.set_term_seen(report.term_seen);
  message.set_steps_total(report.steps_total);
  message.set_prompt_tokens_total(report.prompt_tokens_total);
  message.set_completion_tokens_total(report.completion_tokens_total);
  message.set_phase(report.phase);
  message.set_phase_bytes(report.phase_bytes);
  message.set_phase_bytes_total(report.phase_bytes_total);
  message.set_phase_ms(report.phase_ms);
  message.set_load_ms(report.load_ms);
  return message;
}

v1::Routes to_message(const RouteSnapshot& snapshot) {
  v1::Routes message;
  message.set_term(snapshot.term);
  message.set_version(snapshot.version);
  for (const Route& route : snapshot.routes) {
    auto* out = message.add_routes();
    out->set_worker_id(route.worker_id);
    out->set_address(route.address);
    out->set_model(route.model);
    out->set_variant(route.variant);
    out->set_engine(route.engine);
    out->set_weights_digest(route.weights_digest);
    out->set_region(route.region);
    out->set_pool(route.pool);
    out->set_context_max(route.context_max);
    out->set_sequences_max(route.sequences_max);
    out->set_draining(route.draining);
    out->set_arm(route.arm);
  }
  for (const TrafficShare& share : snapshot.shares) {
    auto* out = message.add_shares();
    out->set_model(share.model);
    out->set_region(share.region);
    out->set_pool(share.pool);
    out->set_arm(share.arm);
    out->set_weight(share.weight);
  }
  for (const auto& model : snapshot.models) message.add_models(model);
  for (const Offer& offer : snapshot.offers) {
    auto* out = message.add_offers();
    out->set_model(offer.model);
    out->set_region(offer.region);
    out->set_pool(offer.pool);
    out->set_context_max(offer.context_max);
  }
  return message;
}

Deployment read_deployment(const v1::Deployment& message) {
  Deployment deployment;
  deployment.name = message.name();
  deployment.model = message.model();
  deployment.variant = message.variant();
  if (!message.region().empty()) deployment.region = message.region();
  if (!message.pool().empty()) deployment.pool = message.pool();
  deployment.replicas = message.replicas();
  deployment.threads = message.threads();
  deployment.sequences_max = message.sequences_max();
  deployment.options.assign(message.options().begin(), message.options().end());
  if (message.has_autoscale()) deployment.autoscale = read_policy(message.autoscale());
  if (message.has_placement()) deployment.placement = read_placement(message.placement());
  deployment.serves = message.serves();
  deployment.rollout.steps.assign(message.rollout_steps().begin(), message.rollout_steps().end());
  deployment.rollout.hold_s = message.rollout_hold_s();
  return deployment;
}

v1::Deployment to_message(const Deployment& deployment, const DeploymentStatus& status) {
  v1::Deployment message;
  message.set_name(deployment.name);
  message.set_model(deployment.model);
  message.set_variant(deployment.variant);
  message.set_region(deployment.region);
  message.set_pool(deployment.pool);
  message.set_replicas(deployment.replicas);
  message.set_threads(deployment.threads);
  message.set_sequences_max(deployment.sequences_max);
  for (const auto& option : deployment.options) message.add_options(option);
  if (deployment.autoscale.is_on) write_policy(deployment.autoscale, *message.mutable_autoscale());
  if (deployment.placement.is_on) write_placement(deployment.placement, *message.mutable_placement());
  message.set_replicas_ready(status.replicas_ready);
  message.set_status(std::string(phase_name(status.phase)));
  message.set_message(status.message);
  message.set_created_us(unix_micros(deployment.created_at));
  message.set_serves(deployment.serves);
  message.set_revision(deployment.revision);
  message.set_drained(deployment.is_drained);
  message.set_can_roll_back(deployment.previous.has_value() || deployment.rollout.phase != RolloutPhase::kNone);
  message.set_version(deployment.version);
  return message;
}

void add_rollout(v1::Deployment& message, const Deployment& deployment, const RolloutTargets& targets,
                 std::int32_t candidate_ready) {
  const Rollout& rollout = deployment.rollout;
  if (rollout.phase == RolloutPhase::kNone) return;
  auto* out = message.mutable_rollout();
  out->set_revision(rollout.revision);
  out->set_phase(std::string(rollout_phase_name(rollout.phase)));
  out->set_model(rollout.spec.model);
  out->set_variant(rollout.spec.variant);
  out->set_region(rollout.spec.region);
  out->set_pool(rollout.spec.pool);
  out->set_threads(rollout.spec.threads);
  out->set_sequences_max(rollout.spec.sequences_max);
  for (const std::string& option : rollout.spec.options) out->add_options(option);
  for (const std::int32_t step : rollout.steps) out->add_steps(step);
  out->set_hold_s(rollout.hold_s);
  out->set_done(rollout.done);
  out->set_share_percent(targets.share_percent.value_or(0));
  out->set_replicas_wanted(targets.candidate);
  out->set_replicas_ready(candidate_ready);
  out->set_why(rollout.why);
  out->set_since_us(unix_micros(rollout.since));
}

v1::ReplicaProgress to_message(const ReplicaProgress& progress) {
  v1::ReplicaProgress message;
  message.set_replica(progress.replica);
  message.set_revision(progress.revision);
  message.set_phase(progress.phase);
  message.set_bytes(progress.bytes);
  message.set_bytes_total(progress.bytes_total);
  message.set_ms(progress.ms);
  message.set_message(progress.message);
  message.set_worker_id(progress.worker_id);
  message.set_variant(progress.variant);
  message.set_weights_digest(progress.weights_digest);
  return message;
}

v1::CatalogueModel to_message(const CatalogueModel& model) {
  v1::CatalogueModel message;
  message.set_name(model.name);
  message.set_architecture(model.architecture);
  message.set_context_max(model.context_max);
  message.set_licence(model.licence);
  for (const auto& variant : model.variants) {
    auto* out = message.add_variants();
    out->set_name(variant.name);
    out->set_precision(variant.precision);
    out->set_path(variant.path);
    out->set_parameters(variant.parameters);
    out->set_weight_bytes(variant.weight_bytes);
    out->set_kv_bytes_per_token(variant.kv_bytes_per_token);
    out->set_weights_digest(variant.weights_digest);
    out->set_engine(variant.engine);
    if (!model.shape) continue;
    for (const Layout& layout : layouts_allowed(*model.shape, variant)) out->add_layouts(layout.to_string());
    out->set_kv_precision(std::string(kv_precision_name(variant.kv)));
  }
  for (const std::string_view name : capability_names(model.capabilities)) message.add_capabilities(std::string(name));
  message.set_parameters_published(model.parameters_published);
  message.set_active_published(model.active_published);
  for (const std::string& each : model.unknown) message.add_unknown(each);
  return message;
}

v1::WorkerInfo to_message(const WorkerTable::Worker& worker, Mono now, std::int32_t restarts) {
  v1::WorkerInfo message;
  *message.mutable_report() = to_message(worker.report);
  message.set_last_seen_ms_ago(in_millis(now - worker.last_seen));
  message.set_restarts(restarts);
  return message;
}

}  // namespace tidegate::scheduler
