#include "scheduler/drivers/kubernetes/objects/pod_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "scheduler/drivers/kubernetes/objects/object_names.h"

namespace tidegate::scheduler::kube {

namespace {

constexpr const char* kTokenFolder = "/etc/tidegate/token";
constexpr const char* kTlsFolder = "/etc/tidegate/tls";
constexpr const char* kScratchFolder = "/var/lib/tidegate";
constexpr std::int64_t kSecretMode = 0440;
constexpr std::int64_t kGroupId = 65532;
constexpr std::int64_t kProbePeriodSeconds = 5;
// Kubernetes waits 300 s by default before it gives up pods of a node that does not answer.
constexpr std::int64_t kLostNodeSeconds = 30;
constexpr std::int64_t kGraceExtraSeconds = 10;  // for the runtime itself, beyond what the worker may take

std::int64_t seconds_up(std::chrono::milliseconds span) { return (span.count() + 999) / 1000; }

json::object probe(const char* path, std::int64_t failures) {
  return {{"httpGet", json::object{{"path", path}, {"port", "admin"}}},
          {"periodSeconds", kProbePeriodSeconds},
          {"timeoutSeconds", 2},
          {"failureThreshold", failures}};
}

json::object secret_volume(const char* name, const std::string& secret) {
  return {{"name", name}, {"secret", json::object{{"secretName", secret}, {"defaultMode", kSecretMode}}}};
}

json::object memory_volume(const char* name, std::int64_t mib) {
  return {{"name", name}, {"emptyDir", json::object{{"medium", "Memory"}, {"sizeLimit", fmt::format("{}Mi", mib)}}}};
}

json::object models_volume(const std::string& source) {
  constexpr std::string_view kClaim = "pvc:";
  constexpr std::string_view kHost = "hostpath:";
  json::object volume = {{"name", "models"}};
  if (source.starts_with(kClaim)) {
    volume["persistentVolumeClaim"] = json::object{{"claimName", source.substr(kClaim.size())}, {"readOnly", true}};
  } else {
    volume["hostPath"] = json::object{{"path", source.substr(kHost.size())}, {"type", "Directory"}};
  }
  return volume;
}

json::object mount(const char* name, const std::string& path, bool read_only) {
  return {{"name", name}, {"mountPath", path}, {"readOnly", read_only}};
}

/// Requests and limits are the same: the highest quality of service, and no neighbour pays for a miscalculation.
json::object resources(const PoolShape& shape) {
  json::object amounts = {{"cpu", fmt::format("{}m", shape.cpu_millis)},
                          {"memory", fmt::format("{}Mi", shape.memory_mib)},
                          {"ephemeral-storage", fmt::format("{}Mi", shape.scratch_mib)}};
  if (shape.per_node > 0) amounts[shape.resource] = std::to_string(shape.per_node);
  for (const auto& [name, count] : shape.extra_resources) amounts[name] = std::to_string(count);
  return {{"requests", amounts}, {"limits", amounts}};
}

json::array environment(const PoolShape& shape) {
  json::array list;
  json::object address = {{"fieldRef", json::object{{"fieldPath", "status.podIP"}}}};
  list.push_back(json::object{{"name", "POD_IP"}, {"valueFrom", std::move(address)}});
  for (const auto& [name, value] : shape.environment) list.push_back(json::object{{"name", name}, {"value", value}});
  return list;
}

json::array ports(const KubeSettings& settings) {
  json::array list;
  list.push_back(json::object{{"name", "grpc"}, {"containerPort", settings.grpc_port}, {"protocol", "TCP"}});
  list.push_back(json::object{{"name", "admin"}, {"containerPort", settings.admin_port}, {"protocol", "TCP"}});
  return list;
}

json::array words(const std::vector<std::string>& from) {
  json::array list;
  for (const std::string& word : from) list.push_back(json::value(word));
  return list;
}

json::array tolerations(const PoolShape& shape) {
  json::array list;
  for (const char* taint : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
    list.push_back(json::object{
        {"key", taint}, {"operator", "Exists"}, {"effect", "NoExecute"}, {"tolerationSeconds", kLostNodeSeconds}});
  }
  for (const Toleration& one : shape.tolerations) {
    json::object entry = {{"key", one.key}, {"operator", one.value.empty() ? "Exists" : "Equal"}};
    if (!one.value.empty()) entry["value"] = one.value;
    if (!one.effect.empty()) entry["effect"] = one.effect;
    list.push_back(std::move(entry));
  }
  return list;
}

/// Replicas of one deployment keep away from each other: over zones as the pool says, over hosts where that is
/// possible.
json::array spread(const ReplicaSpec& spec, const PoolShape& shape) {
  json::object same = {{"matchLabels", json::object{{kDeploymentLabel, deployment_object_name(spec.deployment)},
                                                    {kRoleLabel, "leader"}}}};
  json::array list;
  if (shape.zone_spread != Spread::kNone) {
    list.push_back(
        json::object{{"maxSkew", 1},
                     {"topologyKey", "topology.kubernetes.io/zone"},
                     {"whenUnsatisfiable", shape.zone_spread == Spread::kHard ? "DoNotSchedule" : "ScheduleAnyway"},
                     {"labelSelector", same}});
  }
  list.push_back(json::object{{"maxSkew", 1},
                              {"topologyKey", "kubernetes.io/hostname"},
                              {"whenUnsatisfiable", "ScheduleAnyway"},
                              {"labelSelector", std::move(same)}});
  return list;
}

json::array volumes(const ReplicaSpec& spec, const PoolShape& shape, const KubeSettings& settings) {
  json::array list;
  list.push_back(secret_volume("token", settings.token_secret));
  if (!settings.tls_secret.empty()) list.push_back(secret_volume("tls", settings.tls_secret));
  if (!spec.model_path.empty() && !settings.models_volume.empty())
    list.push_back(models_volume(settings.models_volume));
  json::object disk = {{"sizeLimit", fmt::format("{}Mi", shape.scratch_mib)}};
  list.push_back(json::object{{"name", "scratch"}, {"emptyDir", std::move(disk)}});
  if (shape.shm_mib > 0) list.push_back(memory_volume("shm", shape.shm_mib));
  return list;
}

json::array mounts(const ReplicaSpec& spec, const PoolShape& shape, const KubeSettings& settings) {
  json::array list;
  list.push_back(mount("token", kTokenFolder, true));
  if (!settings.tls_secret.empty()) list.push_back(mount("tls", kTlsFolder, true));
  if (!spec.model_path.empty() && !settings.models_volume.empty())
    list.push_back(mount("models", settings.models_dir, true));
  list.push_back(mount("scratch", kScratchFolder, false));
  if (shape.shm_mib > 0) list.push_back(mount("shm", "/dev/shm", false));
  return list;
}

json::object container(const ReplicaSpec& spec, Term term, PodRole role, const PoolShape& shape,
                       const KubeSettings& settings) {
  json::object body;
  body["name"] = kWorkerContainer;
  body["image"] = shape.image.empty() ? settings.image : shape.image;
  body["imagePullPolicy"] = settings.pull_policy;
  body["env"] = environment(shape);
  body["resources"] = resources(shape);
  body["volumeMounts"] = mounts(spec, shape, settings);
  // Last words of a worker that failed are told with its exit.
  body["terminationMessagePolicy"] = "FallbackToLogsOnError";
  body["securityContext"] = json::object{{"allowPrivilegeEscalation", false},
                                         {"readOnlyRootFilesystem", true},
                                         {"capabilities", json::object{{"drop", json::array{json::value("ALL")}}}}};
  if (role == PodRole::kPeer) {
    body["command"] = words(shape.peer_command);
    return body;
  }
  body["command"] = json::array{json::value(settings.worker_binary)};
  body["args"] = words(worker_arguments(spec, term, shape, settings));
  body["ports"] = ports(settings);
  const std::int64_t load_probes = std::max<std::int64_t>(1, seconds_up(settings.load_limit) / kProbePeriodSeconds);
  // Ready means that the model is loaded; until then nothing else is asked, and after that only whether it lives.
  body["startupProbe"] = probe("/readyz", load_probes);
  body["readinessProbe"] = probe("/readyz", 2);
  body["livenessProbe"] = probe("/livez", 6);
  return body;
}

}  // namespace

json::object replica_labels(const ReplicaSpec& spec, const KubeSettings& settings) {
  return {{kManagedByLabel, "tidegate"},
          {kNameLabel, "tidegate-worker"},
          {kInstallationLabel, settings.installation},
          {kDeploymentLabel, deployment_object_name(spec.deployment)},
          {kWorkloadLabel, workload_name(spec.replica)}};
}

std::vector<std::string> worker_arguments(const ReplicaSpec& spec, Term term, const PoolShape& shape,
                                          const KubeSettings& settings) {
  std::vector<std::string> out;
  const auto add = [&](std::string_view key, std::string_view value) {
    out.push_back(fmt::format("--{}={}", key, value));
  };
  add("engine", spec.engine);
  if (!spec.model_path.empty()) add("model.dir", spec.model_path);
  add("model", spec.model);
  add("variant", spec.variant);
  add("deployment", spec.deployment);
  add("replica", spec.replica);
  add("region", spec.region);
  add("pool", spec.pool);
  // "All cores" would be the machine's, not the container's.
  add("threads", std::to_string(spec.threads > 0 ? spec.threads : std::max<std::int64_t>(1, shape.cpu_millis / 1000)));
  if (spec.sequences_max > 0) add("sequences_max", std::to_string(spec.sequences_max));
  add("term", std::to_string(term));
  add("grpc.listen", fmt::format("0.0.0.0:{}", settings.grpc_port));
  add("grpc.advertise", fmt::format("$(POD_IP):{}", settings.grpc_port));
  add("admin.listen", fmt::format("0.0.0.0:{}", settings.admin_port));
  add("scheduler.address", settings.scheduler_address);
  if (!settings.billing_address.empty()) {
    add("billing.address", settings.billing_address);
    add("meter.dir", fmt::format("{}/meter", kScratchFolder));
  }
  add("cluster_token_file", fmt::format("{}/cluster_token", kTokenFolder));
  if (!settings.tls_secret.empty()) {
    add("rpc.tls_ca_file", fmt::format("{}/ca.crt", kTlsFolder));
    add("rpc.tls_cert_file", fmt::format("{}/tls.crt", kTlsFolder));
    add("rpc.tls_key_file", fmt::format("{}/tls.key", kTlsFolder));
  }
  for (const std::string& option : spec.options) out.push_back("--" + option);
  return out;
}

json::object pod_template(const ReplicaSpec& spec, const std::string& run, Term term, PodRole role,
                          const PoolShape& shape, const KubeSettings& settings) {
  json::object labels = replica_labels(spec, settings);
  labels[kRunLabel] = run;
  labels[kRoleLabel] = role == PodRole::kLeader ? "leader" : "peer";
  json::object body;
  body["automountServiceAccountToken"] = false;
  body["enableServiceLinks"] = false;
  body["terminationGracePeriodSeconds"] = seconds_up(settings.stop_limit) + kGraceExtraSeconds;
  body["securityContext"] = json::object{
      {"runAsNonRoot", true}, {"fsGroup", kGroupId}, {"seccompProfile", json::object{{"type", "RuntimeDefault"}}}};
  body["tolerations"] = tolerations(shape);
  if (role == PodRole::kLeader) body["topologySpreadConstraints"] = spread(spec, shape);
  if (!settings.service_account.empty()) body["serviceAccountName"] = settings.service_account;
  if (!settings.pull_secret.empty()) {
    body["imagePullSecrets"] = json::array{json::value(json::object{{"name", settings.pull_secret}})};
  }
  if (!shape.priority_class.empty()) body["priorityClassName"] = shape.priority_class;
  if (!shape.runtime_class.empty()) body["runtimeClassName"] = shape.runtime_class;
  json::object nodes;
  for (const auto& [key, value] : shape.node_selector) nodes[key] = value;
  if (!nodes.empty()) body["nodeSelector"] = std::move(nodes);
  body["volumes"] = volumes(spec, shape, settings);
  body["containers"] = json::array{json::value(container(spec, term, role, shape, settings))};
  json::object metadata = {{"labels", std::move(labels)}};
  return {{"metadata", std::move(metadata)}, {"spec", std::move(body)}};
}

}  // namespace tidegate::scheduler::kube
