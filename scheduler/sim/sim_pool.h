#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <string>
#include <vector>

#include "scheduler/core/demand_book.h"
#include "scheduler/sim/traffic.h"

namespace tidegate::scheduler {

/// How fast a replica is. Prompts are read one after another, answers are written side by side.
struct ReplicaSpeed {
  std::int32_t slots = 64;  ///< sequences at once
  std::int64_t kv_tokens = 1'000'000;
  double prefill_tokens_per_s = 8'000;
  double itl_ms = 20;                 ///< between two tokens of a lonely sequence
  double itl_ms_per_sequence = 0.25;  ///< more for each that runs beside it
};

/// The requests of one deployment, in a queue and on its replicas. Time is given; nothing happens between the calls.
class SimPool {
 public:
  struct Limits {
    double ttft_slo_s = 2;
    double wait_max_s = 60;  ///< as the gateway's: refused then
  };
  struct Counts {
    std::int64_t arrivals = 0;
    std::int64_t served = 0;  ///< first token written
    std::int64_t refused = 0;
    std::int64_t in_time = 0;  ///< first token within the target
    double ttft_sum_s = 0;
  };
  struct Replica {
    double ready_at_s = 0;
    bool is_draining = false;
    double prefill_free_s = 0;
    std::int32_t running = 0;
    std::int64_t kv_tokens = 0;
  };

  SimPool(ReplicaSpeed speed, Limits limits, Traffic traffic)
      : speed_(speed), limits_(limits), traffic_(std::move(traffic)) {}

  void add(const std::string& replica, double ready_at_s) { replicas_[replica] = Replica{.ready_at_s = ready_at_s}; }
  /// Takes nothing new.
  void drain(const std::string& replica) { replicas_.at(replica).is_draining = true; }
  /// What it had is lost: for crashes; after a drain it has nothing.
  void remove(const std::string& replica) { replicas_.erase(replica); }
  const std::map<std::string, Replica>& replicas() const { return replicas_; }
  bool is_ready(const Replica& replica, double now_s) const { return replica.ready_at_s <= now_s; }

  /// Everything up to that instant.
  void advance(double until_s);
  /// As a gateway would report it.
  PoolDemand demand(double now_s) const;
  const Counts& counts() const { return counts_; }
  const ReplicaSpeed& speed() const { return speed_; }

 private:
  struct Waiting {
    double since_s = 0;
    std::int32_t prompt_tokens = 0;
    std::int32_t completion_tokens = 0;
  };
  struct End {
    double at_s = 0;
    std::string replica;
    std::int64_t kv_tokens = 0;
    bool operator>(const End& other) const { return at_s > other.at_s; }
  };
  void dispatch(double now_s);
  void expire(double now_s);

  ReplicaSpeed speed_;
  Limits limits_;
  Traffic traffic_;
  std::map<std::string, Replica> replicas_;
  std::deque<Waiting> queue_;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  Counts counts_;
  std::int64_t dispatched_ = 0;
  std::int64_t prompt_tokens_ = 0;
};

}  // namespace tidegate::scheduler
