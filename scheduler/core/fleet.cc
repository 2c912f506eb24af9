#include "scheduler/core/fleet.h"

#include <utility>

namespace tidegate::scheduler {

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
  deployments_.clear();
  processes_.clear();
  processes_known_ = false;
  told_to_go_.clear();
  autoscaler_.begin_term();
}

void Fleet::set_deployment(Deployment deployment) {
  std::string name = deployment.name;
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

// Only of a deployment we know: of a worker started by hand nobody knows how it was started.
void Fleet::check_fit(const std::string& worker_id) {
  const WorkerReport& report = workers_.workers().at(worker_id).report;
  const auto found = deployments_.find(report.deployment);
  if (found == deployments_.end() || report.state != WorkerState::kReady || fit_check_.has_judged(report.worker_id)) return;
  Deployment as_started = found->second;
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
  publish();
  settle(now);
  if (!processes_known_) return actions;  // never start what may be running
  scale(now, wall.value_or(term_wall_ + std::chrono::duration_cast<Wall::duration>(now - term_began_)));
  std::vector<DesiredDeployment> desired;
  for (const auto& [name, deployment] : deployments_) {
    Deployment sized = deployment;
    sized.replicas = autoscaler_.replicas_of(deployment);
    std::vector<ReplicaSpec> specs = replica_specs(sized, catalogue_, settings_.models_folder);
    desired.push_back({std::move(sized), std::move(specs)});
  }
  actions = reconciler_.reconcile(desired, processes_, replica_workers(), now);
  for (const FleetAction& action : actions) {
    if (const auto* start = std::get_if<StartReplica>(&action)) {
      note("replica_start", {}, start->spec.replica);
      autoscaler_.on_replica_start(start->spec.replica, now);
    }
    if (const auto* stop = std::get_if<StopReplica>(&action)) note("replica_stop", {}, stop->replica);
    if (const auto* drain = std::get_if<DrainWorker>(&action)) note("worker_drain", drain->worker_id, {});
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
    if (!deployment.autoscale.is_on && deployment.replicas == 0) continue;
    models.insert(deployment.model);
    if (!deployment.autoscale.is_on) continue;
    const auto model = catalogue_.models().find(deployment.model);
    if (model == catalogue_.models().end()) continue;
    offers.insert({deployment.model, deployment.region, deployment.pool, model->second.context_max});
  }
  // A worker started by hand has no deployment that would offer its model.
  for (const auto& [id, worker] : workers_.workers()) {
    const WorkerReport& report = worker.report;
    if (worker.live && report.deployment.empty() && report.state == WorkerState::kReady) models.insert(report.model);
  }
  routes_.update(workers_.routes(), {models.begin(), models.end()},
                 {offers.begin(), offers.end()});
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
