// Where replicas would run, from files alone: nothing is asked of a scheduler and nothing is changed.

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "cli/commands.h"
#include "cli/text_file.h"
#include "cli/text_table.h"
#include "scheduler/core/place/check_plan.h"
#include "scheduler/core/place/place.h"
#include "scheduler/place_files/place_files.h"
#include "scheduler/place_files/plan_json.h"

namespace tidegate::cli {
namespace {

namespace placement = scheduler::placement;

constexpr std::int64_t kBudgetMsDefault = 1000;
constexpr std::int64_t kBudgetMsMax = 600'000;

std::string money(placement::Micros micros) { return fmt::format("{}.{:02}", micros / 1'000'000, micros % 1'000'000 / 10'000); }

Result<placement::Problem> problem_of(const Arguments& arguments) {
  TG_ASSIGN(const std::string inventory_path, arguments.required_option("inventory"));
  TG_ASSIGN(const std::string catalogue_path, arguments.required_option("catalogue"));
  TG_ASSIGN(const std::string demand_path, arguments.required_option("demand"));
  TG_ASSIGN(const std::string inventory, read_text(inventory_path));
  TG_ASSIGN(const std::string catalogue, read_text(catalogue_path));
  TG_ASSIGN(const std::string demand, read_text(demand_path));
  return placement::read_problem({inventory, catalogue, demand});
}

Result<placement::Budget> budget_of(const Arguments& arguments, const Clock& clock) {
  TG_ASSIGN(const std::int64_t budget_ms, arguments.integer_option("budget-ms", kBudgetMsDefault));
  TG_ASSIGN(const std::int64_t iterations, arguments.integer_option("iterations", 0));
  TG_ASSIGN(const std::int64_t seed, arguments.integer_option("seed", 1));
  if (budget_ms < 1 || budget_ms > kBudgetMsMax) {
    return fail(Code::kInvalidArgument, "bad_usage", fmt::format("--budget-ms must be 1 to {}", kBudgetMsMax));
  }
  if (iterations < 0) return fail(Code::kInvalidArgument, "bad_usage", "--iterations must not be negative");
  placement::Budget budget;
  budget.seed = static_cast<std::uint64_t>(seed);
  budget.time_max = std::chrono::milliseconds(budget_ms);
  // Counted rounds make a plan that can be had again; time does not.
  if (iterations > 0) {
    budget.iterations_max = iterations;
  } else {
    budget.clock = &clock;
  }
  return budget;
}

void print_plan(const placement::Plan& plan) {
  TextTable table({"DEMAND", "OUTCOME", "TOKENS/S", "REPLICAS", "COST", "WHY"});
  for (const placement::DemandPlan& each : plan.demands) {
    const std::string why = each.nearest.empty() ? each.why : fmt::format("{} Nearest: {}", each.why, each.nearest);
    table.add({each.demand, std::string(placement::outcome_name(each.outcome)), fmt::format("{}", each.throughput), fmt::format("{}", each.replicas),
               money(each.cost), why});
  }
  fmt::print("{}\ncost {} (GPUs {}, starts {}, drains {}, penalty {}), lower bound {}: at most {}.{:02} % above the best plan\n", table.render(),
             money(plan.cost.total()), money(plan.cost.gpus), money(plan.cost.starts), money(plan.cost.drains), money(plan.cost.penalty),
             money(plan.lower_bound), plan.gap_ppm() / 10'000, plan.gap_ppm() % 10'000 / 100);
}

Status fleet_place(const Arguments& arguments) {
  const SystemClock clock;
  TG_ASSIGN(const placement::Problem problem, problem_of(arguments));
  TG_ASSIGN(const placement::Budget budget, budget_of(arguments, clock));
  TG_ASSIGN(const placement::Plan plan, placement::place(problem, budget));
  // By other code than made it. Never seen to fail; if it does, the plan must not be used.
  for (const placement::Violation& violation : placement::check_plan(problem, plan)) {
    return fail(Code::kInternal, "plan_breaks_a_rule", fmt::format("{}: {}", placement::rule_name(violation.rule), violation.what));
  }
  if (arguments.wants_json()) {
    fmt::print("{}\n", placement::plan_json(problem, plan));
  } else {
    print_plan(plan);
  }
  return {};
}

}  // namespace

std::vector<Command> fleet_place_commands() {
  return {
      {"fleet place", "Where replicas would run: an inventory, a catalogue and a demand in, a plan with its cost and a lower bound out.",
       "--inventory nodes.csv --catalogue FILE --demand demand.json [--budget-ms 1000 | --iterations N] [--seed N]",
       "  tidegate fleet place --inventory nodes.csv --catalogue layouts.json --demand demand.json --json\n"
       "Formats: docs/fleet_place.md\n",
       {"inventory", "catalogue", "demand", "budget-ms", "iterations", "seed"}, {}, fleet_place},
  };
}

}  // namespace tidegate::cli
