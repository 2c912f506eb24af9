#include "scheduler/drivers/kubernetes/state/replica_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "scheduler/drivers/kubernetes/objects/object_names.h"

namespace tidegate::scheduler::kube {

namespace {

std::string pod_key(const SeenPod& pod) { return fmt::format("{}:{}", pod.uid, pod.restarts); }

}  // namespace

void ReplicaBook::start(const ReplicaSpec& spec, Term term, std::string run, Mono) {
  const auto found = orders_.find(spec.replica);
  if (found != orders_.end() && found->second.start && found->second.refused.empty()) {
    found->second.term = std::max(found->second.term, term);
    return;
  }
  const SeenWorkload* workload = workload_of(spec.replica);
  const bool is_going = workload != nullptr && (workload->deleting || (found != orders_.end() && found->second.stop));
  if (workload != nullptr && !is_going && !has_ended(*workload)) return;
  Order& order = orders_[spec.replica];
  order.start = spec;
  order.run = std::move(run);
  order.term = term;
  order.refused.clear();
  order.sent_at.reset();
  finish("order/" + spec.replica);
  ended_.erase(spec.replica);
}

void ReplicaBook::stop(const std::string& replica, Term term, Mono now) {
  ended_.erase(replica);
  const auto found = orders_.find(replica);
  const bool was_sent = found != orders_.end() && found->second.start && found->second.sent_at.has_value();
  if (workload_of(replica) == nullptr && !was_sent) {
    // Never sent, or under way: then the object will be seen, unwanted, and stopped again by whoever compares.
    const bool under_way = paces_.contains("order/" + replica) && paces_.at("order/" + replica).under_way;
    if (!under_way) {
      orders_.erase(replica);
      finish("order/" + replica);
      return;
    }
  }
  Order& order = orders_[replica];
  order.stop = true;
  order.stop_at = now;
  order.start.reset();
  order.refused.clear();
  order.sent_at.reset();
  order.term = term;
}

void ReplicaBook::forget_orders() {
  for (const auto& [replica, order] : orders_) finish("order/" + replica);
  orders_.clear();
}

const SeenWorkload* ReplicaBook::workload_of(const std::string& replica) const {
  const auto found = workloads_.find(workload_name(replica));
  return found == workloads_.end() ? nullptr : &found->second;
}

/// The pod of the workload's present run: the newest one that is not on its way out, one that runs before one that
/// ended.
const SeenPod* ReplicaBook::leader_of(const SeenWorkload& workload) const {
  const SeenPod* best = nullptr;
  const auto names = pods_of_.find(workload.name);
  if (names == pods_of_.end()) return nullptr;
  for (const std::string& name : names->second) {
    const SeenPod& pod = pods_.at(name);
    if (pod.run != workload.run || !pod.is_leader || pod.deleting) continue;
    const auto rank = [](const SeenPod& one) { return std::pair(one.life != PodLife::kEnded, one.created_at); };
    if (best == nullptr || rank(pod) > rank(*best)) best = &pod;
  }
  return best;
}

bool ReplicaBook::has_ended(const SeenWorkload& workload) const {
  if (const SeenPod* pod = leader_of(workload)) return pod->life == PodLife::kEnded;
  return first_pods_.contains({workload.name, workload.run});  // it had one
}

void ReplicaBook::confirm(const SeenWorkload& seen) {
  const auto found = orders_.find(seen.replica);
  if (found == orders_.end()) return;
  Order& order = found->second;
  if (!order.start || order.run != seen.run) return;
  lives_[seen.replica] = Life{.run = seen.run};
  finish("order/" + seen.replica);
  orders_.erase(found);
}

void ReplicaBook::gone(const SeenWorkload& seen) {
  const auto found = orders_.find(seen.replica);
  const bool was_asked = seen.deleting || (found != orders_.end() && (found->second.stop || found->second.start));
  if (found != orders_.end() && found->second.stop) {
    found->second.stop = false;
    finish("order/" + seen.replica);
    found->second.sent_at.reset();
    if (!found->second.start) orders_.erase(found);
  }
  const auto life = lives_.find(seen.replica);
  if (!was_asked) {
    ReplicaProcess process;
    process.replica = seen.replica;
    process.deployment = seen.deployment;
    process.spec_digest = seen.spec_digest;
    process.incarnation = seen.run;
    if (life != lives_.end() && life->second.ends > 0) process.incarnation += fmt::format(".{}", life->second.ends);
    process.exit = "its object was deleted by somebody else";
    ended_[seen.replica] = std::move(process);
  }
  if (life != lives_.end()) lives_.erase(life);
}

/// What becomes of the run is still to be told: it is the workload's present one, or ordered, or there are pods of it.
bool ReplicaBook::is_followed(const std::string& workload, const std::string& run) const {
  const auto known = workloads_.find(workload);
  if (known != workloads_.end() && known->second.run == run) return true;
  const auto is_of_run = [&](const std::string& pod) { return pods_.at(pod).run == run; };
  const auto names = pods_of_.find(workload);
  if (names != pods_of_.end() && std::any_of(names->second.begin(), names->second.end(), is_of_run)) return true;
  return std::any_of(orders_.begin(), orders_.end(),
                     [&](const auto& entry) { return entry.second.start && entry.second.run == run; });
}

void ReplicaBook::forget_first_pods(const std::string& workload) {
  auto entry = first_pods_.lower_bound(std::pair(workload, std::string()));
  while (entry != first_pods_.end() && entry->first.first == workload) {
    entry = is_followed(workload, entry->first.second) ? std::next(entry) : first_pods_.erase(entry);
  }
}

void ReplicaBook::take_workloads(WorkloadKind kind, std::vector<SeenWorkload> all) {
  std::set<std::string> names;
  for (SeenWorkload& seen : all) {
    names.insert(seen.name);
    put_workload(std::move(seen));
  }
  std::vector<std::string> lost;
  for (const auto& [name, seen] : workloads_) {
    if (seen.kind == kind && !names.contains(name)) lost.push_back(name);
  }
  for (const std::string& name : lost) drop_workload(name);
}

void ReplicaBook::put_workload(SeenWorkload seen) {
  // Not one of ours, whatever its labels say: its name would be another.
  if (seen.replica.empty() || seen.name != workload_name(seen.replica)) return;
  ended_.erase(seen.replica);
  confirm(seen);
  const std::string name = seen.name;
  workloads_.insert_or_assign(name, std::move(seen));
  forget_first_pods(name);
}

void ReplicaBook::drop_workload(const std::string& name) {
  const auto found = workloads_.find(name);
  if (found == workloads_.end()) return;
  const SeenWorkload seen = std::move(found->second);
  workloads_.erase(found);
  finish("stamp/" + name);
  forget_first_pods(seen.name);
  gone(seen);
}

void ReplicaBook::take_pods(std::vector<SeenPod> all, Mono now) {
  std::set<std::string> names;
  for (SeenPod& seen : all) {
    names.insert(seen.name);
    put_pod(std::move(seen), now);
  }
  std::vector<std::string> lost;
  for (const auto& [name, seen] : pods_) {
    if (!names.contains(name)) lost.push_back(name);
  }
  for (const std::string& name : lost) drop_pod(name);
}

void ReplicaBook::put_pod(SeenPod seen, Mono now) {
  if (seen.name.empty()) return;
  const auto before = pods_.find(seen.name);
  if (before != pods_.end() && (before->second.uid != seen.uid || before->second.workload != seen.workload)) {
    drop_pod(seen.name);  // another one of that name
  }
  if (seen.deleting) going_.try_emplace(seen.name, Going{seen.uid, now});
  if (seen.is_leader && !seen.deleting) first_pods_.try_emplace({seen.workload, seen.run}, pod_key(seen));
  pods_of_[seen.workload].insert(seen.name);
  std::string name = seen.name;
  pods_.insert_or_assign(std::move(name), std::move(seen));
}

void ReplicaBook::drop_pod(const std::string& name) {
  const auto found = pods_.find(name);
  if (found == pods_.end()) return;
  finish("force/" + found->second.uid);
  going_.erase(name);
  const auto names = pods_of_.find(found->second.workload);
  names->second.erase(name);
  if (names->second.empty()) pods_of_.erase(names);
  const std::string workload = std::move(found->second.workload);
  pods_.erase(found);
  forget_first_pods(workload);
}

void ReplicaBook::look_at(const SeenWorkload& workload, ReplicaProcess& process) {
  process.deployment = workload.deployment;
  process.spec_digest = workload.spec_digest;
  Life& life = lives_[workload.replica];
  if (life.run != workload.run) life = Life{.run = workload.run};
  const auto first = first_pods_.find({workload.name, workload.run});
  if (life.pod.empty() && first != first_pods_.end()) life.pod = first->second;
  const SeenPod* pod = leader_of(workload);
  process.alive = true;
  if (workload.deleting) {
    // Asked to go: it is there until the object is gone.
  } else if (pod == nullptr) {
    // A run begins without a pod. One that had a pod has lost it, and the cluster will make another.
    if (!life.pod.empty()) {
      process.alive = false;
      if (!std::exchange(life.end_told, true)) life.exit = "its pod was taken away";
    }
  } else {
    const std::string key = pod_key(*pod);
    if (key != life.pod && life.end_told) {
      life.pod = key;
      life.end_told = false;
      ++life.ends;
    }
    if (key != life.pod) {
      // It ended and began again between two looks: first its end is told.
      process.alive = false;
      life.end_told = true;
      life.exit = pod->exit.empty() ? "its pod was replaced" : pod->exit;
    } else if (pod->life == PodLife::kEnded) {
      process.alive = false;
      life.end_told = true;
      life.exit = pod->exit;
    }
  }
  process.incarnation = life.run;
  if (life.ends > 0) process.incarnation += fmt::format(".{}", life.ends);
  if (!process.alive) process.exit = life.exit;
  if (process.alive && pod != nullptr && pod->life == PodLife::kPending) process.waits_for = pod->waits_for;
}

std::vector<ReplicaProcess> ReplicaBook::observe() {
  std::map<std::string, ReplicaProcess> all = ended_;
  for (const auto& [name, workload] : workloads_) {
    ReplicaProcess process;
    process.replica = workload.replica;
    look_at(workload, process);
    all[workload.replica] = std::move(process);
  }
  for (const auto& [replica, order] : orders_) {
    if (!order.start) continue;
    // An order is as good as done until the cluster refuses it: what it replaces is over either way.
    ReplicaProcess process;
    process.replica = replica;
    process.deployment = order.start->deployment;
    process.spec_digest = order.start->digest();
    process.incarnation = order.run;
    process.alive = order.refused.empty();
    process.exit = order.refused;
    if (process.alive) process.waits_for = order.waits_for;
    all[replica] = std::move(process);
  }
  std::vector<ReplicaProcess> out;
  for (auto& [replica, process] : all) out.push_back(std::move(process));
  return out;
}

}  // namespace tidegate::scheduler::kube
