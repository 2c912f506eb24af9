#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "base/core/clock.h"
#include "scheduler/core/fleet_types.h"

namespace tidegate::scheduler {

/// What replicas of a variant were seen to do in one pool.
struct MeasuredSpeed {
  double prefill_tokens_per_s = 0;  ///< the best between two reports; 0: not seen
  double decode_tokens_per_s = 0;
  std::int64_t load_ms = 0;  ///< the newest, from start to ready; 0: not seen
  std::int32_t sequences_max = 0;
  std::int64_t kv_tokens = 0;
};

/// By what workers report of themselves: model, variant, region, pool.
using SpeedKey = std::tuple<std::string, std::string, std::string, std::string>;
using MeasuredSpeeds = std::map<SpeedKey, MeasuredSpeed>;

/// Gathers them from reports. Half a second of work is the shortest that counts.
class SpeedLog {
 public:
  static constexpr std::size_t kVariantsMax = 4096;

  /// `before`: the worker's report of `span` ago, or null.
  void note(const WorkerReport& report, const WorkerReport* before, Duration span);
  void clear() { speeds_.clear(); }
  const MeasuredSpeeds& speeds() const { return speeds_; }

 private:
  MeasuredSpeeds speeds_;
};

}  // namespace tidegate::scheduler
