#include "scheduler/core/place/place.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <span>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "scheduler/core/place/dual.h"
#include "scheduler/core/place/explain.h"
#include "scheduler/core/place/model.h"
#include "scheduler/core/place/search.h"

namespace tidegate::scheduler::placement {

namespace {

constexpr std::int64_t kEvaluationsCoarse = 100;
constexpr std::int64_t kAgreementsMost = 60;
constexpr std::int64_t kEvaluationsFine = 80;
// Shares of the time: the bound's prices first, the search next, then the bound in fine steps and the words.
constexpr double kCoarsePricesUntil = 0.06;
constexpr double kAgreedUntil = 0.35;
constexpr double kPricesUntil = 0.25;  // where there are too many demands to agree
constexpr double kSearchUntil = 0.90;
constexpr double kBoundUntil = 0.98;
constexpr double kReplanUntil = 0.7;
constexpr std::int64_t kReplanRounds = 160;  // each may move neighbours: few, so that few are touched

class Progress {
 public:
  explicit Progress(const Budget& budget) : budget_(budget) {
    if (budget.clock != nullptr) begin_ = budget.clock->mono();
  }
  /// Of the time, 0 without a clock.
  double time() const {
    if (budget_.clock == nullptr) return 0;
    const double most = std::chrono::duration<double>(budget_.time_max).count();
    return most <= 0 ? 1 : std::chrono::duration<double>(budget_.clock->mono() - begin_).count() / most;
  }

 private:
  const Budget& budget_;
  Mono begin_{};
};

void use_prices(const Model& model, const Plan& previous, Dual& dual) {
  std::unordered_map<std::string_view, Micros> known;
  for (const PoolPrice& price : previous.pools) known.emplace(price.pool, price.scarcity_per_gpu);
  std::vector<Micros> pools;
  for (const Pool& pool : model.problem().pools) {
    const auto found = known.find(pool.name);
    pools.push_back(found == known.end() ? 0 : found->second);
  }
  std::vector<Micros> quotas = previous.quota_prices;
  quotas.resize(model.problem().quotas.size(), 0);
  dual.start_from(pools, quotas);
}

Running running_of(const Model& model, std::int32_t need, const Option& option, std::span<const std::int32_t> nodes) {
  Running out;
  out.demand = model.problem().demands[at(need)].name;
  out.pool = model.problem().pools[at(option.pool)].name;
  out.layout = model.problem().layouts[at(option.layout)].name;
  for (const std::int32_t node : nodes) out.nodes.push_back(model.node_name(node));
  return out;
}

void add_assignments(const Model& model, const Draft& draft, const std::vector<std::int32_t>& held, Plan& plan) {
  std::vector<std::vector<Assignment>> by_need(model.needs().size());
  std::vector<std::int32_t> kept(model.needs().size(), 0);
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(model.needs().size()); ++d) {
    for (const Placed& placed : draft.needs()[at(d)].replicas) {
      const Option& option = model.needs()[at(d)].options[at(placed.option)];
      const bool is_kept = placed.old >= 0;
      by_need[at(d)].push_back({running_of(model, d, option, placed.nodes), is_kept, false});
      plan.cost.gpus += option.run;
      plan.cost.starts += is_kept ? 0 : option.start;
      plan.cost.drains -= is_kept ? option.drain : 0;
      plan.pools[at(option.pool)].gpus_used += option.gpus;
      kept[at(d)] += is_kept ? 1 : 0;
    }
  }
  for (const std::int32_t index : held) {
    const Old& old = model.olds()[at(index)];
    const Option& option = model.needs()[at(old.need)].options[at(old.option)];
    by_need[at(old.need)].push_back({running_of(model, old.need, option, old.nodes), true, true});
    plan.cost.gpus += option.run;
    plan.cost.drains -= option.drain;
    plan.pools[at(option.pool)].gpus_used += option.gpus;
    plan.demands[at(old.need)].cost += option.run - option.drain;
    plan.demands[at(old.need)].replicas += 1;
    kept[at(old.need)] += 1;
  }
  std::vector<std::int32_t> olds(model.needs().size(), 0);
  for (const Old& old : model.olds()) ++olds[at(old.need)];
  for (std::size_t d = 0; d < by_need.size(); ++d) {
    plan.cost.drains += model.needs()[d].drain_all;
    const std::int32_t started = static_cast<std::int32_t>(by_need[d].size()) - kept[d];
    plan.moved += std::min(started, olds[d] - kept[d]);
    std::sort(by_need[d].begin(), by_need[d].end(), [](const Assignment& a, const Assignment& b) {
      return std::tie(a.replica.pool, a.replica.layout, a.replica.nodes) < std::tie(b.replica.pool, b.replica.layout, b.replica.nodes);
    });
    for (Assignment& each : by_need[d]) plan.assignments.push_back(std::move(each));
  }
}

Plan report(const Model& model, Draft& draft, const Dual& dual, const std::function<bool()>& is_time_up) {
  const Problem& problem = model.problem();
  Plan plan;
  for (std::int32_t p = 0; p < model.pool_count(); ++p) {
    plan.pools.push_back({problem.pools[at(p)].name, dual.prices().pools[at(p)], model.pool_gpus(p), 0});
  }
  plan.quota_prices = dual.prices().quotas;
  plan.lower_bound = dual.value();
  const std::vector<std::int32_t> held = draft.hold_refused();
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(model.needs().size()); ++d) {
    const Need& need = model.needs()[at(d)];
    const NeedState& state = draft.needs()[at(d)];
    DemandPlan out;
    out.demand = problem.demands[at(d)].name;
    out.outcome = state.replicas.empty() ? Outcome::kRefused : draft.is_served(d) ? Outcome::kServed : Outcome::kShort;
    out.throughput = state.replicas.empty() ? 0 : std::max<std::int64_t>(0, draft.throughput(d));
    out.replicas = static_cast<std::int32_t>(state.replicas.size());
    out.cost = state.cost;
    out.why = explain(model, draft, dual.prices(), d);
    plan.cost.penalty += unserved_cost(need.target - out.throughput, need.unserved_per_unit_hour, problem.horizon_s);
    if (out.outcome != Outcome::kServed && !is_time_up()) out.nearest = nearest_plan(model, draft, d);
    plan.demands.push_back(std::move(out));
  }
  add_assignments(model, draft, held, plan);
  return plan;
}

}  // namespace

