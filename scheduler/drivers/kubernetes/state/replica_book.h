#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/core/backoff.h"
#include "base/core/result.h"
#include "scheduler/core/fleet_types.h"
#include "scheduler/drivers/kubernetes/objects/seen_objects.h"
#include "scheduler/drivers/kubernetes/state/call_failure.h"

namespace tidegate::scheduler::kube {

/// One thing to write to the cluster.
struct KubeJob {
  enum class Kind : std::uint8_t {
    kApply,   ///< the workload of `spec`, as `run`; over `target` where it has a name
    kDelete,  ///< `target`, if it is still as we know it
    kForce,   ///< the pod `pod`, at once
    kStamp,   ///< our term on `target`
    kShare,   ///< service, budget and policy of `deployment`, owned by `owners`
  };
  Kind kind = Kind::kApply;
  std::string key;  ///< names it in the book
  Term term = 0;
  ReplicaSpec spec;
  std::string run;
  SeenWorkload target;
  SeenPod pod;
  std::string deployment;
  std::vector<SeenWorkload> owners;
};

/// What runs, what was ordered, and what of that the cluster has not been told yet. Orders are kept until the cluster
/// shows what they asked for: a lost answer, a conflict or a cut watch costs time, never an order. Pure.
class ReplicaBook {
 public:
  struct Settings {
    Duration stop_limit = std::chrono::seconds(90);    ///< a pod that is told to go longer ago is taken away by force
    Duration unseen_limit = std::chrono::seconds(20);  ///< an answered write that the watches do not show is repeated
    /// What a deployment's replicas share is written again as often: nobody watches it, and somebody may have deleted
    /// it.
    Duration share_every = std::chrono::minutes(10);
    Duration retry_least = std::chrono::milliseconds(100);
    Duration retry_most = std::chrono::seconds(10);
  };

  ReplicaBook(Settings settings, std::uint64_t seed) : settings_(settings), seed_(seed) {}

  // Orders. `run` is a name that no start had before.
  void start(const ReplicaSpec& spec, Term term, std::string run, Mono now);
  void stop(const std::string& replica, Term term, Mono now);
  /// A newer term acts: ours are void.
  void forget_orders();

  // What the cluster shows. The lists replace everything of their kind.
  void take_workloads(WorkloadKind kind, std::vector<SeenWorkload> all);
  void put_workload(SeenWorkload seen);
  void drop_workload(const std::string& name);
  void take_pods(std::vector<SeenPod> all, Mono now);
  void put_pod(SeenPod seen, Mono now);
  void drop_pod(const std::string& name);

  /// Every replica there is, was ordered, or ended unasked. Each end is reported at least once, also where the cluster
  /// started the replica again by itself in the meantime.
  std::vector<ReplicaProcess> observe();

  /// The next write, of orders and duties of `term`; it is under way until job_done or job_failed.
  std::optional<KubeJob> next_job(Term term, Mono now);
  void job_done(const KubeJob& job, Mono now);
  void job_failed(const KubeJob& job, const CallFailure& failure, Mono now);

  /// Orders that the cluster does not show yet.
  std::size_t orders() const { return orders_.size(); }
  /// Entries about replicas beside what the cluster shows and what is ordered: none is left of one that is gone.
  std::size_t kept() const {
    return first_pods_.size() + going_.size() + lives_.size() + ended_.size() + shared_.size() + paces_.size();
  }
  /// Nothing is ordered, stamped or shared any more that next_job would ask for.
  bool is_settled(Term term) const;

 private:
  struct Order {
    bool stop = false;
    std::optional<ReplicaSpec> start;
    std::string run;
    Term term = 0;
    Mono stop_at{};
    std::string waits_for;        ///< why the last try did not do it
    std::string refused;          ///< the cluster will never take this start; why
    std::optional<Mono> sent_at;  ///< answered well, not seen yet
  };
  struct Life {  ///< of a run, as its container sees it
    std::string run;
    std::string pod;  ///< uid and restarts; empty: none was seen yet
    std::int64_t ends = 0;
    bool end_told = false;
    std::string exit;
  };
  struct Going {  ///< a pod that is told to go
    std::string uid;
    Mono since{};  ///< when we saw it first
  };
  struct Shared {
    std::set<std::string> owners;  ///< uids, as last written
    Mono at{};
  };
  struct Pace {
    bool under_way = false;
    Mono not_before{};
    std::optional<Backoff> backoff;
  };

  const SeenWorkload* workload_of(const std::string& replica) const;
  const SeenPod* leader_of(const SeenWorkload& workload) const;
  bool has_ended(const SeenWorkload& workload) const;
  void look_at(const SeenWorkload& workload, ReplicaProcess& process);
  bool is_followed(const std::string& workload, const std::string& run) const;
  void forget_first_pods(const std::string& workload);
  void confirm(const SeenWorkload& seen);
  void gone(const SeenWorkload& seen);
  bool may_go(const std::string& key, Mono now) const;
  KubeJob begin(KubeJob job);
  void finish(const std::string& key) { paces_.erase(key); }
  void forget_idle_stops(Mono now);
  void forget_idle_paces();
  bool is_of_something(const std::string& key) const;
  std::optional<KubeJob> order_job(Term term, Mono now);
  std::optional<KubeJob> force_job(Term term, Mono now);
  std::optional<KubeJob> stamp_job(Term term, Mono now);
  std::optional<KubeJob> share_job(Term term, Mono now);
  static Shared shared_by(const KubeJob& job, Mono now);

  Settings settings_;
  std::uint64_t seed_;
  std::map<std::string, SeenWorkload> workloads_;  ///< by object name
  std::map<std::string, SeenPod> pods_;            ///< by name
  /// By workload and run: the first pod of it that was shown, so that an end between two looks is an end all the same.
  std::map<std::pair<std::string, std::string>, std::string> first_pods_;
  std::map<std::string, Going> going_;  ///< by pod name
  /// By workload: names of its pods, so that a look at everything costs as much as there is.
  std::map<std::string, std::set<std::string>> pods_of_;
  std::map<std::string, Order> orders_;          ///< by replica
  std::map<std::string, Life> lives_;            ///< by replica
  std::map<std::string, ReplicaProcess> ended_;  ///< by replica: gone unasked, object and all
  std::map<std::string, Shared> shared_;         ///< by deployment
  std::map<std::string, Pace> paces_;            ///< by job key
};

}  // namespace tidegate::scheduler::kube
