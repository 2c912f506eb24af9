#include "scheduler/core/fleet.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "scheduler/core/traffic_shares.h"

namespace tidegate::scheduler {

namespace {

/// For the log: where a rollout is after this step.
std::string describe(const Deployment& before, const Deployment& next) {
  const Rollout& rollout = next.rollout;
  if (rollout.phase == RolloutPhase::kNone) {
    return next.revision == before.revision
               ? fmt::format("revision {} is gone, {} serves", before.rollout.revision, next.revision)
               : fmt::format("revision {} serves, {} goes", next.revision, before.revision);
  }
  if (rollout.phase == RolloutPhase::kBack) {
    return fmt::format("revision {} goes back: {}", rollout.revision, rollout.why);
  }
  if (rollout.phase == RolloutPhase::kFailed) {
    return fmt::format("revision {} failed: {}", rollout.revision, rollout.why);
  }
  if (rollout.steps.empty()) return fmt::format("revision {}: {} replicas replaced", rollout.revision, rollout.done);
  if (rollout.done == 0) return fmt::format("revision {}: no traffic yet", rollout.revision);
  return fmt::format("revision {}: {} % of the traffic", rollout.revision,
                     rollout.steps[static_cast<std::size_t>(rollout.done) - 1]);
}

}  // namespace

Fleet::Fleet(const Catalogue& catalogue, Settings settings, std::uint64_t seed)
    : catalogue_(catalogue),
      settings_(std::move(settings)),
      workers_(settings_.workers),
      reconciler_(settings_.reconciler, seed),
      autoscaler_(settings_.autoscale) {}

void Fleet::begin_term(Term term, std::vector<Deployment> desired, Mono now, Wall wall) {
  end_term();
  term_ = term;
  term_began_ = now;
  is_settled_ = false;
  routes_.begin_term(term);
  reconciler_.begin_term(now, wall);
  term_wall_ = wall;
  wall_ = wall;
  for (Deployment& deployment : desired) set_deployment(std::move(deployment));
}

void Fleet::end_term() {
  if (term_) {
    awaited_.clear();
    for (const auto& [id, worker] : workers_.workers()) {
      if (worker.live) awaited_.insert(id);
    }
  }
  term_.reset();
  workers_ = WorkerTable(settings_.workers);
  fit_check_.clear();
  speed_log_.clear();
  deployments_.clear();
  processes_.clear();
  processes_known_ = false;
  told_to_go_.clear();
  autoscaler_.begin_term();
  leaving_.clear();
  early_stops_.clear();
  saving_.clear();
  saves_.clear();
  pool_watch_.begin_term();
  moving_.clear();
  drain_told_.clear();
  moves_total_ = 0;
}

void Fleet::set_deployment(Deployment deployment) {
  std::string name = deployment.name;
  const auto known = deployments_.find(name);
  if (known != deployments_.end() && deployment.version < known->second.version) return;
  deployments_.insert_or_assign(std::move(name), std::move(deployment));
}

void Fleet::remove_deployment(const std::string& name) { deployments_.erase(name); }

void Fleet::note(std::string event, std::string worker_id, std::string replica, std::string detail) {
  notes_.push_back({std::move(event), std::move(worker_id), std::move(replica), std::move(detail)});
}

Fleet::LinkAnswer Fleet::on_report(LinkId link, WorkerReport report, Mono now) {
  if (!term_) return LinkAnswer::kRefuse;
  if (report.term_seen > *term_) {
    note("newer_term_seen", report.worker_id, report.replica, std::to_string(report.term_seen));
    return LinkAnswer::kNewerTerm;
  }
  const std::string id = report.worker_id;
  const std::string replica = report.replica;
  note_speed(report, now);
  switch (workers_.report(link, std::move(report), now)) {
    case WorkerTable::Registration::kKnown:
      check_fit(id);
      return LinkAnswer::kNone;
    case WorkerTable::Registration::kNew:
      note("worker_registered", id, replica);
      check_fit(id);
      return LinkAnswer::kWelcome;
    case WorkerTable::Registration::kDuplicateReplica:
      if (!told_to_go_.insert(link).second) return LinkAnswer::kNone;
      note("duplicate_replica_refused", id, replica);
      return LinkAnswer::kDrain;
  }
  return LinkAnswer::kNone;
}

void Fleet::note_speed(const WorkerReport& report, Mono now) {
  const auto known = workers_.workers().find(report.worker_id);
  const bool is_known = known != workers_.workers().end();
  const Duration span = is_known ? now - known->second.last_seen : Duration::zero();
  speed_log_.note(report, is_known ? &known->second.report : nullptr, span);
}

// Only of a deployment we know: of a worker started by hand nobody knows how it was started.
void Fleet::check_fit(const std::string& worker_id) {
  const WorkerReport& report = workers_.workers().at(worker_id).report;
  const auto found = deployments_.find(report.deployment);
  if (found == deployments_.end() || report.state != WorkerState::kReady || fit_check_.has_judged(report.worker_id)) return;
  Deployment as_started = found->second;
  const std::int32_t revision = revision_of(report.replica);
  if (revision == as_started.rollout.revision) {
    set_spec(as_started, as_started.rollout.spec);
  } else if (revision != as_started.revision) {
    return;  // of a revision that is gone
  }
  as_started.sequences_max = report.sequences_max;  // the spec may have changed since
  const std::int64_t predicted = predicted_kv_tokens(as_started, catalogue_);
  const auto finding = fit_check_.judge(report.worker_id, report.state, report.kv_tokens_capacity, predicted);
  if (finding && finding->is_off()) note("fit_prediction_off", report.worker_id, report.replica, finding->to_string());
}

void Fleet::on_link_closed(LinkId link, Mono now) {
  told_to_go_.erase(link);
  workers_.link_closed(link, now);
}

void Fleet::on_processes(std::vector<ReplicaProcess> processes, Mono) {
  std::map<std::string, ReplicaProcess> next;
  for (ReplicaProcess& process : processes) {
    const auto before = processes_.find(process.replica);
    const bool death_known = before != processes_.end() && !before->second.alive &&
                             before->second.incarnation == process.incarnation;
    // Only a new death removes the worker: the replica's next worker may have registered already.
    if (!process.alive && !death_known) {
      if (const auto gone = workers_.replica_died(process.replica)) {
        fit_check_.forget(gone->worker_id);
        note("worker_died", gone->worker_id, process.replica, process.exit);
      }
    }
    std::string name = process.replica;
    next.insert_or_assign(std::move(name), std::move(process));
  }
  processes_ = std::move(next);
  processes_known_ = true;
}

void Fleet::on_start_failed(const std::string& replica, const std::string& why, Mono now) {
  note("replica_start_failed", {}, replica, why);
  reconciler_.start_failed(replica, why, now);
}

std::map<std::string, ReplicaWorker> Fleet::replica_workers() const {
  std::map<std::string, ReplicaWorker> by_replica;
  for (const auto& [id, worker] : workers_.workers()) {
    const WorkerReport& report = worker.report;
    if (!worker.live || report.replica.empty()) continue;
    by_replica[report.replica] = {
        .worker_id = id, .deployment = report.deployment, .ready = report.state == WorkerState::kReady};
  }
  return by_replica;
}

void Fleet::on_demand(DemandReport report, Mono now) {
  if (term_) autoscaler_.on_demand(std::move(report), now);
}

void Fleet::scale(Mono now, Wall wall) {
  for (const Autoscaler::Change& change : autoscaler_.run(deployments_, processes_, workers_, term_wall_, now, wall)) {
    note("autoscaled", {}, change.deployment, change.made.why);
  }
}

std::vector<FleetAction> Fleet::tick(Mono now, std::optional<Wall> wall) {
  std::vector<FleetAction> actions;
  if (!term_) return actions;
  for (const WorkerReport& lost : workers_.tick(now)) {
    fit_check_.forget(lost.worker_id);
    note("worker_lost", lost.worker_id, lost.replica);
  }
  wall_ = wall.value_or(term_wall_ + std::chrono::duration_cast<Wall::duration>(now - term_began_));
  publish();
  settle(now);
  if (!processes_known_) return actions;  // never start what may be running
  scale(now, wall_);
  std::vector<DesiredDeployment> desired;
  for (const auto& [name, deployment] : deployments_) {
    const RolloutTargets targets = targets_of(deployment);
    Deployment sized = deployment;
    sized.replicas = targets.stable + targets.candidate;
    desired.push_back({std::move(sized), specs_of(deployment)});
  }
  actions = reconciler_.reconcile(desired, processes_, replica_workers(), now);
  hold_stops(actions, now);
  space_drains(actions, now);
  if (is_settled_) {
    advance_rollouts(now);
    move_lost(now);
  }
  publish();  // what is about to stop is out of the picture first
  for (const FleetAction& action : actions) {
    if (const auto* start = std::get_if<StartReplica>(&action)) {
      note("replica_start", {}, start->spec.replica);
      autoscaler_.on_replica_start(start->spec.replica, now);
    }
    if (const auto* stop = std::get_if<StopReplica>(&action)) note("replica_stop", {}, stop->replica);
  }
  return actions;
}

bool Fleet::is_live(const std::string& worker_id) const {
  const auto found = workers_.workers().find(worker_id);
  return found != workers_.workers().end() && found->second.live;
}

void Fleet::settle(Mono now) {
  if (is_settled_) return;
  if (now - term_began_ < settings_.settle_limit) {
    if (!processes_known_) return;
    for (const auto& [replica, process] : processes_) {
      if (process.alive && workers_.of_replica(replica) == nullptr) return;
    }
    for (const std::string& worker : awaited_) {
      if (!is_live(worker)) return;
    }
  }
  is_settled_ = true;
  awaited_.clear();
}

void Fleet::publish() {
  std::set<std::string> models;
  std::set<Offer> offers;
  for (const auto& [name, deployment] : deployments_) {
    // None may run just now: its first request wakes one.
    if (deployment.is_drained || (!deployment.autoscale.is_on && deployment.replicas == 0)) continue;
    models.insert(public_model(deployment));
    if (!deployment.autoscale.is_on) continue;
    const auto model = catalogue_.models().find(deployment.model);
    if (model == catalogue_.models().end()) continue;
    offers.insert({public_model(deployment), deployment.region, deployment.pool, model->second.context_max});
  }
  // A worker started by hand has no deployment that would offer its model.
  for (const auto& [id, worker] : workers_.workers()) {
    const WorkerReport& report = worker.report;
    if (worker.live && report.deployment.empty() && report.state == WorkerState::kReady) models.insert(report.model);
  }
  std::vector<Route> routes = workers_.routes();
  for (Route& route : routes) {
    const std::string& replica = workers_.workers().at(route.worker_id).report.replica;
    route.draining = route.draining || leaving_.contains(replica);
  }
  routes_.update(std::move(routes), {models.begin(), models.end()}, {offers.begin(), offers.end()}, shares());
}

std::int32_t Fleet::ready_of(const Deployment& deployment, std::int32_t revision) const {
  std::int32_t ready = 0;
  for (const auto& [id, worker] : workers_.workers()) {
    const WorkerReport& report = worker.report;
    const bool is_of_it = report.deployment == deployment.name && revision_of(report.replica) == revision;
    if (worker.live && is_of_it && report.state == WorkerState::kReady && !leaving_.contains(report.replica)) ++ready;
  }
  return ready;
}

std::vector<TrafficShare> Fleet::shares() const {
  const auto is_divided = [](const auto& entry) {
    const Rollout& rollout = entry.second.rollout;
    return rollout.phase != RolloutPhase::kNone && !rollout.steps.empty();
  };
  if (std::none_of(deployments_.begin(), deployments_.end(), is_divided)) return {};
  std::vector<TrafficPart> parts;
  for (const auto& [name, deployment] : deployments_) {
    parts.push_back({.deployment = &deployment,
                     .wanted = replicas_wanted(deployment),
                     .stable_ready = ready_of(deployment, deployment.revision),
                     .candidate_ready = ready_of(deployment, deployment.rollout.revision)});
  }
  std::map<Offer, std::int32_t> by_hand;
  for (const auto& [id, worker] : workers_.workers()) {
    const WorkerReport& report = worker.report;
    if (!worker.live || !report.deployment.empty() || report.state != WorkerState::kReady) continue;
    ++by_hand[Offer{report.model, report.region, report.pool, 0}];
  }
  return traffic_shares(parts, by_hand, wall_);
}

/// Of both revisions.
std::vector<ReplicaSpec> Fleet::specs_of(const Deployment& deployment) const {
  const RolloutTargets targets = targets_of(deployment);
  Deployment sized = deployment;
  sized.replicas = targets.stable;
  std::vector<ReplicaSpec> specs = replica_specs(sized, catalogue_, settings_.models_folder);
  if (targets.candidate == 0) return specs;
  set_spec(sized, deployment.rollout.spec);
  sized.revision = deployment.rollout.revision;
  sized.replicas = targets.candidate;
  std::vector<ReplicaSpec> added = replica_specs(sized, catalogue_, settings_.models_folder);
  std::move(added.begin(), added.end(), std::back_inserter(specs));
  return specs;
}

std::vector<ReplicaProgress> Fleet::progress_of(const Deployment& deployment) const {
  std::set<std::string> wanted;
  for (const ReplicaSpec& spec : specs_of(deployment)) wanted.insert(spec.replica);
  std::set<std::string> leaving;
  for (const auto& [replica, since] : leaving_) leaving.insert(replica);
  return replica_progress(deployment.name, wanted, leaving, {processes_, workers_, reconciler_});
}

std::string Fleet::candidate_failure(const Deployment& deployment, std::int32_t replicas) const {
  const Rollout& rollout = deployment.rollout;
  const CatalogueVariant* variant = catalogue_.find(rollout.spec.model, rollout.spec.variant);
  if (variant == nullptr) {
    return fmt::format("the catalogue no longer has {} {}", rollout.spec.model, rollout.spec.variant);
  }
  for (std::int32_t i = 0; i < replicas; ++i) {
    const std::string replica = replica_name(deployment.name, rollout.revision, i);
    if (reconciler_.is_crash_loop(replica)) return fmt::format("{} {}", replica, reconciler_.failure_of(replica));
    const WorkerTable::Worker* worker = workers_.of_replica(replica);
    if (worker == nullptr || variant->weights_digest.empty() || worker->report.weights_digest.empty()) continue;
    if (worker->report.weights_digest == variant->weights_digest) continue;
    return fmt::format("{} has other weights than the catalogue says: {}", replica, worker->report.weights_digest);
  }
  return {};
}

std::string Fleet::stable_failure(const Deployment& deployment, std::int32_t replicas) const {
  if (catalogue_.find(deployment.model, deployment.variant) == nullptr) {
    return fmt::format("the catalogue no longer has {} {}", deployment.model, deployment.variant);
  }
  for (std::int32_t i = 0; i < replicas; ++i) {
    const std::string replica = replica_name(deployment.name, deployment.revision, i);
    // One that loads may serve yet, however often it died before: what stood in its way may have gone.
    if (!reconciler_.is_crash_loop(replica) || reconciler_.is_starting(replica)) continue;
    return fmt::format("{} {}", replica, reconciler_.failure_of(replica));
  }
  return {};
}

RolloutView Fleet::view_of(const Deployment& deployment) const {
  RolloutView view;
  view.wanted = replicas_wanted(deployment);
  view.stable_ready = ready_of(deployment, deployment.revision);
  view.candidate_ready = ready_of(deployment, deployment.rollout.revision);
  const RolloutTargets targets = targets_of(deployment);
  view.candidate_failure = candidate_failure(deployment, targets.candidate);
  view.stable_failure = stable_failure(deployment, targets.stable);
  return view;
}

void Fleet::advance_rollouts(Mono now) {
  for (const auto& [name, deployment] : deployments_) {
    if (deployment.rollout.phase == RolloutPhase::kNone) continue;
    Saving& saving = saving_[name];
    if (saving.is_under_way || now < saving.not_before) continue;
    std::optional<Deployment> next = advance_rollout(deployment, view_of(deployment), wall_);
    if (!next) continue;
    const bool is_failed = next->rollout.phase == RolloutPhase::kFailed;
    note(is_failed ? "rollout_failed" : "rollout_step", {}, name, describe(deployment, *next));
    saving.is_under_way = true;
    saves_.push_back(*std::move(next));
  }
  std::erase_if(saving_, [this](const auto& entry) { return !deployments_.contains(entry.first); });
}

std::vector<Deployment> Fleet::take_saves() { return std::exchange(saves_, {}); }

void Fleet::on_saved(Deployment saved) {
  if (!term_) return;
  saving_.erase(saved.name);
  const auto known = deployments_.find(saved.name);
  if (known == deployments_.end()) return;  // deleted meanwhile: it must not come back
  const bool is_elsewhere = known->second.region != saved.region || known->second.pool != saved.pool;
  if (is_elsewhere && moving_.contains(saved.name)) ++moves_total_;
  set_deployment(std::move(saved));
}

void Fleet::on_save_failed(const std::string& deployment, const std::string& why, Mono now) {
  if (!term_) return;
  note("rollout_step_not_stored", {}, deployment, why);
  saving_[deployment] = {.is_under_way = false, .not_before = now + settings_.save_again_after};
}

/// Until the routes are shown gateways use those of the term before: a notice would reach nobody, and a replica whose
/// worker has not come back yet may be serving. So the notice begins when they are.
void Fleet::hold_early_stops(std::vector<FleetAction>& actions) {
  std::erase_if(early_stops_, [this](const std::string& replica) {
    const auto found = processes_.find(replica);
    return found == processes_.end() || !found->second.alive;  // its next run is not meant
  });
  if (is_settled_) {
    for (const std::string& replica : early_stops_) actions.push_back(StopReplica{replica});
    early_stops_.clear();
    return;
  }
  std::erase_if(actions, [this](const FleetAction& action) {
    const auto* stop = std::get_if<StopReplica>(&action);
    if (stop == nullptr) return false;
    const auto found = processes_.find(stop->replica);
    if (found != processes_.end() && !found->second.alive) return false;  // only to be forgotten
    early_stops_.insert(stop->replica);
    return true;
  });
}

/// Takes away the stops of replicas that serve, and gives back those whose notice is over.
void Fleet::hold_stops(std::vector<FleetAction>& actions, Mono now) {
  if (settings_.stop_notice == Duration::zero()) return;
  hold_early_stops(actions);
  std::erase_if(leaving_, [this](const auto& entry) {
    const WorkerTable::Worker* worker = workers_.of_replica(entry.first);
    return worker == nullptr || worker->report.worker_id != entry.second.worker_id;
  });
  std::erase_if(actions, [&](const FleetAction& action) {
    const auto* stop = std::get_if<StopReplica>(&action);
    if (stop == nullptr) return false;
    const WorkerTable::Worker* worker = workers_.of_replica(stop->replica);
    if (worker == nullptr || worker->report.state != WorkerState::kReady) return false;
    leaving_.try_emplace(stop->replica, Leaving{.worker_id = worker->report.worker_id, .since = now});
    return true;
  });
  for (auto& [replica, leaving] : leaving_) {
    if (leaving.is_told || now - leaving.since < settings_.stop_notice) continue;
    leaving.is_told = true;
    actions.push_back(StopReplica{replica});
  }
}

void Fleet::space_drains(std::vector<FleetAction>& actions, Mono now) {
  std::map<std::string, Mono> told;
  std::erase_if(actions, [&](const FleetAction& action) {
    const auto* drain = std::get_if<DrainWorker>(&action);
    if (drain == nullptr) return false;
    const auto before = drain_told_.find(drain->worker_id);
    if (before == drain_told_.end()) note("worker_drain", drain->worker_id, {});
    const bool is_told = before != drain_told_.end() && now - before->second < settings_.drain_again_after;
    told.emplace(drain->worker_id, is_told ? before->second : now);
    return is_told;
  });
  drain_told_ = std::move(told);
}

bool Fleet::has_worker(const Deployment& deployment) const {
  return std::ranges::any_of(workers_.workers(), [&](const auto& entry) {
    const WorkerReport& report = entry.second.report;
    return entry.second.live && report.deployment == deployment.name && report.pool == deployment.pool &&
           report.region == deployment.region && !leaving_.contains(report.replica);
  });
}

void Fleet::move_lost(Mono now) {
  if (!settings_.find_home) return;
  std::set<std::string> placed;
  for (const auto& [name, deployment] : deployments_) {
    if (!deployment.placement.is_on) continue;
    placed.insert(name);
    const RolloutPhase phase = deployment.rollout.phase;
    const bool may_move = phase == RolloutPhase::kNone || phase == RolloutPhase::kFailed;
    PoolWatch::View view{.pool = {deployment.region, deployment.pool}};
    view.is_wanted = may_move && replicas_wanted(deployment) > 0;
    view.ready = ready_of(deployment, deployment.revision) + ready_of(deployment, deployment.rollout.revision);
    view.has_worker = has_worker(deployment);
    if (pool_watch_.is_lost(name, view, std::chrono::seconds(deployment.placement.lost_after_s), now)) {
      move(deployment, now);
    } else if (const auto known = moving_.find(name); known != moving_.end() && known->second.is_homeless) {
      moving_.erase(known);  // it serves again where it is
    }
  }
  pool_watch_.keep_only(placed, now);
  std::erase_if(moving_, [&](const auto& entry) { return !placed.contains(entry.first); });
}

void Fleet::move(const Deployment& deployment, Mono now) {
  const PoolName here{deployment.region, deployment.pool};
  pool_watch_.shun(deployment.name, here, now);
  Saving& saving = saving_[deployment.name];
  Moving& moving = moving_[deployment.name];
  if (saving.is_under_way || now < saving.not_before || now < moving.not_before) return;
  moving.not_before = now + settings_.find_again_after;
  const std::string lost =
      fmt::format("nothing served in {} for {} s", here.to_string(), deployment.placement.lost_after_s);
  Result<PoolName> home = settings_.find_home(home_request(deployment, now));
  Result<Deployment> next = home ? move_deployment(deployment, *home) : Result<Deployment>(fail(home.error()));
  if (!next) {
    const std::string why = fmt::format("{}; {}", lost, next.error().message);
    if (!moving.is_homeless || moving.why != why) note("no_pool_to_move_to", {}, deployment.name, why);
    moving.is_homeless = true;
    moving.why = why;
    return;
  }
  moving.is_homeless = false;
  moving.why = fmt::format("moved to {}: {}", home->to_string(), lost);
  note("deployment_moved", {}, deployment.name, moving.why);
  saving.is_under_way = true;
  saves_.push_back(*std::move(next));
}

HomeRequest Fleet::home_request(const Deployment& deployment, Mono now) const {
  HomeRequest request{.deployment = deployment};
  request.replicas = std::max(replicas_wanted(deployment), 1);
  std::set<PoolName> serving;
  for (const auto& [id, worker] : workers_.workers()) {
    const WorkerReport& report = worker.report;
    if (worker.live && report.state == WorkerState::kReady) serving.insert({report.region, report.pool});
  }
  request.lost = pool_watch_.shunned_by(deployment.name, serving, now);
  for (const auto& [name, other] : deployments_) {
    if (name != deployment.name) request.replicas_in[{other.region, other.pool}] += replicas_wanted(other);
  }
  return request;
}

std::string Fleet::placement_why(const std::string& deployment) const {
  const auto known = moving_.find(deployment);
  return known == moving_.end() ? std::string() : known->second.why;
}

std::int64_t Fleet::homeless() const {
  return std::ranges::count_if(moving_, [](const auto& entry) { return entry.second.is_homeless; });
}

DeploymentStatus Fleet::status_of(const std::string& deployment) const {
  const auto& statuses = reconciler_.statuses();
  const auto found = statuses.find(deployment);
  return found == statuses.end() ? DeploymentStatus{} : found->second;
}

std::vector<std::string> Fleet::deleting() const {
  std::vector<std::string> names;
  for (const auto& [name, status] : reconciler_.statuses()) {
    if (!deployments_.contains(name)) names.push_back(name);
  }
  return names;
}

std::vector<FleetNote> Fleet::take_notes() { return std::exchange(notes_, {}); }

}  // namespace tidegate::scheduler
