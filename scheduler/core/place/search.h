#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/core/random.h"
#include "scheduler/core/place/draft.h"

namespace tidegate::scheduler::placement {

/// Looks for a cheaper plan: greedy by regret, then ruin and recreate with annealing.
class Search {
 public:
  /// Rounds between two looks at `progress`.
  static constexpr std::int64_t kRoundsALook = 8;

  /// `least`: of each need, what it pays at least under these prices (Dual::needs_least).
  Search(const Model& model, Prices prices, std::vector<Micros> least, std::uint64_t seed);

  Draft& draft() { return draft_; }
  const Draft& draft() const { return draft_; }

  /// Demands that are not served in full, or whose replicas break a rule.
  std::vector<std::int32_t> incomplete();
  /// Completes these, largest regret first: what the demand would pay more if its best pool were closed.
  void insert_all(const std::vector<std::int32_t>& needs, const std::function<bool()>& is_time_up);
  /// `progress` says how much of the budget is gone, 0 to 1; 1 ends it. With `among` only these demands start a round
  /// (others may be drawn in). Returns rounds. Ends at the best plan met.
  std::int64_t improve(const std::function<double()>& progress, const std::vector<std::int32_t>* among);

 private:
  Micros regret(std::int32_t need);
  double badness(std::int32_t need) const;
  std::int32_t choose_first(const std::vector<std::int32_t>* among);
  const Option* choose_wish(std::int32_t need);
  void touch(std::int32_t need);
  void ruin_users(std::int32_t first, const Option& wish);
  void empty_nodes(std::int32_t first, const Option& wish);
  bool choose_nodes(const Option& wish, std::vector<std::int32_t>& nodes);
  void empty_node(std::int32_t node, std::int32_t gpus);
  void ruin(std::int32_t need, std::int32_t pool);
  void index_users();
  void update_users(std::int32_t need, const NeedState& before);
  void mark(std::int32_t need);
  void remember_best();
  void return_to_best();

  const Model& model_;
  Draft draft_;
  std::vector<Micros> least_;
  Rng rng_;
  std::vector<NeedState> best_states_;
  Micros best_cost_ = 0;
  std::vector<char> is_changed_;  ///< since best_states_
  std::vector<std::int32_t> changed_;
  // Of a round: who was touched, first of all the one that started it, and what they had.
  std::vector<std::int32_t> ruined_;
  std::vector<NeedState> before_;
  std::vector<std::int32_t> emptied_;
  std::vector<std::int32_t> nodes_;
  std::vector<std::int32_t> candidates_;
  std::vector<std::int32_t> order_;
  std::vector<std::vector<std::int32_t>> users_;  ///< of a pool: a need once for each replica
};

}  // namespace tidegate::scheduler::placement
