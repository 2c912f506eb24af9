#pragma once

#include "base/core/result.h"
#include "scheduler/core/place/types.h"

namespace tidegate::scheduler::placement {

/// Where every replica runs: prices per pool by subgradient, greedy by regret with packing into nodes, ruin and recreate
/// until the budget ends, and a lower bound that no plan beats. What runs already is where it starts from. Pure: the
/// same problem, seed and iterations give the same plan; with a clock the number of rounds depends on it.
/// `previous`: a plan of much the same inventory, for its prices; may be null.
/// Fails: invalid_argument with the field.
Result<Plan> place(const Problem& problem, const Budget& budget, const Plan* previous = nullptr);

/// After something was lost: `problem.current` is what runs, on the nodes that are left. Demands that are whole are not
/// touched unless another cannot be served without. The bound is that of the previous plan's prices: true, but looser.
/// Fails: invalid_argument with the field.
Result<Plan> replan(const Problem& problem, const Plan& previous, const Budget& budget);

/// The plan's assignments as the `current` of a later problem.
std::vector<Running> running(const Plan& plan);

}  // namespace tidegate::scheduler::placement
