// Placement: how far above a certified bound, how fast, and how often a rule is broken. A town of 160 variants on an
// inventory of 10,412 GPUs in 80 pools is solved at three levels of use, each time from what ran at nine tenths of the
// load; beside it, in the same run, first fit decreasing. Then single nodes are lost. Then random cases, each checked by
// code that shares nothing with the solver.
//
//   place_bench [inventory.csv|-] [random_cases=100000] [town_seed=1] [budget_ms=1000] [wall|cpu]
//
// "cpu" counts the milliseconds of this thread alone: what one core that has nothing else to do would take, also where
// other work shares it.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "base/core/random.h"
#include "bench/fleet/first_fit.h"
#include "bench/fleet/fleet_town.h"
#include "scheduler/core/place/check_plan.h"
#include "scheduler/core/place/place.h"
#include "tests/support/scheduler/place_cases.h"

namespace {

using namespace tidegate;
using namespace tidegate::scheduler::placement;

constexpr int kLosses = 20;
constexpr std::int64_t kRoundsACase = 24;

double millis(Duration took) { return std::chrono::duration<double, std::milli>(took).count(); }
double percent(std::int64_t part, std::int64_t whole) { return 100.0 * static_cast<double>(part) / static_cast<double>(std::max<std::int64_t>(1, whole)); }

std::int64_t gpus_used(const Plan& plan) {
  std::int64_t used = 0;
  for (const PoolPrice& pool : plan.pools) used += pool.gpus_used;
  return used;
}
std::int64_t gpus_free(const Plan& plan) {
  std::int64_t free = 0;
  for (const PoolPrice& pool : plan.pools) free += pool.gpus_free;
  return free;
}

class ThreadClock final : public Clock {
 public:
  Mono mono() const override {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return Mono(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
  }
  Wall wall() const override { return {}; }
};

struct Bench {
  const Clock& clock;
  std::vector<bench::InventoryRow> inventory;
  std::uint64_t seed = 1;
  std::int64_t budget_ms = 1000;
  std::int64_t violations = 0;

  Problem town(double load) const {
    bench::TownShape shape;
    shape.load = load;
    shape.seed = seed;
    return bench::make_town(inventory, shape);
  }
  Budget budget(std::int64_t ms) const {
    Budget out;
    out.clock = &clock;
    out.time_max = std::chrono::milliseconds(ms);
    return out;
  }
  void check(const Problem& problem, const Plan& plan) {
    const auto found = check_plan(problem, plan);
    violations += static_cast<std::int64_t>(found.size());
    if (!found.empty()) fmt::print("VIOLATION {}: {}\n", rule_name(found[0].rule), found[0].what);
  }

  /// The load at which about that share of all GPUs is in use.
  double load_for(double use) const {
    double least = 0.2;
    double most = 8;
    for (int i = 0; i < 9; ++i) {
      const double load = (least + most) / 2;
      const Problem problem = town(load);
      const Plan plan = place(problem, budget(400)).value();
      (percent(gpus_used(plan), gpus_free(plan)) < use ? least : most) = load;
    }
    return (least + most) / 2;
  }

  void at_use(double use) {
    const double load = load_for(use);
    Problem problem = town(load);
    const Problem before = town(load * 0.9);
    const Plan yesterday = place(before, budget(budget_ms)).value();
    problem.current = running(yesterday);
    const Mono begin = clock.mono();
    const Plan plan = place(problem, budget(budget_ms), &yesterday).value();
    const double took = millis(clock.mono() - begin);
    check(problem, plan);
    const auto model = Model::compile(problem);
    const Mono fit_begin = clock.mono();
    const bench::FirstFit fit = bench::first_fit_decreasing(*model);
    const double fit_took = millis(clock.mono() - fit_begin);
    const auto count = [&](Outcome outcome) {
      return std::count_if(plan.demands.begin(), plan.demands.end(), [&](const DemandPlan& each) { return each.outcome == outcome; });
    };
    const auto above = [&](Micros cost) { return percent(cost - plan.lower_bound, plan.lower_bound); };
    fmt::print("\n{:.0f} % asked: load {:.2f}, {} pools, {} demands, {} replicas before\n", use, load, problem.pools.size(), problem.demands.size(),
               problem.current.size());
    fmt::print("  {:<22} {:>9} {:>8} {:>12} {:>10} {:>7} {:>7} {:>8}\n", "", "above", "used", "cost", "penalty", "served", "partly", "refused");
    fmt::print("  {:<22} {:>8.2f}% {:>7.1f}% {:>12} {:>10} {:>7} {:>7} {:>8}   {:.0f} ms, {} rounds, {} moved\n", "place", above(plan.cost.total()),
               percent(gpus_used(plan), gpus_free(plan)), plan.cost.total() / 1'000'000, plan.cost.penalty / 1'000'000, count(Outcome::kServed),
               count(Outcome::kShort), count(Outcome::kRefused), took, plan.iterations, plan.moved);
    fmt::print("  {:<22} {:>8.2f}% {:>7.1f}% {:>12} {:>10} {:>7} {:>7} {:>8}   {:.0f} ms\n", "first fit decreasing", above(fit.cost),
               percent(fit.gpus_used, gpus_free(plan)), fit.cost / 1'000'000, "", fit.served, fit.partly, fit.refused, fit_took);
    lose_nodes(problem, plan);
  }

