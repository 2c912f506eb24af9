#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "scheduler/core/place/types.h"

namespace tidegate::scheduler::placement {

/// Replicas of one kind that one demand may buy.
struct CoverItem {
  std::int64_t throughput = 0;
  Micros cost = 0;  ///< of one; not negative
  std::int64_t count_max = std::numeric_limits<std::int64_t>::max();
};

struct CoverAsk {
  std::int64_t target = 0;
  std::int64_t count_min = 1;
  bool loses_one = false;  ///< the largest replica does not count
  Micros unserved_per_unit_hour = 0;
  std::int64_t horizon_s = 3600;
  // Replicas that are there already.
  std::int64_t have_throughput = 0;  ///< together
  std::int64_t have_largest = 0;
  std::int64_t have_count = 0;
};

/// What one demand should buy on its own: the cheapest multiset of replicas that covers its throughput, the rest at the
/// penalty, by dynamic programming over (replicas, throughput) in `steps` steps of throughput. With `loses_one` the
/// target grows by the largest replica bought, so items come in ascending throughput and each is tried as the largest.
/// Keeps its buffers: one object, many questions.
class Cover {
 public:
  static constexpr Micros kNone = std::numeric_limits<Micros>::max() / 4;

  /// The cost of a good choice with its penalty; its counts by item. kNone when count_min cannot be met. Steps round to
  /// the nearest: rounding always against us would buy a replica too many in a row of demands, and a token short costs
  /// only its penalty. Exact where a step is one token; otherwise what is too much is for the caller to trim.
  Micros choose(const std::vector<CoverItem>& items, const CoverAsk& ask, std::int64_t steps, std::vector<std::int64_t>& counts);
  /// No choice costs less (steps round in our favour). The counts belong to the bound, they need not cover.
  Micros bound(const std::vector<CoverItem>& items, const CoverAsk& ask, std::int64_t steps, std::vector<std::int64_t>* counts);
  /// The same with parts of replicas (a linear program, solved by ratio): loose for a few replicas, within one of them
  /// for many, and it costs next to nothing. Throughput bought of each item into `bought`. Nothing may be there already.
  Micros linear_bound(const std::vector<CoverItem>& items, const CoverAsk& ask, std::vector<double>* bought);

 private:
  struct Stage {
    std::size_t item = 0;
    std::int64_t copies = 1;  ///< bought together
    bool is_unlimited = false;
  };
  struct Best {
    Micros cost = kNone;
    std::size_t stages = 0;  ///< that were there when it was found
    std::int64_t step = 0;
  };
  template <bool kOptimistic>
  Micros solve(const std::vector<CoverItem>& items, const CoverAsk& ask, std::int64_t steps, std::vector<std::int64_t>* counts);
  template <bool kKeepsChoice>
  void run_stage(const Stage& stage, std::int64_t weight, Micros cost);

  std::vector<Micros> cost_;   ///< [count][step]: cheapest for at least that much
  std::vector<Stage> stages_;
  std::vector<std::int64_t> weights_;
  std::vector<char> taken_;    ///< [stage][count][step]
  std::vector<std::size_t> by_ratio_;
  std::int64_t counts_ = 0;    ///< rows less one
  std::int64_t steps_ = 0;     ///< columns less one
};

}  // namespace tidegate::scheduler::placement
