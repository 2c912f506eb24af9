#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "scheduler/core/fleet_types.h"

namespace tidegate::scheduler {

/// Holds the prediction of KV memory against what workers really allocated. Each worker is judged once, by its first
/// report as ready: what it allocates never changes after that. One thread.
class FitCheck {
 public:
  /// Beyond this share of the prediction a person should hear of it.
  static constexpr double kToleranceRatio = 0.02;

  struct Finding {
    std::int64_t predicted = 0;
    std::int64_t allocated = 0;
    double error_ratio = 0;  ///< (allocated - predicted) / predicted
    bool is_off() const { return error_ratio > kToleranceRatio || error_ratio < -kToleranceRatio; }
    std::string to_string() const;
  };

  bool has_judged(const std::string& worker_id) const { return findings_.contains(worker_id); }
  /// nullopt when the worker is not ready, tells no capacity, was judged before, or there is no prediction (0).
  std::optional<Finding> judge(const std::string& worker_id, WorkerState state, std::int64_t allocated,
                               std::int64_t predicted);
  void forget(const std::string& worker_id) { findings_.erase(worker_id); }
  void clear() { findings_.clear(); }
  /// Worst of all workers known, without its sign; 0 when none was judged.
  double worst_error_ratio() const;

 private:
  std::map<std::string, Finding> findings_;  ///< by worker id
};

}  // namespace tidegate::scheduler
