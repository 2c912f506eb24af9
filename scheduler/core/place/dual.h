#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "scheduler/core/place/cover.h"
#include "scheduler/core/place/master.h"
#include "scheduler/core/place/model.h"

namespace tidegate::scheduler::placement {

/// The Lagrangian dual: capacity and quotas are given up for prices, then each demand is solved on its own. For any
/// prices the value is a lower bound on every plan, and it is computed in whole numbers, so the bound holds to the
/// last micro. Why it holds, for prices p >= 0 and any plan that obeys the rules:
///  1. The plan uses of each pool and quota at most what is there, so
///     cost >= sum over needs of (cost of its replicas + p * their GPUs) - p * what is there.
///  2. No option of a need has more than Option::room replicas, as not even an empty pool holds more (nodes, GPUs on a
///     node, failure domains of groups, a quota for itself). So each term is at least the least over all choices within
///     these limits that have count_min replicas, penalty for the throughput missing included, or a refusal.
///     A refused need that holds replicas pays refusal and more: running is never cheaper than the drain it saves.
///  3. Of each size only as many of the cheapest are offered as can be of use, count_min and enough for target and the
///     largest replica: costs are not negative, so what is beyond may be left out of any choice without harm.
///  4. Cover rounds replicas up to steps and penalties down, linear_bound allows parts: neither is above that least.
/// Which prices are tried (ascend, agree) and how they were found does not matter to any of this.
/// Left out of the bound (which only makes it lower): how replicas of several sizes or demands share the nodes of a
/// pool, and which domain a replica is in.
class Dual {
 public:
  explicit Dual(const Model& model);

  /// Starts from known prices (a previous plan's), cut to what is allowed. Sizes as the problem's, or nothing happens.
  void start_from(const std::vector<Micros>& pools, const std::vector<Micros>& quotas);
  /// Subgradient ascent, first in coarse steps of throughput, then in fine ones; keeps the best prices met. Returns
  /// evaluations done.
  std::int64_t ascend(std::int64_t coarse_max, std::int64_t fine_max, const std::function<bool()>& is_coarse_over,
                      const std::function<bool()>& is_time_up);
  /// Column generation: a linear program over the choices known says what GPUs are worth, each need adds what it would
  /// choose at such prices, until they agree. Far fewer evaluations than the ascent, prices within a per mille, and a
  /// plan with hardly any parts of replicas. Returns rounds; 0 where there are too many demands, and nothing happened.
  std::int64_t agree(std::int64_t rounds_max, const std::function<bool()>& is_time_up);
  /// The same prices in finer steps of throughput: the bound rises where rounding hid something.
  void refine(const std::function<bool()>& is_time_up);

  const Prices& prices() const { return best_; }
  /// Replicas of each need by option in the best mixture of its choices: near the best plan with parts of replicas.
  /// Mostly one whole choice after agree(), a blurred mean after a fine ascent, empty without either.
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
  static constexpr Fineness kChoosing{48, 1152};
  std::int64_t list_items(const Need& need, const Prices& prices);
  CoverAsk ask_of(const Need& need) const;
  void use(const Option& option, double count, Master::Choice& choice) const;
  void add_current(const Need& need, Master& master) const;
  void price_out(const Need& need, const Prices& prices, Master& master, double& value);
  Micros evaluate_need(const Need& need, const Prices& prices, Fineness fineness, Values* use);
  std::int64_t ascend(std::int64_t evaluations_max, Fineness fineness, double gap_share, const std::function<bool()>& is_time_up);
  void average(const Values& values, double weight);
  void drop_dominated(const Need& need);
  std::int64_t there(std::size_t price) const;  ///< GPUs: of pools, then of quotas
  Micros paid_for_capacity(const Prices& prices) const;

  struct Ranked {
    Micros cost = 0;
    std::int64_t count = 0;
    const Option* option = nullptr;
  };

  const Model& model_;
  Cover cover_;
  Prices best_;
  std::vector<std::vector<double>> mean_;
  std::vector<Micros> best_needs_;
  Micros price_max_ = 0;
  bool is_evaluated_ = false;
  // Buffers of evaluate_need.
  std::vector<CoverItem> items_;
  std::vector<Ranked> ranked_;
  std::vector<const Option*> sources_;
  std::vector<std::int64_t> counts_;
  std::vector<double> bought_;
  std::vector<char> is_dominated_;
};

}  // namespace tidegate::scheduler::placement
