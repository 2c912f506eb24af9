#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "scheduler/core/place/cover.h"
#include "scheduler/core/place/model.h"
#include "scheduler/core/place/packing.h"

namespace tidegate::scheduler::placement {

/// A replica in the plan being made.
struct Placed {
  std::int32_t option = 0;
  std::int32_t old = -1;  ///< of Model::olds: it stays where it runs
  std::int32_t domain = 0;
  NodeList nodes;
};

/// What a demand has. After an insertion either all its hard rules hold or it has nothing: a half-spread demand is
/// never started.
struct NeedState {
  std::vector<Placed> replicas;
  Micros cost = 0;  ///< with penalty and drains
};

/// A plan being made: whatever is changed, nodes, quotas and costs stay true. One demand at a time gets its replicas: a
/// choice by dynamic programming under the prices of scarcity, then nodes, then what the choice did not see (failure
/// domains, rounding) is put right.
class Draft {
 public:
  Draft(const Model& model, Prices prices);

  /// Everything of `current` that may stay does, whatever it costs.
  void keep_current();
  /// Whole replicas of a plan with parts of replicas (Dual::mean_choice), as far as they fit, kept ones first.
  void take_whole(const std::vector<std::vector<double>>& choice);
  /// Last step: replicas of refused demands that run already stay where nobody else wants their GPUs. Returns olds.
  std::vector<std::int32_t> hold_refused();

  /// Completes what the demand has; takes all away when its hard rules cannot be met, or cost more than they are worth.
  bool insert(std::int32_t need);
  void clear(std::int32_t need);
  void remove(std::int32_t need, std::size_t replica);
  /// Exactly this, which fits because it was there before. Precondition: the demand has nothing.
  void restore(std::int32_t need, const NeedState& to);

  struct Estimate {
    Micros cost = 0;         ///< under prices, at most that of refusing
    std::int32_t pool = -1;  ///< that it would use most
  };
  /// What completing the demand would cost with one pool closed (-1: none).
  Estimate estimate(std::int32_t need, std::int32_t closed_pool);
  /// Tries to serve a need that is not part of the problem with what is free now, then puts everything back. The choice
  /// by option; empty when its hard rules cannot be met. For explanations.
  std::vector<std::int64_t> probe(const Need& need, std::int64_t& throughput);

  Micros cost() const { return cost_; }
  const std::vector<NeedState>& needs() const { return states_; }
  const Packing& packing() const { return packing_; }
  /// Whose replicas are on a node; a need once for each.
  const std::vector<std::int32_t>& residents(std::int32_t node) const { return residents_[static_cast<std::size_t>(node)]; }
  const Model& model() const { return model_; }
  /// Throughput that counts: at most as asked, without the largest replica where one may be lost.
  std::int64_t throughput(std::int32_t need) const;
  bool is_served(std::int32_t need) const { return throughput(need) >= model_.needs()[static_cast<std::size_t>(need)].target; }
  /// Replicas and failure domains as asked. Nothing at all is not legal either.
  bool is_legal(std::int32_t need);
  std::int64_t quota_left(std::int32_t quota) const { return quota_left_[static_cast<std::size_t>(quota)]; }
  /// What scarcity adds to a replica.
  Micros scarcity(const Option& option) const;
  /// Per token a second, scarcity and this round's noise included.
  double price_a_token(const Option& option, bool is_kept) const;
  /// Factors on what a pool costs, one for each; 1 when nobody changed them.
  std::vector<double>& noise() { return noise_; }

 private:
  struct Source {
    std::int32_t option = 0;
    bool is_kept = false;
  };

  Micros cost_of(const Need& need, const std::vector<Placed>& replicas) const;
  std::int64_t counted(const Need& need, const std::vector<Placed>& replicas) const;
  void settle(std::int32_t need);
  void add(const Need& need, NeedState& state, Placed placed);
  void take_away(const Need& need, NeedState& state, std::size_t index);
  bool allows(const Option& option) const;
  bool insert(const Need& need, NeedState& state);
  CoverAsk ask_of(const Need& need, const NeedState& state) const;
  std::int64_t plan_items(const Need& need, const NeedState& state, std::int32_t closed_pool);
  /// The choice into counts_, by items_; its cost under prices.
  Micros plan(const Need& need, const NeedState& state, std::int32_t closed_pool);
  void take_size(const Need& need, NeedState& state, std::int32_t gpus, const std::vector<double>& choice);
  void fill_most(const Need& need, NeedState& state);
  bool realise(const Need& need, NeedState& state);
  void spread(const Need& need, NeedState& state);
  void trim(const Need& need, NeedState& state);
  bool may_leave(const Need& need, const NeedState& state, std::size_t index);
  /// Distinct failure domains into used_domains_, counted up to `enough`.
  std::int64_t domains(const std::vector<Placed>& replicas, std::int64_t enough);

  const Model& model_;
  Prices prices_;
  Cover cover_;
  Packing packing_;
  std::vector<NeedState> states_;
  std::vector<std::vector<std::int32_t>> residents_;
  std::vector<char> is_old_used_;
  std::vector<std::int64_t> quota_left_;
  std::vector<double> noise_;
  Micros cost_ = 0;
  // Buffers of an insertion.
  std::vector<CoverItem> items_;
  std::vector<Source> sources_;
  std::vector<std::int64_t> counts_;
  std::vector<std::pair<Micros, std::int32_t>> ranked_;
  std::vector<std::int32_t> nodes_;
  std::vector<std::int32_t> used_domains_;
  std::vector<std::size_t> by_ratio_;
};

}  // namespace tidegate::scheduler::placement
