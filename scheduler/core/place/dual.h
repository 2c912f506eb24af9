#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "scheduler/core/place/cover.h"
#include "scheduler/core/place/model.h"

namespace tidegate::scheduler::placement {

/// What scarcity adds to the price of a GPU over the horizon. Not negative.
struct Prices {
  std::vector<Micros> pools;
  std::vector<Micros> quotas;
};

/// The Lagrangian dual: capacity and quotas are given up for prices, then each demand is solved on its own. For any
/// prices the value is a lower bound on every plan, and it is computed in whole numbers, so the bound holds to the
/// last micro. Left out of the bound (which only makes it lower): nodes within a pool, and which domain a replica is in.
class Dual {
 public:
  explicit Dual(const Model& model);

  /// Starts from known prices (a previous plan's), cut to what is allowed. Sizes as the problem's, or nothing happens.
  void start_from(const std::vector<Micros>& pools, const std::vector<Micros>& quotas);
  /// Subgradient ascent, first in coarse steps of throughput, then in fine ones; keeps the best prices met. Returns
  /// evaluations done.
  std::int64_t ascend(std::int64_t coarse_max, std::int64_t fine_max, const std::function<bool()>& is_coarse_over,
                      const std::function<bool()>& is_time_up);
  /// The same prices in finer steps of throughput: the bound rises where rounding hid something.
  void refine(const std::function<bool()>& is_time_up);

  const Prices& prices() const { return best_; }
  /// Replicas of each need by option, as the fine ascent's choices were on average: near the best plan with parts of
  /// replicas, where its prices waver between two choices. Empty when there was no fine ascent.
  const std::vector<std::vector<double>>& mean_choice() const { return mean_; }
  /// What each need pays at least under prices(), scarcity included.
  const std::vector<Micros>& needs_least() const { return best_needs_; }
  Micros value() const;

 private:
  struct Chosen {
    std::size_t need = 0;
    std::size_t option = 0;
    double count = 0;
  };
  struct Values {
    std::vector<Chosen> chosen;
    Micros total = 0;
    std::vector<Micros> needs;
    std::vector<double> pool_use;  ///< GPUs
    std::vector<double> quota_use;
  };

  /// How finely throughput is cut: steps for each replica that is likely bought, and at most.
  struct Fineness {
    std::int64_t steps_a_replica;
    std::int64_t steps_most;
  };
  void evaluate(const Prices& prices, Fineness fineness, Values& out);
  static constexpr Fineness kCoarse{16, 384};
  static constexpr Fineness kFine{96, 2304};
  static constexpr Fineness kRefining{256, 12288};
  Micros evaluate_need(const Need& need, const Prices& prices, Fineness fineness, Values* use);
  std::int64_t ascend(std::int64_t evaluations_max, Fineness fineness, double gap_share, const std::function<bool()>& is_time_up);
  void average(const Values& values, double weight);
  void drop_dominated(const Need& need);
  Micros paid_for_capacity(const Prices& prices) const;

  const Model& model_;
  Cover cover_;
  Prices best_;
  std::vector<std::vector<double>> mean_;
  std::vector<Micros> best_needs_;
  Micros price_max_ = 0;
  bool is_evaluated_ = false;
  // Buffers of evaluate_need.
  std::vector<CoverItem> items_;
  std::vector<const Option*> sources_;
  std::vector<std::int64_t> counts_;
  std::vector<double> bought_;
  std::vector<char> is_dominated_;
};

}  // namespace tidegate::scheduler::placement
