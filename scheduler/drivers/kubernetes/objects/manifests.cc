#include "scheduler/drivers/kubernetes/objects/manifests.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "scheduler/drivers/kubernetes/objects/object_names.h"
#include "scheduler/drivers/kubernetes/objects/pod_template.h"

namespace tidegate::scheduler::kube {

namespace {

constexpr const char* kExclusiveTopology = "leaderworkerset.sigs.k8s.io/exclusive-topology";

const char* api_version(Collection collection) {
  switch (collection) {
    case Collection::kDeployments:
      return "apps/v1";
    case Collection::kGroups:
      return "leaderworkerset.x-k8s.io/v1";
    case Collection::kPods:
    case Collection::kServices:
      return "v1";
    case Collection::kBudgets:
      return "policy/v1";
    case Collection::kPolicies:
      return "networking.k8s.io/v1";
    case Collection::kLeases:
      return "coordination.k8s.io/v1";
  }
  return "";
}

const char* kind_name(Collection collection) {
  switch (collection) {
    case Collection::kDeployments:
      return "Deployment";
    case Collection::kGroups:
      return "LeaderWorkerSet";
    case Collection::kPods:
      return "Pod";
    case Collection::kServices:
      return "Service";
    case Collection::kBudgets:
      return "PodDisruptionBudget";
    case Collection::kPolicies:
      return "NetworkPolicy";
    case Collection::kLeases:
      return "Lease";
  }
  return "";
}

Manifest begin(Collection collection, std::string name, json::object metadata, const KubeSettings& settings) {
  metadata["name"] = name;
  metadata["namespace"] = settings.name_space;
  json::object body;
  body["apiVersion"] = api_version(collection);
  body["kind"] = kind_name(collection);
  body["metadata"] = std::move(metadata);
  return {collection, std::move(name), std::move(body)};
}

json::object deployment_spec(const RunOrder& order, const PoolShape& shape, const KubeSettings& settings) {
  json::object spec;
  spec["replicas"] = 1;
  spec["revisionHistoryLimit"] = 1;
  // The old run ends before the new one begins: accelerators are not there twice, and neither is a replica.
  spec["strategy"] = json::object{{"type", "Recreate"}};
  json::object labels = {{kWorkloadLabel, workload_name(order.spec.replica)}};
  spec["selector"] = json::object{{"matchLabels", std::move(labels)}};
  spec["template"] = pod_template(order.spec, order.run, order.term, PodRole::kLeader, shape, settings);
  return spec;
}

json::object group_spec(const RunOrder& order, const PoolShape& shape, const KubeSettings& settings) {
  json::object group;
  group["size"] = shape.nodes;
  // A rank that ended has taken its part of every sequence with it: the group begins anew as a whole.
  group["restartPolicy"] = "RecreateGroupOnPodRestart";
  group["leaderTemplate"] = pod_template(order.spec, order.run, order.term, PodRole::kLeader, shape, settings);
  group["workerTemplate"] = pod_template(order.spec, order.run, order.term, PodRole::kPeer, shape, settings);
  json::object spec;
  spec["replicas"] = 1;
  spec["startupPolicy"] = "LeaderCreated";
  json::object pace = {{"maxUnavailable", 1}, {"maxSurge", 0}};
  spec["rolloutStrategy"] = json::object{{"type", "RollingUpdate"}, {"rollingUpdateConfiguration", std::move(pace)}};
  spec["leaderWorkerTemplate"] = std::move(group);
  return spec;
}

json::object shared_metadata(const std::string& deployment, const std::vector<SeenWorkload>& owners,
                             const KubeSettings& settings) {
  json::array list;
  for (const SeenWorkload& owner : owners) {
    const Collection collection = collection_of(owner.kind);
    list.push_back(json::object{{"apiVersion", api_version(collection)},
                                {"kind", kind_name(collection)},
                                {"name", owner.name},
                                {"uid", owner.uid}});
  }
  json::object metadata;
  metadata["labels"] = json::object{{kManagedByLabel, "tidegate"},
                                    {kInstallationLabel, settings.installation},
                                    {kDeploymentLabel, deployment_object_name(deployment)}};
  metadata["annotations"] = json::object{{kDeploymentAnnotation, deployment}};
  metadata["ownerReferences"] = std::move(list);
  return metadata;
}

json::object deployment_selector(const std::string& deployment) {
  json::object labels = {{kDeploymentLabel, deployment_object_name(deployment)}};
  return {{"matchLabels", std::move(labels)}};
}

json::object service_spec(const std::string& deployment, const KubeSettings& settings) {
  json::array ports;
  ports.push_back(
      json::object{{"name", "grpc"}, {"port", settings.grpc_port}, {"targetPort", "grpc"}, {"protocol", "TCP"}});
  ports.push_back(
      json::object{{"name", "admin"}, {"port", settings.admin_port}, {"targetPort", "admin"}, {"protocol", "TCP"}});
  json::object selector = {{kDeploymentLabel, deployment_object_name(deployment)}, {kRoleLabel, "leader"}};
  json::object spec;
  spec["clusterIP"] = "None";
  spec["ports"] = std::move(ports);
  spec["selector"] = std::move(selector);
  return spec;
}

json::object budget_spec(const std::string& deployment) {
  json::object spec;
  // One pod at a time: a drain of nodes never stops for good, and never takes a deployment away at once.
  spec["maxUnavailable"] = 1;
  spec["selector"] = deployment_selector(deployment);
  // A worker that is not ready serves nobody; it must not hold up the drain of its node.
  spec["unhealthyPodEvictionPolicy"] = "AlwaysAllow";
  return spec;
}

json::object port_rule(std::int64_t port, const char* protocol = "TCP") {
  return {{"port", port}, {"protocol", protocol}};
}

json::object rule(const char* direction, json::array peers, json::array ports) {
  json::object out;
  if (!peers.empty()) out[direction] = std::move(peers);
  if (!ports.empty()) out["ports"] = std::move(ports);
  return out;
}

json::object policy_spec(const std::string& deployment, bool has_groups, const KubeSettings& settings) {
  const auto equals = settings.gateway_label.find('=');
  json::object gateway_labels = {{settings.gateway_label.substr(0, equals), settings.gateway_label.substr(equals + 1)}};
  json::object gateways = {{"podSelector", json::object{{"matchLabels", std::move(gateway_labels)}}}};
  json::object monitor_labels = {{"kubernetes.io/metadata.name", settings.metrics_namespace}};
  json::object monitors = {{"namespaceSelector", json::object{{"matchLabels", std::move(monitor_labels)}}}};
  json::object own_labels = {{"app.kubernetes.io/part-of", "tidegate"}};
  json::object processes = {{"podSelector", json::object{{"matchLabels", std::move(own_labels)}}}};
  json::object peers = {{"podSelector", deployment_selector(deployment)}};
  json::array ingress;
  ingress.push_back(rule("from", {json::value(gateways)}, {json::value(port_rule(settings.grpc_port))}));
  ingress.push_back(rule("from", {json::value(monitors)}, {json::value(port_rule(settings.admin_port))}));
  json::array egress;
  egress.push_back(rule("to", {json::value(processes)}, {}));
  egress.push_back(rule("to", {}, {json::value(port_rule(53, "UDP")), json::value(port_rule(53))}));
  if (has_groups) {
    ingress.push_back(rule("from", {json::value(peers)}, {}));
    egress.push_back(rule("to", {json::value(peers)}, {}));
  }
  json::object spec;
  spec["podSelector"] = deployment_selector(deployment);
  spec["policyTypes"] = json::array{json::value("Ingress"), json::value("Egress")};
  spec["ingress"] = std::move(ingress);
  spec["egress"] = std::move(egress);
  return spec;
}

}  // namespace

Manifest workload_manifest(const RunOrder& order, const PoolShape& shape, const KubeSettings& settings) {
  const bool is_group = shape.nodes > 1;
  json::object labels = replica_labels(order.spec, settings);
  labels[kRunLabel] = order.run;
  json::object notes = {{kReplicaAnnotation, order.spec.replica},
                        {kDeploymentAnnotation, order.spec.deployment},
                        {kDigestAnnotation, order.spec.digest()},
                        {kTermAnnotation, std::to_string(order.term)}};
  if (is_group && !shape.exclusive_topology.empty()) notes[kExclusiveTopology] = shape.exclusive_topology;
  json::object metadata;
  metadata["labels"] = std::move(labels);
  metadata["annotations"] = std::move(notes);
  if (!order.resource_version.empty()) metadata["resourceVersion"] = order.resource_version;
  Manifest manifest = begin(is_group ? Collection::kGroups : Collection::kDeployments,
                            workload_name(order.spec.replica), std::move(metadata), settings);
  manifest.body["spec"] = is_group ? group_spec(order, shape, settings) : deployment_spec(order, shape, settings);
  return manifest;
}

std::vector<Manifest> shared_manifests(const std::string& deployment, const std::vector<SeenWorkload>& owners,
                                       const KubeSettings& settings) {
  const std::string name = deployment_object_name(deployment);
  const json::object metadata = shared_metadata(deployment, owners, settings);
  const bool has_groups = std::any_of(owners.begin(), owners.end(),
                                      [](const SeenWorkload& owner) { return owner.kind == WorkloadKind::kGroup; });
  std::vector<Manifest> out;
  out.push_back(begin(Collection::kServices, name, metadata, settings));
  out.back().body["spec"] = service_spec(deployment, settings);
  out.push_back(begin(Collection::kBudgets, name, metadata, settings));
  out.back().body["spec"] = budget_spec(deployment);
  if (!settings.network_policy) return out;
  out.push_back(begin(Collection::kPolicies, name, metadata, settings));
  out.back().body["spec"] = policy_spec(deployment, has_groups, settings);
  return out;
}

Manifest term_stamp(const SeenWorkload& workload, Term term, const KubeSettings& settings) {
  json::object metadata;
  metadata["annotations"] = json::object{{kTermAnnotation, std::to_string(term)}};
  metadata["resourceVersion"] = workload.resource_version;
  return begin(collection_of(workload.kind), workload.name, std::move(metadata), settings);
}

Manifest lease_manifest(const std::string& holder, Term term, const std::string& resource_version, Duration ttl,
                        Wall now, const KubeSettings& settings) {
  json::object metadata;
  metadata["labels"] = json::object{{kManagedByLabel, "tidegate"}, {kInstallationLabel, settings.installation}};
  metadata["annotations"] = json::object{{kTermAnnotation, std::to_string(term)}};
  if (!resource_version.empty()) metadata["resourceVersion"] = resource_version;
  Manifest manifest = begin(Collection::kLeases, lease_name(settings.installation), std::move(metadata), settings);
  const auto term_max = static_cast<Term>(std::numeric_limits<std::int32_t>::max());
  const std::int64_t seconds = std::chrono::ceil<std::chrono::seconds>(ttl).count();
  json::object spec;
  spec["holderIdentity"] = holder;
  spec["leaseDurationSeconds"] = std::max<std::int64_t>(1, seconds);
  spec["renewTime"] = format_rfc3339(now);
  // For people; what fences is the annotation, which has no such limit.
  spec["leaseTransitions"] = static_cast<std::int64_t>(std::min(term, term_max));
  manifest.body["spec"] = std::move(spec);
  return manifest;
}

}  // namespace tidegate::scheduler::kube
