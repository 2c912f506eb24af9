#pragma once

#include <string>
#include <string_view>

#include "base/core/result.h"

/// How our things are called in a cluster. Deterministic, so that two schedulers that start the same replica mean the
/// same object; names that are too long or of the wrong form are cut and told apart by a digest.
namespace tidegate::scheduler::kube {

inline constexpr std::string_view kManagedByLabel = "app.kubernetes.io/managed-by";
inline constexpr std::string_view kNameLabel = "app.kubernetes.io/name";
inline constexpr std::string_view kInstallationLabel = "tidegate.io/installation";
inline constexpr std::string_view kDeploymentLabel = "tidegate.io/deployment";  ///< object name of the deployment
inline constexpr std::string_view kWorkloadLabel = "tidegate.io/workload";      ///< object name of the replica
inline constexpr std::string_view kRunLabel = "tidegate.io/run";    ///< of pods and workloads: which start this is
inline constexpr std::string_view kRoleLabel = "tidegate.io/role";  ///< "leader" | "peer"

inline constexpr std::string_view kReplicaAnnotation = "tidegate.io/replica";
inline constexpr std::string_view kDeploymentAnnotation = "tidegate.io/deployment-name";
inline constexpr std::string_view kDigestAnnotation = "tidegate.io/spec-digest";
inline constexpr std::string_view kTermAnnotation = "tidegate.io/term";

/// The workload of a replica: "tg-d-0". At most 47 characters: controllers append to it and keep to 63.
std::string workload_name(std::string_view replica);
/// Service, disruption budget and network policy of a deployment: "tgd-d".
std::string deployment_object_name(std::string_view deployment);
/// The one Lease of an installation.
std::string lease_name(std::string_view installation);
/// "a=b,c=d" of the labels that every object of ours bears.
std::string our_selector(std::string_view installation);

/// One DNS label (RFC 1123). `option` is for the message. Fails: invalid_argument/bad_config.
Status check_dns_label(std::string_view name, std::string_view option);

}  // namespace tidegate::scheduler::kube
