#include "scheduler/sim/fleet_sim.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>

namespace tidegate::scheduler {

namespace {

constexpr double kDay = 86'400;
constexpr double kQuarter = 900;
constexpr double kDrainMax = 70;  ///< seconds; the local driver's limit
/// 2026-11-16, a Monday: minute 0 of a week in UTC.
constexpr std::int64_t kMondayMicros = 1'794'787'200'000'000;
constexpr const char* kGateway = "sim-gateway";

WorkerTable::Limits worker_limits(double step_s) {
  WorkerTable::Limits limits;
  limits.silent_after = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(4 * step_s));
  limits.forget_after = limits.silent_after;
  return limits;
}

}  // namespace

/// A deployment with its queue and what is counted of it.
struct FleetSim::Unit {
  Unit(const SimDeployment& about_in, const std::vector<TraceRequest>& trace, std::int32_t start_minute,
       std::uint64_t seed)
      : about(about_in), pool(about.speed, about.limits, Traffic(trace, about.traffic, start_minute, seed)) {}

  SimDeployment about;
  SimPool pool;
  std::map<std::string, std::size_t> node_of;
  std::map<std::string, double> drained_from;
  std::int32_t wanted = -1;
  int direction = 0;
  std::deque<double> reversals;
  bool is_counting = false;
  SimPool::Counts before;
  SimOutcome outcome;
  std::int64_t quarter = -1;
  double quarter_replicas = 0;
  int quarter_steps = 0;
  std::int64_t quarter_arrivals = 0;
};

FleetSim::FleetSim(const SimPlan& plan, const std::vector<TraceRequest>& trace, SimSettings settings)
    : settings_(std::move(settings)), nodes_(plan.nodes), rng_(settings_.seed) {
  for (const SimNode& node : nodes_) free_.push_back(node.accelerators);
  for (const SimDeployment& about : plan.deployments) {
    units_.emplace(about.deployment.name, std::make_unique<Unit>(about, trace, settings_.start_minute, rng_.next()));
  }
}

FleetSim::~FleetSim() = default;

Result<std::unique_ptr<FleetSim>> FleetSim::open(const SimPlan& plan, const std::vector<TraceRequest>& trace,
                                                 SimSettings settings) {
  if (!(settings.step_s >= 0.1 && settings.step_s <= 60) ||
      !(settings.days >= 0 && settings.days + settings.warm_days <= 366)) {
    return fail(Code::kInvalidArgument, "bad_plan", "steps take 0.1 to 60 s, and at most 366 days are simulated",
                "days");
  }
  std::unique_ptr<FleetSim> sim(new FleetSim(plan, trace, std::move(settings)));
  std::vector<Deployment> desired;
  for (const SimDeployment& about : plan.deployments) {
    const Deployment& deployment = about.deployment;
    if (sim->catalogue_.find(deployment.model, deployment.variant) == nullptr) {
      CatalogueModel model;
      model.name = deployment.model;
      CatalogueVariant variant;
      variant.name = deployment.variant;
      variant.engine = "sim";
      model.variants.push_back(std::move(variant));
      if (!sim->catalogue_.add(std::move(model))) {
        return fail(Code::kInvalidArgument, "bad_plan",
                    fmt::format("'{}' is simulated in one variant only", deployment.model), deployment.name);
      }
    }
    TG_TRY(check_deployment(deployment, sim->catalogue_));
    desired.push_back(deployment);
    desired.back().created_at = sim->wall();
  }
  Fleet::Settings fleet;
  fleet.workers = worker_limits(sim->settings_.step_s);
  fleet.stop_notice = Duration::zero();  // no gateway sends to a replica that has left
  fleet.autoscale = sim->settings_.autoscale;
  // The largest models load for longer than the reconciler's default allows.
  for (const SimDeployment& about : plan.deployments) {
    const Duration start = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(4 * about.start_s));
    fleet.reconciler.start_limit = std::max(fleet.reconciler.start_limit, start);
  }
  sim->fleet_ = std::make_unique<Fleet>(sim->catalogue_, fleet, sim->settings_.seed);
  sim->fleet_->begin_term(sim->term_, std::move(desired), sim->mono(), sim->wall());
  return sim;
}

Mono FleetSim::mono() const {
  return Mono(std::chrono::hours(1)) + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(now_s_));
}

Wall FleetSim::wall() const {
  return wall_from_unix_micros(kMondayMicros + std::int64_t{settings_.start_minute} * 60'000'000 +
                               std::llround(now_s_ * 1e6));
}

