#include "scheduler/core/autoscaler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/price/local_windows.h"

namespace tidegate::scheduler {

namespace {

constexpr std::size_t kReadyTimes = 16;
constexpr std::int32_t kOrdinalsMax = 64;

/// Replicas are numbered from zero, so the last one that runs says how many there are.
std::int32_t running_replicas(const std::string& deployment, std::int32_t revision,
                              const std::map<std::string, ReplicaProcess>& processes) {
  std::int32_t count = 0;
  for (std::int32_t i = 0; i < kOrdinalsMax; ++i) {
    const auto found = processes.find(replica_name(deployment, revision, i));
    if (found != processes.end() && found->second.alive) count = i + 1;
  }
  return count;
}

/// While one takes another's place, both revisions together are the deployment; by steps, the stable one is whole.
std::int32_t running_replicas(const Deployment& deployment, const std::map<std::string, ReplicaProcess>& processes) {
  const std::int32_t stable = running_replicas(deployment.name, deployment.revision, processes);
  if (deployment.rollout.phase == RolloutPhase::kNone || !deployment.rollout.steps.empty()) return stable;
  const Rollout& rollout = deployment.rollout;
  return stable + std::min(running_replicas(deployment.name, rollout.revision, processes), rollout.done);
}

bool is_same_pool(const Deployment& a, const Deployment& b) { return a.region == b.region && a.pool == b.pool; }
std::int64_t price_of(const Deployment& deployment) {
  return std::max<std::int64_t>(deployment.autoscale.price_micros_per_hour, 1);
}

}  // namespace

std::int32_t week_minute_of(const std::string& zone, Wall wall) {
  const auto loaded = price::load_zone(zone);
  if (!loaded) {
    const auto minutes = unix_micros(wall) / 60'000'000;
    return static_cast<std::int32_t>((minutes + 3 * kMinutesPerDay) % kMinutesPerWeek);
  }
  const price::LocalMoment local = price::local_moment(*loaded, wall);
  const auto weekday = static_cast<std::int32_t>((local.day + 3) % 7);  // day 0 was a Thursday
  return weekday * kMinutesPerDay + local.second / 60;
}

void Autoscaler::begin_term() {
  entries_.clear();
  ordered_.clear();
  book_ = DemandBook();
}

std::vector<Autoscaler::Change> Autoscaler::run(const std::map<std::string, Deployment>& deployments,
                                                const std::map<std::string, ReplicaProcess>& processes,
                                                const WorkerTable& workers, Wall began, Mono now, Wall wall) {
  std::vector<Change> changes;
  std::erase_if(entries_, [&](const auto& entry) {
    const auto found = deployments.find(entry.first);
    return found == deployments.end() || !found->second.autoscale.is_on;
  });
  measure_starts(deployments, workers, now);
  const auto decide = [&](const std::string& name, const Deployment& deployment) {
    Entry& entry = entries_[name];
    AutoscaleState& state = entry.state;
    const bool is_new = !state.is_started;
    const bool must_wake = !is_new && state.replicas == 0 &&
                           book_.waiting(public_model(deployment), deployment.region, deployment.pool, now) > 0;
    if (!is_new && now < entry.next && !must_wake) return;
    entry.next = now + settings_.interval;
    const std::int32_t minute = week_minute_of(deployment.autoscale.zone, wall);
    if (is_new) {
      const std::int32_t runs = running_replicas(deployment, processes);
      const bool has_history = deployment.created_at < began || runs > 0;
      begin_autoscale(state, deployment.autoscale, has_history ? runs : deployment.replicas, minute, now);
    }
    AutoscaleObservation seen = observe(deployment, entry, workers, share_of(deployment, deployments), now);
    seen.week_minute = minute;
    if (deployment.autoscale.batch_surplus) seen.surplus = surplus_for(deployment, deployments);
    const std::int32_t before = state.replicas;
    AutoscaleDecision made = autoscale(state, deployment.autoscale, settings_, seen, now);
    count(entry, before, made.replicas);
    if (before != made.replicas) changes.push_back({name, before, std::move(made)});
  };
  // Batch work last: it gets what the others left in this very round.
  for (const bool is_batch : {false, true}) {
    for (const auto& [name, deployment] : deployments) {
      if (deployment.autoscale.is_on && deployment.autoscale.batch_surplus == is_batch) decide(name, deployment);
    }
  }
  return changes;
}

void Autoscaler::measure_starts(const std::map<std::string, Deployment>& deployments, const WorkerTable& workers,
                                Mono now) {
  if (ordered_.empty()) return;
  for (const auto& [id, worker] : workers.workers()) {
    if (!worker.live || worker.report.state != WorkerState::kReady) continue;
    const auto found = ordered_.find(worker.report.replica);
    if (found == ordered_.end()) continue;
    const auto entry = entries_.find(worker.report.deployment);
    if (entry != entries_.end()) {
      auto& times = entry->second.ready_times;
      times.push_back(now - found->second);
      if (times.size() > kReadyTimes) times.pop_front();
    }
    ordered_.erase(found);
  }
  // Those that never served: their deployment is gone, or they were stopped before.
  std::erase_if(ordered_, [&](const auto& entry) {
    const std::string deployment(deployment_of(entry.first));
    return !deployments.contains(deployment) || now - entry.second > std::chrono::hours(1);
  });
}

AutoscaleObservation Autoscaler::observe(const Deployment& deployment, Entry& entry, const WorkerTable& workers,
                                         double share, Mono now) {
  AutoscaleObservation seen;
  for (const auto& [id, worker] : workers.workers()) {
    const WorkerReport& report = worker.report;
    if (!worker.live || report.deployment != deployment.name || report.state != WorkerState::kReady) continue;
    ++seen.ready;
    seen.running += report.sequences_running;
    seen.slots += report.sequences_max;
    seen.kv_tokens_used += report.kv_tokens_used;
    seen.kv_tokens_capacity += report.kv_tokens_capacity;
  }
  seen.pending = std::max(0, entry.state.replicas - seen.ready);
  const DemandBook::Rates rates =
      book_.take(public_model(deployment), deployment.region, deployment.pool, entry.demand, now);
  seen.is_demand_known = rates.is_known;
  seen.arrivals_per_s = rates.arrivals_per_s * share;
  seen.dispatches_per_s = rates.dispatches_per_s * share;
  seen.refusals_per_s = rates.refusals_per_s * share;
  seen.prompt_tokens_per_s = rates.prompt_tokens_per_s * share;
  seen.waiting = static_cast<std::int64_t>(static_cast<double>(rates.waiting) * share + 0.999);
  seen.oldest_wait = rates.oldest_wait;
  seen.time_to_ready = time_to_ready(deployment.name);
  return seen;
}

/// Several deployments may serve one pool's model: each has its part by the replicas it is to have.
double Autoscaler::share_of(const Deployment& deployment, const std::map<std::string, Deployment>& deployments) const {
  const auto weight = [&](const Deployment& one) { return std::max(replicas_of(one), one.autoscale.is_on ? 1 : 0); };
  double all = 0;
  for (const auto& [name, other] : deployments) {
    if (public_model(other) == public_model(deployment) && is_same_pool(other, deployment)) all += weight(other);
  }
  return all > 0 ? weight(deployment) / all : 1;
}

/// What the pool's other deployments may have at most, less what they have or will need, in replicas of this one. Alone
/// in its pool it has no one to leave anything to.
std::int32_t Autoscaler::surplus_for(const Deployment& batch,
                                     const std::map<std::string, Deployment>& deployments) const {
  std::int64_t spare = 0;
  bool is_alone = true;
  for (const auto& [name, other] : deployments) {
    if (!other.autoscale.is_on || !is_same_pool(other, batch) || name == batch.name) continue;
    const std::int32_t target = replicas_of(other);
    if (other.autoscale.batch_surplus) {
      spare -= target * price_of(other);
      continue;
    }
    is_alone = false;
    const AutoscaleDecision* made = decision_of(name);
    const double needed = made == nullptr ? 0 : made->needed;
    const std::int32_t ceiling = replicas_ceiling(other.autoscale);
    const auto reserved = static_cast<std::int32_t>(std::min<double>(needed + 0.999, ceiling));
    spare += (ceiling - std::max(target, reserved)) * price_of(other);
  }
  if (is_alone) return batch.autoscale.replicas_max;
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(spare / price_of(batch), 0, batch.autoscale.replicas_max));
}

