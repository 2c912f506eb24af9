#include <fmt/format.h>

#include <charconv>

#include "cli/commands.h"
#include "cli/text_file.h"
#include "scheduler/sim/sim_plan.h"
#include "scheduler/sim/sim_report.h"
#include "scheduler/sim/static_peak.h"

namespace tidegate::cli {

namespace {

Result<double> decimal(const Arguments& arguments, std::string_view name, double least, double most, double fallback) {
  const std::string text = arguments.option(name);
  if (text.empty()) return fallback;
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code == std::errc() && end == text.data() + text.size() && value >= least && value <= most) return value;
  return fail(Code::kInvalidArgument, "bad_usage",
              fmt::format("--{} takes a number of {} to {}, not '{}'", name, least, most, text), std::string(name));
}

Result<std::string> file_of(const Arguments& arguments, std::string_view name) {
  TG_ASSIGN(const std::string path, arguments.required_option(name));
  return read_text(path);
}

Status fleet_simulate(const Arguments& arguments) {
  scheduler::SimPlan plan;
  TG_ASSIGN(const std::string inventory, file_of(arguments, "inventory"));
  TG_ASSIGN(plan.nodes, scheduler::parse_inventory(inventory));
  TG_ASSIGN(const std::string deployments, file_of(arguments, "deployments"));
  TG_ASSIGN(plan.deployments, scheduler::parse_sim_deployments(deployments));
  TG_ASSIGN(const std::string trace_text, file_of(arguments, "trace"));
  TG_ASSIGN(const auto trace, scheduler::parse_trace(trace_text));
  scheduler::SimSettings settings;
  TG_ASSIGN(const std::int64_t seed, arguments.integer_option("seed", 1));
  settings.seed = static_cast<std::uint64_t>(seed);
  TG_ASSIGN(settings.days, decimal(arguments, "days", 0.01, 60, 1));
  TG_ASSIGN(settings.warm_days, decimal(arguments, "warm-days", 0, 60, 1));
  if (arguments.has("load-latency")) {
    TG_ASSIGN(const std::string latencies, file_of(arguments, "load-latency"));
    TG_ASSIGN(settings.load_latency, scheduler::LoadLatency::parse(latencies));
  }
  settings.autoscale.use_forecast = !arguments.has("reactive");

  TG_ASSIGN(auto sim, scheduler::FleetSim::open(plan, trace, settings));
  std::vector<scheduler::SimFigures> figures;
  for (scheduler::SimOutcome& outcome : sim->run()) {
    scheduler::SimFigures one;
    one.outcome = std::move(outcome);
    if (!arguments.has("no-static")) {
      one.static_replicas = scheduler::static_peak(plan, trace, settings, one.outcome.deployment, 0.99);
      for (const auto& about : plan.deployments) {
        if (about.deployment.name == one.outcome.deployment)
          one.static_hours = one.static_replicas * about.accelerators * 24 * settings.days;
      }
    }
    figures.push_back(std::move(one));
  }
  fmt::print("{}",
             arguments.wants_json() ? scheduler::sim_json(figures, settings) + "\n" : scheduler::sim_chart(figures));
  return {};
}

}  // namespace

std::vector<Command> fleet_commands() {
  return {{"fleet simulate",
           "Play days of traffic on a fleet that does not exist, with the scheduler's own core.",
           "--inventory FILE --trace FILE --deployments FILE [--days N] [--warm-days N] [--seed N] [--load-latency "
           "FILE] [--reactive] [--no-static]",
           "  tidegate fleet simulate --inventory nodes.csv --trace azure_llm_2023_conv.csv --deployments fleet.json\n"
           "  tidegate fleet simulate --inventory nodes.csv --trace azure_llm_2023_conv.csv --deployments fleet.json "
           "--seed 7 --json\n",
           {"inventory", "trace", "deployments", "days", "warm-days", "seed", "load-latency"},
           {"reactive", "no-static"},
           fleet_simulate}};
}

}  // namespace tidegate::cli
