#include "scheduler/rpc/plan_messages.h"

namespace tidegate::scheduler {

namespace {

void write_option(const PlanOption& option, v1::PlanOption& out) {
  out.set_region(option.region);
  out.set_pool(option.pool);
  out.set_accelerator(option.accelerator);
  out.set_variant(option.variant);
  out.set_layout(option.layout);
  out.set_accelerators(option.accelerators);
  out.set_replicas(option.replicas);
  out.set_price_micros_per_hour(option.price_micros_per_hour);
  out.set_context_max(option.context_max);
  out.set_concurrency(option.concurrency);
  out.set_kv_tokens(option.kv_tokens);
  out.set_prefill_tokens_per_s(option.prefill_tokens_per_s);
  out.set_decode_tokens_per_s(option.decode_tokens_per_s);
  out.set_decode_tokens_per_s_each(option.decode_tokens_per_s_each);
  out.set_speed_from(option.speed_from);
  out.set_ready_s(option.ready_s);
  out.set_ready_from(option.ready_from);
  out.set_weights_bytes(option.weights_bytes);
  out.set_can_deploy(option.can_deploy);
  for (const std::string& note : option.notes) out.add_notes(note);
}

}  // namespace

PlanRequest read_plan_request(const v1::PlanDeploymentRequest& message) {
  PlanRequest request;
  request.model = message.model();
  request.variant = message.variant();
  request.region = message.region();
  request.pool = message.pool();
  request.context = message.context();
  request.replicas = message.replicas() == 0 ? 1 : message.replicas();
  request.sequences_max = message.sequences_max();
  request.is_dedicated = message.dedicated();
  return request;
}

v1::DeploymentPlan to_message(const DeploymentPlan& plan) {
  v1::DeploymentPlan message;
  message.set_model(plan.model);
  message.set_context(plan.context);
  message.set_currency("USD");
  for (const PlanOption& option : plan.options) write_option(option, *message.add_options());
  for (const PlanRefusal& refusal : plan.refusals) {
    auto* out = message.add_refusals();
    out->set_region(refusal.region);
    out->set_pool(refusal.pool);
    out->set_variant(refusal.variant);
    out->set_reason(refusal.reason);
    out->set_message(refusal.message);
  }
  return message;
}

}  // namespace tidegate::scheduler