void FleetSim::change_leader() {
  std::vector<Deployment> desired;
  for (const auto& [name, deployment] : fleet_->deployments()) desired.push_back(deployment);
  // It was wanted before the new leader: there is something to adopt.
  for (Deployment& deployment : desired) deployment.created_at = wall_from_unix_micros(0);
  fleet_->begin_term(++term_, std::move(desired), mono(), wall());
}

FleetSim::Unit* FleetSim::unit_of(const std::string& replica) {
  const auto process = processes_.find(replica);
  const std::string name =
      process != processes_.end() ? process->second.deployment : std::string(deployment_of(replica));
  const auto found = units_.find(name);
  return found == units_.end() ? nullptr : found->second.get();
}

/// First fit: nodes hold whole replicas.
Status FleetSim::place(Unit& unit, const std::string& replica) {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].kind != unit.about.deployment.pool || free_[i] < unit.about.accelerators) continue;
    free_[i] -= unit.about.accelerators;
    unit.node_of[replica] = i;
    return {};
  }
  return fail(Code::kResourceExhausted, "no_node",
              fmt::format("no node with {} free {}", unit.about.accelerators, unit.about.deployment.pool));
}

void FleetSim::give_back(Unit& unit, const std::string& replica) {
  const auto found = unit.node_of.find(replica);
  if (found == unit.node_of.end()) return;
  free_[found->second] += unit.about.accelerators;
  unit.node_of.erase(found);
}

void FleetSim::carry_out(const FleetAction& action) {
  if (const auto* start = std::get_if<StartReplica>(&action)) {
    const ReplicaSpec& spec = start->spec;
    Unit& unit = *units_.at(spec.deployment);
    if (const Status placed = place(unit, spec.replica); !placed) {
      fleet_->on_start_failed(spec.replica, placed.error().message, mono());
      return;
    }
    const double ready = now_s_ + unit.about.start_s + settings_.load_latency.draw(rng_);
    unit.pool.add(spec.replica, ready);
    processes_[spec.replica] = {.replica = spec.replica,
                                .deployment = spec.deployment,
                                .spec_digest = spec.digest(),
                                .incarnation = std::to_string(++starts_),
                                .alive = true};
  } else if (const auto* stop = std::get_if<StopReplica>(&action)) {
    Unit* unit = unit_of(stop->replica);
    if (unit == nullptr || !unit->pool.replicas().contains(stop->replica)) return;
    unit->pool.drain(stop->replica);
    unit->drained_from.try_emplace(stop->replica, now_s_);
  }
}

/// What workers and gateways tell.
void FleetSim::report() {
  std::vector<ReplicaProcess> processes;
  for (auto& [name, unit] : units_) {
    std::vector<std::string> gone;
    for (const auto& [replica, since] : unit->drained_from) {
      const SimPool::Replica& state = unit->pool.replicas().at(replica);
      const bool never_served = !unit->pool.is_ready(state, now_s_);
      if (never_served || state.running == 0 || now_s_ - since >= kDrainMax) gone.push_back(replica);
    }
    for (const std::string& replica : gone) {
      unit->pool.remove(replica);
      unit->drained_from.erase(replica);
      give_back(*unit, replica);
      processes_[replica].alive = false;
      processes_[replica].exit = "exit status 0";
    }
  }
  for (const auto& [replica, process] : processes_) processes.push_back(process);
  fleet_->on_processes(std::move(processes), mono());
  std::erase_if(processes_, [](const auto& entry) { return !entry.second.alive; });

  DemandReport demand{.gateway_id = kGateway, .epoch = 1, .pools = {}};
  for (const auto& [name, unit] : units_) {
    const Deployment& deployment = unit->about.deployment;
    for (const auto& [replica, state] : unit->pool.replicas()) {
      if (!unit->pool.is_ready(state, now_s_)) continue;
      WorkerReport report;
      report.worker_id = replica + "#" + processes_[replica].incarnation;
      report.deployment = name;
      report.replica = replica;
      report.address = "sim:" + replica;
      report.model = deployment.model;
      report.variant = deployment.variant;
      report.region = deployment.region;
      report.pool = deployment.pool;
      report.state = state.is_draining ? WorkerState::kDraining : WorkerState::kReady;
      report.sequences_max = unit->about.speed.slots;
      report.sequences_running = state.running;
      report.kv_tokens_used = state.kv_tokens;
      report.kv_tokens_capacity = unit->about.speed.kv_tokens;
      const LinkId link = std::hash<std::string>()(report.worker_id) + term_;
      fleet_->on_report(link, std::move(report), mono());
    }
    PoolDemand pool = unit->pool.demand(now_s_);
    pool.model = deployment.model;
    pool.region = deployment.region;
    pool.pool = deployment.pool;
    demand.pools.push_back(std::move(pool));
  }
  if (!is_silent_) fleet_->on_demand(std::move(demand), mono());
}