  void lose_nodes(const Problem& problem, const Plan& plan) {
    Rng rng(seed + 17);
    double worst = 0;
    std::int64_t started = 0;
    std::int64_t lost = 0;
    for (int i = 0; i < kLosses; ++i) {
      Problem now = problem;
      now.current = running(plan);
      const Running victim = now.current[rng.below(now.current.size())];
      for (Pool& pool : now.pools) {
        if (pool.name == victim.pool) std::erase_if(pool.nodes, [&](const Node& node) { return node.name == victim.nodes[0]; });
      }
      for (const Running& each : now.current) {
        const bool is_hit = each.pool == victim.pool && std::find(each.nodes.begin(), each.nodes.end(), victim.nodes[0]) != each.nodes.end();
        lost += is_hit ? 1 : 0;
      }
      const Mono begin = clock.mono();
      const Plan after = replan(now, plan, budget(45)).value();
      worst = std::max(worst, millis(clock.mono() - begin));
      check(now, after);
      started += std::count_if(after.assignments.begin(), after.assignments.end(), [](const Assignment& each) { return !each.is_kept; });
    }
    fmt::print("  {} nodes lost one by one: {} replicas lost, {} started, re-plan at most {:.1f} ms\n", kLosses, lost, started, worst);
  }

  void random_cases(std::int64_t cases) {
    Rng rng(seed);
    std::int64_t outcomes[3] = {};
    std::int64_t refused_problems = 0;
    const Mono begin = clock.mono();
    for (std::int64_t i = 0; i < cases; ++i) {
      const Problem problem = test::random_place_case(rng);
      Budget rounds;
      rounds.iterations_max = kRoundsACase;
      rounds.seed = static_cast<std::uint64_t>(i);
      const auto plan = place(problem, rounds);
      if (!plan) {
        ++refused_problems;
        continue;
      }
      check(problem, *plan);
      for (const DemandPlan& each : plan->demands) ++outcomes[static_cast<std::size_t>(each.outcome)];
    }
    fmt::print("\n{} random cases in {:.0f} s: {} served, {} partly, {} refused; {} problems not accepted; violations of all plans above and here: {}\n",
               cases, millis(clock.mono() - begin) / 1000, outcomes[0], outcomes[1], outcomes[2], refused_problems, violations);
  }
};

}  // namespace

int main(int argc, char** argv) {
  const bool is_cpu = argc > 5 && std::string_view(argv[5]) == "cpu";
  const SystemClock wall;
  const ThreadClock thread;
  Bench bench{is_cpu ? static_cast<const Clock&>(thread) : wall};
  const std::string path = argc > 1 ? argv[1] : "-";
  bench.inventory = path == "-" ? tidegate::bench::made_up_inventory() : tidegate::bench::read_inventory(path);
  if (bench.inventory.empty()) {
    fmt::print(stderr, "place_bench: no nodes in '{}'; '-' stands for as many made-up ones\n", path);
    return 2;
  }
  const std::int64_t cases = argc > 2 ? std::atoll(argv[2]) : 100'000;
  if (argc > 3) bench.seed = static_cast<std::uint64_t>(std::atoll(argv[3]));
  if (argc > 4) bench.budget_ms = std::max<std::int64_t>(50, std::atoll(argv[4]));
  std::int64_t gpus = 0;
  for (const auto& row : bench.inventory) gpus += row.gpus;
  fmt::print("{} nodes, {} GPUs, budget {} ms{}, one thread\n", bench.inventory.size(), gpus, bench.budget_ms, is_cpu ? " of CPU time" : "");
  for (const double use : {30.0, 60.0, 95.0}) bench.at_use(use);
  bench.random_cases(cases);
  return bench.violations == 0 ? 0 : 1;
}
