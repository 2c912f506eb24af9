#include "scheduler/control/fleet_control.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <utility>

namespace tidegate::scheduler {

namespace {

constexpr auto kTick = std::chrono::milliseconds(100);
constexpr auto kResend = std::chrono::seconds(5);

Error not_leading() { return {Code::kUnavailable, "not_leader", "this scheduler does not lead; try again or another one"}; }

double seconds(Duration span) { return static_cast<double>(span.count()) / 1e9; }

}  // namespace

FleetControl::FleetControl(const Catalogue& catalogue, Fleet::Settings settings, std::uint64_t seed, RuntimeDriver& driver,
                           const Clock& clock, Log& log, SchedulerMetrics& metrics, Executor executor)
    : fleet_(catalogue, std::move(settings), seed),
      driver_(driver),
      clock_(clock),
      log_(log),
      metrics_(metrics),
      executor_(std::move(executor)),
      stopping_(executor_) {}

void FleetControl::start() {
  is_started_ = true;
  asio::co_spawn(executor_, run(), asio::detached);
}

void FleetControl::stop() {
  if (!std::exchange(is_started_, false)) return;
  stopping_.set();
  ended_.get_future().wait();
}

awaitable<void> FleetControl::run() {
  for (;;) {
    const Deadline next = Deadline::after(clock_.mono(), kTick);
    auto waiting = stopping_.wait_until(next);
    const bool is_stopping = co_await std::move(waiting);
    if (is_stopping) break;
    tick();
  }
  const Error gone(Code::kUnavailable, "scheduler_stopping", "the scheduler is stopping; connect again");
  for (auto& [id, link] : links_) link.close(gone);
  links_.clear();
  watchers_.clear();
  ended_.set_value();
}

void FleetControl::begin_term(Term term, std::vector<Deployment> desired) {
  driver_.begin_term(term);
  fleet_.begin_term(term, std::move(desired), clock_.mono(), clock_.wall());
  // Links that were open under an older term register again, and so learn the new one.
  const Error renew(Code::kUnavailable, "new_term", "a new term began; register again");
  for (auto& [id, link] : std::exchange(links_, {})) link.close(renew);
  tick();
}

void FleetControl::end_term() {
  driver_.end_term();
  fleet_.end_term();
  for (auto& [id, link] : std::exchange(links_, {})) link.close(not_leading());
  for (const RoutesWatcher& watcher : std::exchange(watchers_, {})) watcher.close(not_leading());
  update_metrics();
}

void FleetControl::set_deployment(Deployment deployment) {
  fleet_.set_deployment(std::move(deployment));
  tick();
}

void FleetControl::on_saved(Deployment saved) {
  fleet_.on_saved(std::move(saved));
  if (fleet_.term()) tick();
}

void FleetControl::on_save_failed(const std::string& deployment, const std::string& why) {
  fleet_.on_save_failed(deployment, why, clock_.mono());
}

void FleetControl::remove_deployment(const std::string& name) {
  fleet_.remove_deployment(name);
  tick();
}

LinkId FleetControl::open_link(LinkHandle handle) {
  const LinkId id = next_link_++;
  links_.emplace(id, std::move(handle));
  return id;
}

void FleetControl::on_report(LinkId link, WorkerReport report) {
  const auto found = links_.find(link);
  if (found == links_.end()) return;  // closed by us; its last reports are still on their way
  metrics_.reports.add();
  const bool was_ready = report.state == WorkerState::kReady;
  const bool is_stale = fleet_.term() && !leads();
  switch (is_stale ? Fleet::LinkAnswer::kRefuse : fleet_.on_report(link, std::move(report), clock_.mono())) {
    case Fleet::LinkAnswer::kNone: return;
    case Fleet::LinkAnswer::kWelcome:
      found->second.welcome(*fleet_.term());
      if (was_ready) tick();
      return;
    case Fleet::LinkAnswer::kDrain: found->second.drain(*fleet_.term()); return;
    case Fleet::LinkAnswer::kNewerTerm:
    case Fleet::LinkAnswer::kRefuse: {
      metrics_.reports_refused.add();
      const LinkHandle handle = std::move(found->second);
      links_.erase(found);
      handle.close(not_leading());
      return;
    }
  }
}

void FleetControl::on_link_closed(LinkId link) {
  links_.erase(link);
  fleet_.on_link_closed(link, clock_.mono());
}

Status FleetControl::on_demand(DemandReport report) {
  if (!leads()) return fail(not_leading());
  metrics_.demand_reports.add();
  fleet_.on_demand(std::move(report), clock_.mono());
  return {};
}

void FleetControl::add_watcher(RoutesWatcher watcher) {
  if (leads() && fleet_.is_settled() && !watcher.show(fleet_.routes())) return;
  watchers_.push_back(std::move(watcher));
}

bool FleetControl::leads() const { return fleet_.term() && (!may_act_ || may_act_()); }

void FleetControl::tick() {
  const Mono now = clock_.mono();
  if (leads()) act(now);
  // Who stands by shows nothing, so that nobody is found to be gone by showing.
  std::erase_if(watchers_, [](const RoutesWatcher& watcher) { return !watcher.is_there(); });
  write_notes();
  update_metrics();
  metrics_.tick_seconds.observe(seconds(clock_.mono() - now));
}

void FleetControl::act(Mono now) {
  if (driver_.knows_what_runs()) fleet_.on_processes(driver_.observe(now), now);
  for (const FleetAction& action : fleet_.tick(now, clock_.wall())) carry_out(action);
  for (Deployment& next : fleet_.take_saves()) {
    const std::string name = next.name;
    if (saver_) {
      saver_(std::move(next), *fleet_.term());
    } else {
      fleet_.on_save_failed(name, "nobody stores it", now);
    }
  }
  publish(now);
}

void FleetControl::carry_out(const FleetAction& action) {
  const Term term = *fleet_.term();
  if (const auto* start = std::get_if<StartReplica>(&action)) {
    const Status started = driver_.start(start->spec, term);
    if (!started) fleet_.on_start_failed(start->spec.replica, started.error().message, clock_.mono());
  } else if (const auto* stop = std::get_if<StopReplica>(&action)) {
    const Status stopped = driver_.stop(stop->replica, term);
    if (!stopped) log_.warn("replica_stop_failed", {kv("replica", stop->replica), kv("message", stopped.error().message)});
  } else if (const auto* drain = std::get_if<DrainWorker>(&action)) {
    if (LinkHandle* link = link_of_worker(drain->worker_id)) link->drain(term);
  }
}

FleetControl::LinkHandle* FleetControl::link_of_worker(const std::string& worker_id) {
  const auto worker = fleet_.workers().workers().find(worker_id);
  if (worker == fleet_.workers().workers().end() || !worker->second.link) return nullptr;
  const auto link = links_.find(*worker->second.link);
  return link == links_.end() ? nullptr : &link->second;
}

void FleetControl::publish(Mono now) {
  if (!fleet_.is_settled()) return;
  const RouteSnapshot& routes = fleet_.routes();
  const bool changed = routes.term != published_term_ || routes.version != published_version_;
  if (!changed && now - published_at_ < kResend) return;
  published_term_ = routes.term;
  published_version_ = routes.version;
  published_at_ = now;
  std::erase_if(watchers_, [&](const RoutesWatcher& watcher) { return !watcher.show(routes); });
}

void FleetControl::write_notes() {
  for (const FleetNote& note : fleet_.take_notes()) {
    if (note.event == "fit_prediction_off" || note.event == "rollout_failed") {
      log_.warn(note.event, {kv("worker_id", note.worker_id), kv("replica", note.replica), kv("detail", note.detail)});
      continue;
    }
    log_.info(note.event, {kv("worker_id", note.worker_id), kv("replica", note.replica), kv("detail", note.detail)});
  }
}

void FleetControl::update_metrics() {
  metrics_.is_leader.set(leads() ? 1 : 0);
  if (fleet_.term()) metrics_.term.set(static_cast<double>(*fleet_.term()));
  double live = 0, ready = 0;
  for (const auto& [id, worker] : fleet_.workers().workers()) {
    live += worker.live ? 1 : 0;
    ready += worker.live && worker.report.state == WorkerState::kReady ? 1 : 0;
  }
  double desired = 0, replicas_ready = 0;
  AutoscaleFigures all;
  double rolling = 0, waiting = 0, back = 0, failed = 0;
  for (const auto& [name, deployment] : fleet_.deployments()) {
    desired += fleet_.replicas_wanted(deployment);
    if (deployment.autoscale.is_on) all.add(show_autoscale(name, deployment));
    replicas_ready += fleet_.status_of(name).replicas_ready;
    rolling += deployment.rollout.phase == RolloutPhase::kRolling ? 1 : 0;
    waiting += deployment.rollout.phase == RolloutPhase::kWaiting ? 1 : 0;
    back += deployment.rollout.phase == RolloutPhase::kBack ? 1 : 0;
    failed += deployment.rollout.phase == RolloutPhase::kFailed ? 1 : 0;
  }
  metrics_.rollouts_rolling.set(rolling);
  metrics_.rollouts_waiting.set(waiting);
  metrics_.rollouts_back.set(back);
  metrics_.rollouts_failed.set(failed);
  metrics_.moves.set(static_cast<double>(fleet_.moves_total()));
  metrics_.homeless.set(static_cast<double>(fleet_.homeless()));
  metrics_.autoscale_all.show(all);
  forget_autoscale();
  const Autoscaler::Totals& moves = fleet_.autoscaler().totals();
  metrics_.autoscale_ups.set(static_cast<double>(moves.ups));
  metrics_.autoscale_downs.set(static_cast<double>(moves.downs));
  metrics_.autoscale_reversals.set(static_cast<double>(moves.reversals));
  metrics_.autoscale_gateways.set(static_cast<double>(fleet_.autoscaler().gateways(clock_.mono())));
  metrics_.workers_live.set(live);
  metrics_.workers_ready.set(ready);
  metrics_.deployments.set(static_cast<double>(fleet_.deployments().size()));
  metrics_.replicas_desired.set(desired);
  metrics_.replicas_ready.set(replicas_ready);
  metrics_.restarts.set(static_cast<double>(fleet_.reconciler().restarts_total()));
  metrics_.start_failures.set(static_cast<double>(fleet_.reconciler().start_failures_total()));
  metrics_.fit_error_ratio.set(fleet_.fit_check().worst_error_ratio());
  metrics_.links.set(static_cast<double>(links_.size()));
  metrics_.watchers.set(static_cast<double>(watchers_.size()));
  if (fleet_.term()) {
    metrics_.routes.set(static_cast<double>(fleet_.routes().routes.size()));
    metrics_.routes_version.set(static_cast<double>(fleet_.routes().version));
  }
}

AutoscaleFigures FleetControl::show_autoscale(const std::string& name, const Deployment& deployment) {
  AutoscaleFigures figures;
  figures.wanted = fleet_.replicas_wanted(deployment);
  figures.at_most = replicas_ceiling(deployment.autoscale);
  if (const AutoscaleDecision* made = fleet_.autoscaler().decision_of(name)) {
    figures.load = made->load;
    figures.forecast = made->forecast;
    figures.needed = made->needed;
  }
  auto known = autoscale_shown_.find(name);
  if (known == autoscale_shown_.end()) known = autoscale_shown_.emplace(name, metrics_.autoscale(name)).first;
  known->second.show(figures);
  return figures;
}

/// A deployment that is gone wants nothing.
void FleetControl::forget_autoscale() {
  std::erase_if(autoscale_shown_, [this](auto& entry) {
    const auto found = fleet_.deployments().find(entry.first);
    if (found != fleet_.deployments().end() && found->second.autoscale.is_on) return false;
    entry.second.show({});
    return true;
  });
}

}  // namespace tidegate::scheduler
