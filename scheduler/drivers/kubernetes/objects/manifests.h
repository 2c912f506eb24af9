#pragma once

#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/json/json.h"
#include "scheduler/core/fleet_types.h"
#include "scheduler/drivers/kubernetes/objects/kube_settings.h"
#include "scheduler/drivers/kubernetes/objects/paths.h"
#include "scheduler/drivers/kubernetes/objects/pool_shapes.h"
#include "scheduler/drivers/kubernetes/objects/seen_objects.h"

/// Objects as they are sent. Every field in them is one that Tidegate owns; what a cluster adds is its own.
namespace tidegate::scheduler::kube {

struct Manifest {
  Collection collection;
  std::string name;
  json::object body;
};

/// What one start of a replica is called with.
struct RunOrder {
  ReplicaSpec spec;
  std::string run;
  Term term = 0;
  std::string resource_version;  ///< of the object that it replaces the run of; empty: there is none
};

/// A Deployment where the pool's replicas fit a node, a LeaderWorkerSet where they do not. One replica each: the number
/// of replicas is Tidegate's to decide, and each has a name of its own.
Manifest workload_manifest(const RunOrder& order, const PoolShape& shape, const KubeSettings& settings);

/// Service (headless), PodDisruptionBudget and, if wanted, NetworkPolicy of a deployment. They belong to its workloads:
/// the cluster's garbage collector takes them away after the last of `owners`, which is not empty.
std::vector<Manifest> shared_manifests(const std::string& deployment, const std::vector<SeenWorkload>& owners,
                                       const KubeSettings& settings);

/// Says under which term a workload stands now. For a field manager of its own, which forces: no other field is in it.
Manifest term_stamp(const SeenWorkload& workload, Term term, const KubeSettings& settings);

/// The installation's Lease: the newest term that acts here. `resource_version` empty: it is made new.
Manifest lease_manifest(const std::string& holder, Term term, const std::string& resource_version, Duration ttl,
                        Wall now, const KubeSettings& settings);

}  // namespace tidegate::scheduler::kube
