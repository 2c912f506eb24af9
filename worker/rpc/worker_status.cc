#include "worker/rpc/worker_status.h"

namespace tidegate::worker {

v1::WorkerReport WorkerStatus::report() const {
  v1::WorkerReport report;
  report.set_worker_id(facts_.worker_id);
  report.set_deployment(facts_.deployment);
  report.set_replica(facts_.replica);
  report.set_address(facts_.address);
  report.set_model(facts_.model);
  report.set_variant(facts_.variant);
  report.set_engine(facts_.engine);
  report.set_region(facts_.region);
  report.set_pool(facts_.pool);
  report.set_state(state_);
  report.set_term_seen(fence_.newest());
  if (const EngineThread* engine = engine_) {
    const EngineFacts& facts = engine->facts();
    const EngineLoad load = engine->load();
    report.set_weights_digest(facts.weights_digest);
    report.set_context_max(facts.context_max);
    report.set_sequences_max(facts.sequences_max);
    report.set_sequences_running(load.sequences_running);
    report.set_kv_tokens_used(load.kv_tokens_used);
    report.set_kv_tokens_capacity(facts.kv_tokens_capacity);
    report.set_steps_total(load.steps_total);
    report.set_prompt_tokens_total(load.prompt_tokens_total);
    report.set_completion_tokens_total(load.completion_tokens_total);
  }
  return report;
}

}  // namespace tidegate::worker
