// Autoscaling over simulated days beside a static peak and a purely reactive scaler, and a step load.
//   autoscale_bench azure_llm_2023_conv.csv [seeds]

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "scheduler/sim/fleet_sim.h"
#include "scheduler/sim/static_peak.h"

namespace tidegate::scheduler {
namespace {

constexpr double kSlo = 0.99;

SimDeployment deployment() {
  SimDeployment one;
  one.deployment = {.name = "chat", .model = "chat", .variant = "fp8", .pool = "h20", .replicas = 4};
  AutoscalePolicy& policy = one.deployment.autoscale;
  policy.is_on = true;
  policy.replicas_min = 1;
  policy.replicas_max = 64;
  policy.prompt_tokens_per_s = 8'000;
  policy.target_utilisation_percent = 88;
  policy.price_micros_per_hour = 8'000'000;
  one.accelerators = 8;
  one.traffic.peak_per_s = 100;
  return one;
}

SimPlan plan_of(const SimDeployment& one) {
  SimPlan plan;
  for (int i = 0; i < 64; ++i) plan.nodes.push_back({fmt::format("node-{}", i), "h20", 8});
  plan.deployments.push_back(one);
  return plan;
}

SimOutcome play(const SimDeployment& one, const std::vector<TraceRequest>& trace, SimSettings settings) {
  auto sim = FleetSim::open(plan_of(one), trace, std::move(settings));
  if (!sim) {
    fmt::print(stderr, "{}\n", sim.error().to_string());
    std::exit(1);
  }
  return (*sim)->run().front();
}

void print(const char* name, const SimOutcome& out, double static_hours) {
  fmt::print("{:<16} {:>10.0f} {:>8.1f} {:>9.3f} {:>9.3f} {:>4}-{:<4} {:>5} {:>5} {:>11} {:>13.2f}\n", name,
             out.accelerator_hours, 100 * (1 - out.accelerator_hours / static_hours), 100 * out.slo_share(),
             out.counts.served == 0 ? 0 : out.counts.ttft_sum_s / static_cast<double>(out.counts.served),
             out.replicas_least, out.replicas_most, out.ups, out.downs, out.reversals_per_hour_max,
             static_cast<double>(out.reversals) / 24);
}

void days(const std::vector<TraceRequest>& trace, std::uint64_t seed, double start_s) {
  SimDeployment one = deployment();
  one.start_s = start_s;
  one.deployment.autoscale.time_to_ready_s = static_cast<std::int32_t>(start_s) + 40;
  SimSettings settings;
  settings.seed = seed;
  SimDeployment fixed = one;
  fixed.deployment.autoscale.is_on = false;
  fixed.start_s = 20;  // it never starts anything while it is measured
  fixed.deployment.replicas = static_peak(plan_of(fixed), trace, settings, one.deployment.name, kSlo);
  settings.warm_days = 0.02;  // replicas load
  const SimOutcome peak = play(fixed, trace, settings);
  settings.warm_days = 1;
  SimSettings reactive = settings;
  reactive.autoscale.use_forecast = false;
  fmt::print(
      "seed {}: a day, peak {:.0f} requests/s, {:.0f} % noise, {:.0f} s to start and a load, one day before it to "
      "learn from\n",
      seed, one.traffic.peak_per_s, 100 * one.traffic.noise, start_s);
  fmt::print("{:<16} {:>10} {:>8} {:>9} {:>9} {:>9} {:>5} {:>5} {:>11} {:>13}\n", "scaler", "GPU-hours", "saved %",
             "SLO %", "TTFT s", "replicas", "ups", "downs", "rev/h worst", "rev/h mean");
  print("static peak", peak, peak.accelerator_hours);
  print("reactive only", play(one, trace, reactive), peak.accelerator_hours);
  print("tidegate", play(one, trace, settings), peak.accelerator_hours);
}

void step(const std::vector<TraceRequest>& trace, double factor) {
  SimDeployment one = deployment();
  one.traffic.peak_per_s = 20;
  one.traffic.is_flat = true;
  one.traffic.step_at_s = 3'600;
  one.traffic.step_factor = factor;
  auto sim = FleetSim::open(plan_of(one), trace, {});
  if (!sim) return;
  std::int32_t most = 0;
  double settled_at = 0;
  while ((*sim)->now_s() < 7'200) {
    (*sim)->step();
    if ((*sim)->now_s() < 3'600) continue;
    if ((*sim)->wanted("chat") > most) settled_at = (*sim)->now_s();
    most = std::max(most, (*sim)->wanted("chat"));
  }
  while ((*sim)->now_s() < 14'400) (*sim)->step();
  fmt::print(
      "step x{:.0f}: at most {} replicas wanted, {} an hour and more later; the most was ordered {:.0f} s after the "
      "step\n",
      factor, most, (*sim)->wanted("chat"), settled_at - 3'600);
}

int run(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: autoscale_bench TRACE [SEEDS]\n");
    return 2;
  }
  std::ifstream in(argv[1], std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  const auto trace = parse_trace(text.str());
  if (!trace) {
    fmt::print(stderr, "{}\n", trace.error().to_string());
    return 1;
  }
  const int seeds = argc > 2 ? std::clamp(std::atoi(argv[2]), 1, 100) : 3;
  for (int seed = 1; seed <= seeds; ++seed) days(*trace, static_cast<std::uint64_t>(seed), 20);
  for (int seed = 1; seed <= std::min(seeds, 2); ++seed) days(*trace, static_cast<std::uint64_t>(seed), 900);
  step(*trace, 2);
  step(*trace, 4);
  return 0;
}

}  // namespace
}  // namespace tidegate::scheduler

int main(int argc, char** argv) { return tidegate::scheduler::run(argc, argv); }