void FleetSim::step() {
  now_s_ += settings_.step_s;
  for (auto& [name, unit] : units_) unit->pool.advance(now_s_);
  report();
  for (const FleetAction& action : fleet_->tick(mono(), wall())) carry_out(action);
  (void)fleet_->take_notes();
}

std::int32_t FleetSim::wanted(const std::string& deployment) const {
  return fleet_->replicas_wanted(fleet_->deployments().at(deployment));
}

std::int32_t FleetSim::ready(const std::string& deployment) const {
  const auto& pool = units_.at(deployment)->pool;
  return static_cast<std::int32_t>(std::count_if(
      pool.replicas().begin(), pool.replicas().end(),
      [&](const auto& entry) { return pool.is_ready(entry.second, now_s_) && !entry.second.is_draining; }));
}

void FleetSim::account(double counted_from_s) {
  for (auto& [name, unit] : units_) {
    const std::int32_t now_wanted = wanted(name);
    const bool was_counting = unit->is_counting;
    if (!was_counting) {
      unit->is_counting = true;
      unit->before = unit->pool.counts();
      unit->wanted = now_wanted;
      unit->outcome.deployment = name;
      unit->outcome.replicas_least = unit->outcome.replicas_most = now_wanted;
      unit->quarter_arrivals = unit->before.arrivals;
    }
    SimOutcome& out = unit->outcome;
    const double held = static_cast<double>(unit->node_of.size());
    const double hours = settings_.step_s / 3'600;
    out.accelerator_hours += held * unit->about.accelerators * hours;
    out.cost_micros += held * hours * static_cast<double>(unit->about.deployment.autoscale.price_micros_per_hour);
    out.replicas_least = std::min(out.replicas_least, now_wanted);
    out.replicas_most = std::max(out.replicas_most, now_wanted);
    if (now_wanted != unit->wanted) {
      const int direction = now_wanted > unit->wanted ? 1 : -1;
      (direction > 0 ? out.ups : out.downs) += 1;
      if (unit->direction != 0 && direction != unit->direction) {
        ++out.reversals;
        unit->reversals.push_back(now_s_);
      }
      unit->direction = direction;
      unit->wanted = now_wanted;
    }
    while (!unit->reversals.empty() && now_s_ - unit->reversals.front() >= 3'600) unit->reversals.pop_front();
    out.reversals_per_hour_max =
        std::max(out.reversals_per_hour_max, static_cast<std::int64_t>(unit->reversals.size()));

    unit->quarter_replicas += held;
    ++unit->quarter_steps;
    const auto quarter = static_cast<std::int64_t>((now_s_ - counted_from_s) / kQuarter);
    if (quarter == unit->quarter || unit->quarter < 0) {
      unit->quarter = quarter;
      continue;
    }
    const std::int64_t arrivals = unit->pool.counts().arrivals;
    out.replicas_by_quarter.push_back(unit->quarter_replicas / unit->quarter_steps);
    out.arrivals_by_quarter.push_back(static_cast<double>(arrivals - unit->quarter_arrivals) /
                                      (unit->quarter_steps * settings_.step_s));
    unit->quarter = quarter;
    unit->quarter_arrivals = arrivals;
    unit->quarter_replicas = 0;
    unit->quarter_steps = 0;
  }
}

std::vector<SimOutcome> FleetSim::run() {
  const double counted_from = settings_.warm_days * kDay;
  const double end = counted_from + settings_.days * kDay;
  while (now_s_ < end) {
    step();
    if (now_s_ >= counted_from) account(counted_from);
  }
  std::vector<SimOutcome> all;
  for (auto& [name, unit] : units_) {
    SimOutcome out = unit->outcome;
    out.deployment = name;
    const SimPool::Counts& now = unit->pool.counts();
    out.counts.arrivals = now.arrivals - unit->before.arrivals;
    out.counts.served = now.served - unit->before.served;
    out.counts.refused = now.refused - unit->before.refused;
    out.counts.in_time = now.in_time - unit->before.in_time;
    out.counts.ttft_sum_s = now.ttft_sum_s - unit->before.ttft_sum_s;
    if (const AutoscaleDecision* made = fleet_->autoscaler().decision_of(name)) out.last_why = made->why;
    all.push_back(std::move(out));
  }
  return all;
}

}  // namespace tidegate::scheduler
