#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "base/core/random.h"
#include "scheduler/core/place/cover.h"
#include "scheduler/core/place/dual.h"
#include "scheduler/core/place/packing.h"

namespace tidegate::scheduler::placement {

/// A replica in the plan being made.
struct Placed {
  std::int32_t option = 0;
  std::int32_t old = -1;  ///< of Model::olds: it stays where it runs
  std::int32_t domain = 0;
  NodeList nodes;
};

/// What a demand has. Either all its hard rules hold or it has nothing: a half-spread demand is never started.
struct NeedState {
  std::vector<Placed> replicas;
  Micros cost = 0;  ///< with penalty and drains
};

/// A plan being made: every change keeps nodes, quotas and costs true, so that it may be taken at any moment.
class Search {
 public:
  /// Rounds between two looks at `progress`.
  static constexpr std::int64_t kRoundsALook = 8;

  /// `least`: of each need, what it pays at least under these prices (Dual::needs_least).
  Search(const Model& model, Prices prices, std::vector<Micros> least, std::uint64_t seed);

  /// Everything of `current` that may stay does, whatever it costs.
  void keep_current();
  /// Whole replicas of a plan with parts of replicas (Dual::mean_choice), as far as they fit, kept ones first.
  void take_whole(const std::vector<std::vector<double>>& choice);
  /// Completes what is refused or short, largest regret first: what the demand would pay more if its best pool were
  /// closed. The prices of scarcity are part of every comparison.
  void insert_all(const std::function<bool()>& is_time_up);
  /// Ruin and recreate with annealing. `progress` says how much of the budget is gone, 0 to 1; 1 ends it. With `among`
  /// only these demands start a round (others may still be drawn in). Returns rounds. Ends at the best plan met.
  std::int64_t improve(const std::function<double()>& progress, const std::vector<std::int32_t>* among);

  Micros cost() const { return cost_; }
  const std::vector<NeedState>& needs() const { return states_; }
  const Packing& packing() const { return packing_; }
  /// Throughput that counts: at most as asked, without the largest replica where one may be lost.
  std::int64_t throughput(std::int32_t need) const;
  bool is_served(std::int32_t need) const { return throughput(need) >= model_.needs()[static_cast<std::size_t>(need)].target; }
  std::int64_t quota_left(std::int32_t quota) const { return quota_left_[static_cast<std::size_t>(quota)]; }
  /// Demands that are not served in full.
  std::vector<std::int32_t> unserved() const;
  /// Last step: replicas of refused demands that run already stay where nobody else wants their GPUs. Returns olds.
  std::vector<std::int32_t> hold_refused();
  /// Tries to serve a need that is not part of the problem with what is free now, then puts everything back. The choice
  /// by option; empty when its hard rules cannot be met. For explanations.
  std::vector<std::int64_t> probe(const Need& need, std::int64_t& throughput);

 private:
  Micros cost_of(const Need& need, const std::vector<Placed>& replicas) const;
  std::int64_t counted(const Need& need, const std::vector<Placed>& replicas) const;
  Micros priced(const Option& option) const;
  void add(const Need& need, NeedState& state, Placed placed);
  void remove(const Need& need, NeedState& state, std::size_t index);
  bool allows(const Option& option) const;
  // search_insert.cc
  bool insert(std::int32_t need);
  bool insert(const Need& need, NeedState& state);
  Micros regret(std::int32_t need);
  CoverAsk ask_of(const Need& need, const NeedState& state) const;
  std::int64_t plan_items(const Need& need, const NeedState& state, std::int32_t closed_pool);
  /// The choice into counts_, by items_; its cost under prices.
  Micros plan(const Need& need, const NeedState& state, std::int32_t closed_pool);
  bool realise(const Need& need, NeedState& state);
  void spread(const Need& need, NeedState& state);
  void trim(const Need& need, NeedState& state);
  bool may_leave(const Need& need, const NeedState& state, std::size_t index);
  /// Distinct failure domains into used_domains_, counted up to `enough`.
  std::int64_t domains(const std::vector<Placed>& replicas, std::int64_t enough);
  void fill_most(const Need& need, NeedState& state);
  // search.cc
  void clear(std::int32_t need);
  std::int32_t choose_ruined(const std::vector<std::int32_t>* among, std::vector<std::int32_t>& ruined);
  void ruin(std::int32_t need, std::int32_t pool);
  double badness(std::int32_t need) const;
  double price_a_token(const Option& option, bool is_kept) const;
  void restore(std::int32_t need, const NeedState& to);
  void remember_best();
  void return_to_best();
  void mark(std::int32_t need);

  const Model& model_;
  Prices prices_;
  std::vector<Micros> least_;
  Rng rng_;
  Cover cover_;
  Packing packing_;
  std::vector<NeedState> states_;
  std::vector<NeedState> best_states_;
  std::vector<char> is_changed_;           ///< since best_states_
  std::vector<std::int32_t> changed_;
  std::vector<char> is_old_used_;
  std::vector<std::int64_t> quota_left_;
  std::vector<std::vector<std::int32_t>> users_;  ///< of a pool: a need once for each replica
  std::vector<double> noise_;              ///< of a pool's scarcity in this round
  Micros cost_ = 0;
  Micros best_cost_ = 0;
  // Buffers of an insertion.
  std::vector<CoverItem> items_;
  struct Source {
    std::int32_t option = 0;
    bool is_kept = false;
  };
  std::vector<Source> sources_;
  std::vector<std::int64_t> counts_;
  std::vector<std::pair<Micros, std::int32_t>> ranked_;
  std::vector<std::int32_t> nodes_;
  std::vector<std::int32_t> used_domains_;
  std::vector<std::size_t> by_ratio_;
};

}  // namespace tidegate::scheduler::placement
