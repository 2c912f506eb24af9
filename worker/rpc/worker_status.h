#pragma once

#include <atomic>
#include <cstdint>

#include "tidegate/v1/fleet.pb.h"
#include "worker/backend/load_progress.h"
#include "worker/host/engine_thread.h"
#include "worker/rpc/term_fence.h"
#include "worker/rpc/worker_facts.h"

namespace tidegate::worker {

/// What the scheduler is told, put together at the moment of telling. Thread-safe.
class WorkerStatus {
 public:
  WorkerStatus(WorkerFacts facts, TermFence& fence) : facts_(std::move(facts)), fence_(fence) {}

  const WorkerFacts& facts() const { return facts_; }
  /// The model is loaded. `engine` outlives this.
  void set_ready(const EngineThread& engine) {
    engine_ = &engine;
    state_ = v1::WORKER_STATE_READY;
  }
  /// Before reports are asked for; outlives this.
  void set_progress(const LoadProgress& progress) { progress_ = &progress; }
  void set_state(v1::WorkerState state) { state_ = state; }
  v1::WorkerState state() const { return state_; }
  /// What a ready worker serves is gone, or back. False: nothing changed, for it was so, or a drain has begun.
  bool set_serving(bool is_serving) {
    v1::WorkerState expected = is_serving ? v1::WORKER_STATE_LOADING : v1::WORKER_STATE_READY;
    return state_.compare_exchange_strong(expected, is_serving ? v1::WORKER_STATE_READY : v1::WORKER_STATE_LOADING);
  }

  v1::WorkerReport report() const;

 private:
  const WorkerFacts facts_;
  TermFence& fence_;
  const LoadProgress* progress_ = nullptr;
  std::atomic<const EngineThread*> engine_ = nullptr;
  std::atomic<v1::WorkerState> state_ = v1::WORKER_STATE_LOADING;
};

}  // namespace tidegate::worker
