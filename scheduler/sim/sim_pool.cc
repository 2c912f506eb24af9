#include "scheduler/sim/sim_pool.h"

#include <algorithm>

namespace tidegate::scheduler {

void SimPool::advance(double until_s) {
  for (;;) {
    const double arrival = traffic_.peek().at_s;
    const double end = ends_.empty() ? until_s + 1 : ends_.top().at_s;
    const double next = std::min(arrival, end);
    if (next > until_s) break;
    if (end <= arrival) {
      const auto found = replicas_.find(ends_.top().replica);
      if (found != replicas_.end()) {
        --found->second.running;
        found->second.kv_tokens -= ends_.top().kv_tokens;
      }
      ends_.pop();
    } else {
      const Traffic::Arrival request = traffic_.take();
      ++counts_.arrivals;
      prompt_tokens_ += request.prompt_tokens;
      queue_.push_back({request.at_s, request.prompt_tokens, request.completion_tokens});
    }
    dispatch(next);
  }
  expire(until_s);
  dispatch(until_s);  // a replica may have become ready since the last event
}

/// Late binding: a request leaves the queue when a replica has a slot, to the one that will read it first.
void SimPool::dispatch(double now_s) {
  while (!queue_.empty()) {
    const Waiting& head = queue_.front();
    const std::int64_t tokens = head.prompt_tokens + head.completion_tokens;
    std::pair<const std::string, Replica>* best = nullptr;
    for (auto& entry : replicas_) {
      const Replica& replica = entry.second;
      if (replica.is_draining || !is_ready(replica, now_s) || replica.running >= speed_.slots) continue;
      if (replica.running > 0 && replica.kv_tokens + tokens > speed_.kv_tokens) continue;
      if (best == nullptr || replica.prefill_free_s < best->second.prefill_free_s) best = &entry;
    }
    if (best == nullptr) return;
    Replica& replica = best->second;
    const double begun = std::max(now_s, replica.prefill_free_s);
    const double first = begun + head.prompt_tokens / speed_.prefill_tokens_per_s;
    replica.prefill_free_s = first;
    ++replica.running;
    replica.kv_tokens += tokens;
    ++dispatched_;
    const double itl_s = (speed_.itl_ms + speed_.itl_ms_per_sequence * replica.running) / 1000;
    ends_.push({first + itl_s * head.completion_tokens, best->first, tokens});
    const double ttft = first - head.since_s;
    ++counts_.served;
    counts_.in_time += ttft <= limits_.ttft_slo_s ? 1 : 0;
    counts_.ttft_sum_s += ttft;
    queue_.pop_front();
  }
}

void SimPool::expire(double now_s) {
  while (!queue_.empty() && now_s - queue_.front().since_s > limits_.wait_max_s) {
    queue_.pop_front();
    ++counts_.refused;
  }
}

PoolDemand SimPool::demand(double now_s) const {
  PoolDemand demand;
  demand.arrivals_total = counts_.arrivals;
  demand.dispatches_total = dispatched_;
  demand.refusals_total = counts_.refused;
  demand.prompt_tokens_total = prompt_tokens_;
  demand.waiting = static_cast<std::int64_t>(queue_.size());
  if (!queue_.empty()) {
    demand.oldest_wait =
        std::chrono::duration_cast<Duration>(std::chrono::duration<double>(now_s - queue_.front().since_s));
  }
  return demand;
}

}  // namespace tidegate::scheduler
