// ReplicaBook: what is to be written next, and what became of it.

#include <algorithm>
#include <utility>

#include "scheduler/drivers/kubernetes/state/replica_book.h"

namespace tidegate::scheduler::kube {

namespace {

std::set<std::string> uids(const std::vector<const SeenWorkload*>& owners) {
  std::set<std::string> out;
  for (const SeenWorkload* owner : owners) out.insert(owner->uid);
  return out;
}

}  // namespace

bool ReplicaBook::may_go(const std::string& key, Mono now) const {
  const auto found = paces_.find(key);
  return found == paces_.end() || (!found->second.under_way && now >= found->second.not_before);
}

KubeJob ReplicaBook::begin(KubeJob job) {
  paces_[job.key].under_way = true;
  return job;
}

std::optional<KubeJob> ReplicaBook::next_job(Term term, Mono now) {
  forget_idle_stops(now);
  forget_idle_paces();
  if (auto job = order_job(term, now)) return begin(*std::move(job));
  if (auto job = force_job(term, now)) return begin(*std::move(job));
  if (auto job = stamp_job(term, now)) return begin(*std::move(job));
  if (auto job = share_job(term, now)) return begin(*std::move(job));
  return std::nullopt;
}

/// A stop that overtook its start is kept until the start has shown itself. If it never does, there was nothing to
/// stop.
void ReplicaBook::forget_idle_stops(Mono now) {
  for (auto& [replica, order] : orders_) {
    if (!order.stop || workload_of(replica) != nullptr || !may_go("order/" + replica, now)) continue;
    if (now - order.stop_at >= settings_.unseen_limit) order.stop = false;
  }
  std::erase_if(orders_, [](const auto& entry) { return !entry.second.stop && !entry.second.start; });
}

/// What a job's key is about is still there.
bool ReplicaBook::is_of_something(const std::string& key) const {
  const auto slash = key.find('/');
  const std::string kind = key.substr(0, slash);
  const std::string name = key.substr(slash + 1);
  if (kind == "order") return orders_.contains(name);
  if (kind == "stamp") return workloads_.contains(name);
  if (kind == "force") {
    return std::any_of(going_.begin(), going_.end(), [&](const auto& entry) { return entry.second.uid == name; });
  }
  return std::any_of(workloads_.begin(), workloads_.end(),
                     [&](const auto& entry) { return entry.second.deployment == name; });
}

/// An answer may come after what it was about has gone: its pause is then nobody's.
void ReplicaBook::forget_idle_paces() {
  std::erase_if(paces_, [this](const auto& entry) { return !entry.second.under_way && !is_of_something(entry.first); });
}

std::optional<KubeJob> ReplicaBook::order_job(Term term, Mono now) {
  for (const auto& [replica, order] : orders_) {
    const std::string key = "order/" + replica;
    if (!order.refused.empty() || !may_go(key, now)) continue;
    if (order.sent_at && now - *order.sent_at < settings_.unseen_limit) continue;
    const SeenWorkload* workload = workload_of(replica);
    KubeJob job;
    job.key = key;
    job.term = term;
    if (workload != nullptr) job.target = *workload;
    // What is being deleted cannot be written; the order waits until it has gone.
    if (workload != nullptr && workload->deleting) continue;
    if (order.stop) {
      if (workload == nullptr) continue;  // written, not seen yet
      job.kind = KubeJob::Kind::kDelete;
      return job;
    }
    if (!order.start) continue;
    // The stamp comes first: our term on an object is the fence manager's field, and ours only while both say the same.
    if (workload != nullptr && workload->term < term) continue;
    job.kind = KubeJob::Kind::kApply;
    job.spec = *order.start;
    job.run = order.run;
    return job;
  }
  return std::nullopt;
}

std::optional<KubeJob> ReplicaBook::force_job(Term term, Mono now) {
  for (const auto& [name, going] : going_) {
    if (now - going.since < settings_.stop_limit) continue;
    const std::string key = "force/" + going.uid;
    if (!may_go(key, now)) continue;
    KubeJob job;
    job.kind = KubeJob::Kind::kForce;
    job.key = key;
    job.term = term;
    job.pod = pods_.at(name);
    return job;
  }
  return std::nullopt;
}

std::optional<KubeJob> ReplicaBook::stamp_job(Term term, Mono now) {
  for (const auto& [name, workload] : workloads_) {
    const auto order = orders_.find(workload.replica);
    if (workload.term >= term || workload.deleting || (order != orders_.end() && order->second.stop)) continue;
    const std::string key = "stamp/" + name;
    if (!may_go(key, now)) continue;
    KubeJob job;
    job.kind = KubeJob::Kind::kStamp;
    job.key = key;
    job.term = term;
    job.target = workload;
    return job;
  }
  return std::nullopt;
}

std::optional<KubeJob> ReplicaBook::share_job(Term term, Mono now) {
  std::map<std::string, std::vector<const SeenWorkload*>> owners_of;
  for (const auto& [name, workload] : workloads_) {
    if (!workload.deployment.empty() && !workload.deleting) owners_of[workload.deployment].push_back(&workload);
  }
  std::erase_if(shared_, [&](const auto& entry) { return !owners_of.contains(entry.first); });
  for (const auto& [deployment, owners] : owners_of) {
    const std::string key = "share/" + deployment;
    if (!may_go(key, now)) continue;
    const auto known = shared_.find(deployment);
    const bool is_fresh = known != shared_.end() && now - known->second.at < settings_.share_every;
    if (is_fresh && known->second.owners == uids(owners)) continue;
    KubeJob job;
    job.kind = KubeJob::Kind::kShare;
    job.key = key;
    job.term = term;
    job.deployment = deployment;
    for (const SeenWorkload* owner : owners) job.owners.push_back(*owner);
    return job;
  }
  return std::nullopt;
}

ReplicaBook::Shared ReplicaBook::shared_by(const KubeJob& job, Mono now) {
  Shared shared;
  for (const SeenWorkload& owner : job.owners) shared.owners.insert(owner.uid);
  shared.at = now;
  return shared;
}

void ReplicaBook::job_done(const KubeJob& job, Mono now) {
  finish(job.key);
  switch (job.kind) {
    case KubeJob::Kind::kApply: {
      const auto order = orders_.find(job.spec.replica);
      if (order != orders_.end() && order->second.start && order->second.run == job.run) order->second.sent_at = now;
      return;
    }
    case KubeJob::Kind::kDelete: {
      const auto order = orders_.find(job.target.replica);
      if (order != orders_.end() && order->second.stop) order->second.sent_at = now;
      return;
    }
    case KubeJob::Kind::kStamp: {
      // Until the watch shows it: not again. A watch that never does is another list, which does.
      Pace& pace = paces_[job.key];
      pace.not_before = now + settings_.unseen_limit;
      return;
    }
    case KubeJob::Kind::kShare:
      shared_[job.deployment] = shared_by(job, now);
      return;
    case KubeJob::Kind::kForce:
      return;
  }
}

void ReplicaBook::job_failed(const KubeJob& job, const CallFailure& failure, Mono now) {
  Pace& pace = paces_[job.key];
  pace.under_way = false;
  if (!pace.backoff) pace.backoff.emplace(settings_.retry_least, settings_.retry_most, ++seed_);
  pace.not_before = now + std::max(pace.backoff->next(), failure.retry_after);
  const auto waiting = job.kind == KubeJob::Kind::kApply ? orders_.find(job.spec.replica) : orders_.end();
  if (waiting != orders_.end()) waiting->second.waits_for = failure.message;
  // What was to be deleted is gone: the watch will say so.
  if (failure.is_absent() && job.kind != KubeJob::Kind::kApply && job.kind != KubeJob::Kind::kShare) return;
  // Changed since we saw it: the watch brings the new version, and with it the next try.
  if (failure.is_passing() || (failure.is_conflict() && !failure.field_conflict)) return;
  if (job.kind != KubeJob::Kind::kApply) return;
  const auto order = orders_.find(job.spec.replica);
  if (order != orders_.end() && order->second.start && order->second.run == job.run)
    order->second.refused = failure.message;
}

bool ReplicaBook::is_settled(Term term) const {
  const bool has_orders =
      std::any_of(orders_.begin(), orders_.end(), [](const auto& entry) { return entry.second.refused.empty(); });
  if (has_orders) return false;
  for (const auto& [name, workload] : workloads_) {
    if (workload.deleting) continue;
    if (workload.term < term) return false;
    const auto known = shared_.find(workload.deployment);
    if (known == shared_.end() || !known->second.owners.contains(workload.uid)) return false;
  }
  return true;
}

}  // namespace tidegate::scheduler::kube
