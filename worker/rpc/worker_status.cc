#include "worker/rpc/worker_status.h"

#include <string>

namespace tidegate::worker {

namespace {

std::int64_t millis(Duration span) { return std::chrono::duration_cast<std::chrono::milliseconds>(span).count(); }

}  // namespace

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
  if (progress_ != nullptr) {
    const LoadProgress::View view = progress_->view();
    report.set_phase(std::string(load_phase_name(view.phase)));
    report.set_phase_bytes(view.bytes);
    report.set_phase_bytes_total(view.bytes_total);
    report.set_phase_ms(millis(view.in_phase));
    report.set_load_ms(millis(view.until_healthy));
  }
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
