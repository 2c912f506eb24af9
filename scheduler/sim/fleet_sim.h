#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/core/fleet.h"
#include "scheduler/sim/sim_pool.h"

namespace tidegate::scheduler {

/// Accelerators of one kind on one node.
struct SimNode {
  std::string name;
  std::string kind;
  std::int32_t accelerators = 0;
};

/// One deployment of the simulated fleet. Its pool's name is the kind of accelerator it runs on.
struct SimDeployment {
  Deployment deployment;
  ReplicaSpeed speed;
  SimPool::Limits limits;
  Traffic::Shape traffic;
  std::int32_t accelerators = 1;  ///< a replica's, on one node
  double start_s = 20;            ///< before the weights are loaded: image, process, graphs
};

struct SimPlan {
  std::vector<SimNode> nodes;
  std::vector<SimDeployment> deployments;
};

struct SimSettings {
  std::uint64_t seed = 1;
  double warm_days = 1;  ///< simulated first and not counted: what a fleet that runs has learned
  double days = 1;
  std::int32_t start_minute = 0;  ///< of the local week
  AutoscaleSettings autoscale;
  LoadLatency load_latency;
  double step_s = 5;  ///< between two looks of the scheduler
};

/// What became of one deployment in the days that count.
struct SimOutcome {
  std::string deployment;
  double accelerator_hours = 0;
  double cost_micros = 0;
  SimPool::Counts counts;
  std::int32_t replicas_least = 0;
  std::int32_t replicas_most = 0;
  std::int64_t ups = 0;
  std::int64_t downs = 0;
  std::int64_t reversals_per_hour_max = 0;  ///< within any hour
  std::int64_t reversals = 0;
  std::vector<double> replicas_by_quarter;  ///< mean of each quarter-hour, for the chart
  std::vector<double> arrivals_by_quarter;  ///< per second
  std::string last_why;

  double slo_share() const {
    const auto asked = counts.served + counts.refused;
    return asked == 0 ? 1 : static_cast<double>(counts.in_time) / static_cast<double>(asked);
  }
};

/// A fleet of processes that do not exist: the very Fleet, Reconciler and autoscale of the scheduler under a clock that
/// is moved by hand. The same seed gives the same days.
class FleetSim {
 public:
  /// `trace` outlives it. Fails: as check_autoscale(); invalid_argument/bad_plan naming the deployment.
  static Result<std::unique_ptr<FleetSim>> open(const SimPlan& plan, const std::vector<TraceRequest>& trace,
                                                SimSettings settings);
  ~FleetSim();

  /// Plays all days. Once.
  std::vector<SimOutcome> run();
  /// Moves on by one step. For tests that look in between.
  void step();
  double now_s() const { return now_s_; }
  const Fleet& fleet() const { return *fleet_; }
  std::int32_t wanted(const std::string& deployment) const;
  std::int32_t ready(const std::string& deployment) const;
  /// From here gateways say nothing: a dead source.
  void silence_gateways(bool is_silent) { is_silent_ = is_silent; }
  /// Another scheduler takes over what runs.
  void change_leader();

 private:
  struct Unit;
  FleetSim(const SimPlan& plan, const std::vector<TraceRequest>& trace, SimSettings settings);
  Mono mono() const;
  Wall wall() const;
  void report();
  void carry_out(const FleetAction& action);
  Status place(Unit& unit, const std::string& replica);
  void give_back(Unit& unit, const std::string& replica);
  void account(double counted_from_s);
  Unit* unit_of(const std::string& replica);

  SimSettings settings_;
  std::vector<SimNode> nodes_;
  std::vector<std::int32_t> free_;
  Catalogue catalogue_;
  std::unique_ptr<Fleet> fleet_;
  std::map<std::string, std::unique_ptr<Unit>> units_;
  std::map<std::string, ReplicaProcess> processes_;
  Rng rng_;
  double now_s_ = 0;
  Term term_ = 1;
  std::int64_t starts_ = 0;
  bool is_silent_ = false;
};

}  // namespace tidegate::scheduler
