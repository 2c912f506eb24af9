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
  /// Subgradient ascent; keeps the best prices met. Returns evaluations done.
  std::int64_t ascend(std::int64_t evaluations_max, const std::function<bool()>& is_time_up);
  /// The same prices in finer steps of throughput: the bound rises where rounding hid something.
  void refine(const std::function<bool()>& is_time_up);

  const Prices& prices() const { return best_; }
  Micros value() const;

 private:
  struct Values {
    Micros total = 0;
    std::vector<Micros> needs;
    std::vector<double> pool_use;  ///< GPUs
    std::vector<double> quota_use;
  };
  void evaluate(const Prices& prices, Values& out);
  /// With `use` the choice is counted and coarse, without it as fine as can be.
  Micros evaluate_need(const Need& need, const Prices& prices, Values* use);
  Micros paid_for_capacity(const Prices& prices) const;

  const Model& model_;
  Cover cover_;
  Prices best_;
  std::vector<Micros> best_needs_;
  Micros price_max_ = 0;
  bool is_evaluated_ = false;
  // Buffers of evaluate_need.
  std::vector<CoverItem> items_;
  std::vector<const Option*> sources_;
  std::vector<std::int64_t> counts_;
  std::vector<double> bought_;
};

}  // namespace tidegate::scheduler::placement