void Autoscaler::count(Entry& entry, std::int32_t before, std::int32_t after) {
  if (after == before) return;
  const int direction = after > before ? 1 : -1;
  (direction > 0 ? totals_.ups : totals_.downs) += 1;
  if (entry.direction != 0 && entry.direction != direction) ++totals_.reversals;
  entry.direction = direction;
}

std::int32_t Autoscaler::replicas_of(const Deployment& deployment) const {
  if (!deployment.autoscale.is_on) return deployment.replicas;
  const auto found = entries_.find(deployment.name);
  return found == entries_.end() ? 0 : found->second.state.replicas;
}

const AutoscaleDecision* Autoscaler::decision_of(const std::string& deployment) const {
  const auto found = entries_.find(deployment);
  return found == entries_.end() || found->second.state.last.why.empty() ? nullptr : &found->second.state.last;
}

/// One in ten takes longer.
Duration Autoscaler::time_to_ready(const std::string& deployment) const {
  const auto found = entries_.find(deployment);
  if (found == entries_.end() || found->second.ready_times.empty()) return Duration::zero();
  std::vector<Duration> sorted(found->second.ready_times.begin(), found->second.ready_times.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted[(sorted.size() * 9) / 10 < sorted.size() ? (sorted.size() * 9) / 10 : sorted.size() - 1];
}

}  // namespace tidegate::scheduler
