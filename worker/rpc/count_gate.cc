#include "worker/rpc/count_gate.h"

#include <utility>

namespace tidegate::worker {

CountGate::Place::Place(std::shared_ptr<CountGate> gate, std::size_t bytes) : gate_(std::move(gate)), bytes_(bytes) {}

CountGate::Place::Place(Place&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)), bytes_(other.bytes_) {}

CountGate::Place::~Place() {
  if (gate_ != nullptr) gate_->leave(bytes_);
}

std::shared_ptr<CountGate> CountGate::create(CountLimits limits, const WorkerMetrics& metrics) {
  return std::shared_ptr<CountGate>(new CountGate(limits, metrics));
}

std::optional<CountGate::Place> CountGate::enter(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const bool is_alone = prompts_ == 0;
  const bool fits = bytes <= limits_.bytes_max && bytes_ <= limits_.bytes_max - bytes;
  if (prompts_ >= limits_.prompts_max || !(is_alone || fits)) {
    metrics_.counts_refused.add();
    return std::nullopt;
  }
  ++prompts_;
  bytes_ += bytes;
  metrics_.counts_waiting.set(static_cast<double>(prompts_));
  return Place(shared_from_this(), bytes);
}

void CountGate::leave(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  --prompts_;
  bytes_ -= bytes;
  metrics_.counts_waiting.set(static_cast<double>(prompts_));
}

}  // namespace tidegate::worker
