#pragma once

#include <string>
#include <vector>

#include "base/json/json.h"
#include "scheduler/core/fleet_types.h"
#include "scheduler/drivers/kubernetes/objects/kube_settings.h"
#include "scheduler/drivers/kubernetes/objects/pool_shapes.h"

namespace tidegate::scheduler::kube {

inline constexpr const char* kWorkerContainer = "worker";

enum class PodRole : std::uint8_t { kLeader, kPeer };

/// The labels of everything that belongs to a deployment's replica.
json::object replica_labels(const ReplicaSpec& spec, const KubeSettings& settings);

/// The command line of tidegate-worker, without the program.
std::vector<std::string> worker_arguments(const ReplicaSpec& spec, Term term, const PoolShape& shape,
                                          const KubeSettings& settings);

/// metadata and spec of a pod. `run` is its label: another run is another template, and so another pod.
json::object pod_template(const ReplicaSpec& spec, const std::string& run, Term term, PodRole role,
                          const PoolShape& shape, const KubeSettings& settings);

}  // namespace tidegate::scheduler::kube
