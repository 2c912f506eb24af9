#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "scheduler/core/ports.h"
#include "scheduler/drivers/kubernetes/api/kube_access.h"
#include "scheduler/drivers/kubernetes/api/kube_metrics.h"
#include "scheduler/drivers/kubernetes/objects/kube_settings.h"
#include "scheduler/drivers/kubernetes/objects/pool_shapes.h"
#include "scheduler/drivers/kubernetes/state/replica_book.h"
#include "scheduler/drivers/kubernetes/state/term_fence.h"
#include "scheduler/drivers/kubernetes/state/watch_machine.h"

namespace tidegate::scheduler {

/// Runs replicas as workloads of a Kubernetes namespace: a Deployment or a LeaderWorkerSet for each, so that the
/// cluster keeps them up also while no scheduler leads. No call waits for the API server: orders are taken down and
/// carried out by a thread of the driver's own, and observe() tells what the cluster has shown so far.
/// docs/kubernetes.md.
class KubernetesDriver final : public RuntimeDriver {
 public:
  struct Settings {
    kube::KubeSettings objects;
    kube::AccessOptions access;
    std::string holder;  ///< of the Lease, for people: who leads
    Duration call_limit = std::chrono::seconds(10);
    Duration watch_limit = std::chrono::seconds(60);  ///< a watch that went dead without a word is left after this
    std::int64_t writes_per_second = 20;
    std::size_t writers = 4;  ///< writes under way at once: one that hangs does not hold up the others
    Duration access_every = std::chrono::seconds(60);
    kube::WatchMachine::Settings watch;
    kube::ReplicaBook::Settings book;
    kube::TermFence::Settings fence;
  };

  /// Reads the files of the access; the cluster itself may be out of reach for now. References outlive the driver.
  /// Fails as kube::load_access().
  static Result<std::unique_ptr<KubernetesDriver>> open(Settings settings, kube::PoolShapes pools, const Clock& clock,
                                                        Log& log, kube::KubeMetrics& metrics, std::uint64_t seed);
  ~KubernetesDriver() override;

  /// Fails also: failed_precondition/unknown_pool, unavailable/cluster_unknown before the first lists were read.
  Status start(const ReplicaSpec& spec, Term term) override;
  Status stop(const std::string& replica, Term term) override;
  std::vector<ReplicaProcess> observe(Mono now) override;
  bool knows_what_runs() const override;
  void begin_term(Term term) override;
  void end_term() override;

  /// The cluster shows everything that was ordered, under our term.
  bool is_settled() const;

 private:
  class Work;
  KubernetesDriver(Settings settings, kube::PoolShapes pools, const Clock& clock, Log& log, kube::KubeMetrics& metrics,
                   std::uint64_t seed);
  std::unique_ptr<Work> work_;
};

}  // namespace tidegate::scheduler