Result<Plan> place(const Problem& problem, const Budget& budget, const Plan* previous) {
  const Progress progress(budget);
  TG_ASSIGN(const Model model, Model::compile(problem));
  Dual dual(model);
  if (previous != nullptr) use_prices(model, *previous, dual);
  dual.ascend(kEvaluationsCoarse, 0, [&] { return progress.time() >= kCoarsePricesUntil; }, [] { return true; });
  const bool is_agreed = dual.agree(kAgreementsMost, [&] { return progress.time() >= kAgreedUntil; }) > 0;
  if (!is_agreed) dual.ascend(1, kEvaluationsFine, [] { return true; }, [&] { return progress.time() >= kPricesUntil; });
  // Two ways to begin: from what runs, and from what the prices would choose. The cheaper one goes on.
  const auto is_over = [&] { return progress.time() >= kSearchUntil; };
  auto search = std::make_unique<Search>(model, dual.prices(), dual.needs_least(), budget.seed);
  search->draft().keep_current();
  search->insert_all(search->incomplete(), is_over);
  if (!dual.mean_choice().empty()) {
    auto other = std::make_unique<Search>(model, dual.prices(), dual.needs_least(), budget.seed);
    other->draft().take_whole(dual.mean_choice());
    other->insert_all(other->incomplete(), is_over);
    if (other->draft().cost() < search->draft().cost()) std::swap(search, other);
  }
  const double from = progress.time();
  std::int64_t asked = 0;
  const auto gone = [&] {
    const double rounds = static_cast<double>(asked) * Search::kRoundsALook / static_cast<double>(std::max<std::int64_t>(1, budget.iterations_max));
    ++asked;
    const double time = from >= kSearchUntil ? 1 : std::max(0.0, (progress.time() - from) / (kSearchUntil - from));
    return std::max(rounds, budget.clock == nullptr ? 0.0 : time);
  };
  const std::int64_t rounds = search->improve(gone, nullptr);
  dual.refine([&] { return progress.time() >= kBoundUntil; });
  Plan plan = report(model, search->draft(), dual, [&] { return progress.time() >= 1; });
  plan.iterations = rounds;
  return plan;
}

Result<Plan> replan(const Problem& problem, const Plan& previous, const Budget& budget) {
  const Progress progress(budget);
  TG_ASSIGN(const Model model, Model::compile(problem));
  Dual dual(model);
  use_prices(model, previous, dual);
  dual.ascend(1, 0, [] { return false; }, [] { return false; });
  std::unordered_map<std::string_view, std::int64_t> served_before;
  for (const DemandPlan& each : previous.demands) served_before.emplace(each.demand, each.throughput);
  Search search(model, dual.prices(), dual.needs_least(), budget.seed);
  search.draft().keep_current();
  // Who has less than before, or breaks a rule now. Whoever was short before stays so: that is for the next place().
  const auto has_less = [&](std::int32_t need) {
    const auto before = served_before.find(model.problem().demands[at(need)].name);
    return before == served_before.end() || search.draft().throughput(need) < before->second;
  };
  std::vector<std::int32_t> hit;
  for (const std::int32_t need : search.incomplete()) {
    const bool is_broken = !search.draft().needs()[at(need)].replicas.empty() && !search.draft().is_legal(need);
    if (is_broken || has_less(need)) hit.push_back(need);
  }
  search.insert_all(hit, [&] { return progress.time() >= kReplanUntil; });
  // Whoever is whole again is left alone; for the others neighbours may have to move.
  std::vector<std::int32_t> waiting;
  std::copy_if(hit.begin(), hit.end(), std::back_inserter(waiting), has_less);
  std::int64_t asked = 0;
  const std::int64_t rounds_most = std::min(budget.iterations_max, kReplanRounds);
  const auto gone = [&] {
    const double rounds = static_cast<double>(asked) * Search::kRoundsALook / static_cast<double>(std::max<std::int64_t>(1, rounds_most));
    ++asked;
    return std::max(rounds, progress.time() / kReplanUntil);
  };
  const std::int64_t rounds = search.improve(gone, &waiting);
  dual.refine([&] { return progress.time() >= kReplanUntil; });
  Plan plan = report(model, search.draft(), dual, [&] { return progress.time() >= 1; });
  plan.iterations = rounds;
  return plan;
}

std::vector<Running> running(const Plan& plan) {
  std::vector<Running> out;
  for (const Assignment& each : plan.assignments) out.push_back(each.replica);
  return out;
}

}  // namespace tidegate::scheduler::placement
