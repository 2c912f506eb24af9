#include "scheduler/drivers/kubernetes/objects/manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "scheduler/drivers/kubernetes/objects/object_names.h"
#include "scheduler/drivers/kubernetes/objects/pod_template.h"
#include "tests/support/kube/schema_check.h"

namespace tidegate::scheduler::kube {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

const std::string kPools = R"({"pools": [
  {"pool": "cpu", "accelerator": "cpu", "cpu_millis": 2500, "memory_mib": 4096},
  {"pool": "h100", "accelerator": "h100-80", "per_node": 8, "cpu_millis": 64000, "memory_mib": 800000, "shm_mib": 65536,
   "node_selector": {"gpu": "h100"}, "tolerations": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}, {"key": "b"}],
   "extra_resources": {"rdma/hca": 1}, "environment": {"NCCL_DEBUG": "WARN"}, "priority_class": "dedicated",
   "runtime_class": "nvidia", "image": "other/image:2", "zone_spread": "hard"},
  {"pool": "rack", "accelerator": "h20-96", "per_node": 8, "nodes": 4, "cpu_millis": 64000, "memory_mib": 800000,
   "peer_command": ["serve", "--rank"], "exclusive_topology": "example.com/rail", "zone_spread": "none"}
]})";

KubeSettings settings() {
  KubeSettings out;
  out.name_space = "tg";
  out.image = "registry.example/tidegate:1";
  out.scheduler_address = "tidegate-scheduler:8092";
  out.billing_address = "tidegate-billing:8091";
  out.token_secret = "token";
  out.tls_secret = "tls";
  out.pull_secret = "pull";
  out.service_account = "tidegate-worker";
  out.models_volume = "pvc:models";
  out.models_dir = "/models";
  return out;
}

RunOrder order(const std::string& pool) {
  RunOrder out;
  out.spec = {.replica = "d-0",
              .deployment = "d",
              .model = "m",
              .variant = "bf16",
              .engine = "cpu",
              .model_path = "/models/m",
              .region = "eu",
              .pool = pool,
              .options = {"kv.mib=512"}};
  out.run = "t3-1a-1";
  out.term = 3;
  return out;
}

class ManifestsTest : public ::testing::Test {
 protected:
  Manifest workload(const std::string& pool) {
    return workload_manifest(order(pool), **pools_.find(pool, "eu"), settings_);
  }
  void expect_valid(const Manifest& manifest) {
    EXPECT_THAT(schema_.complaints(manifest.body), IsEmpty()) << json::serialize(manifest.body);
  }
  static const json::object& pod_spec(const Manifest& manifest) {
    return manifest.body.at("spec").at("template").at("spec").as_object();
  }
  static const json::object& container(const json::object& spec) {
    return spec.at("containers").as_array().front().as_object();
  }

  PoolShapes pools_ = *PoolShapes::parse(kPools);
  KubeSettings settings_ = settings();
  test::SchemaCheck schema_ = test::SchemaCheck::load();
};

TEST_F(ManifestsTest, EveryKindIsValidInEveryPool) {
  for (const char* pool : {"cpu", "h100", "rack"}) expect_valid(workload(pool));
  SeenWorkload owner;
  owner.name = "tg-d-0";
  owner.uid = "u";
  SeenWorkload group = owner;
  group.kind = WorkloadKind::kGroup;
  for (const auto& owners : {std::vector{owner}, std::vector{owner, group}}) {
    const auto shared = shared_manifests("d", owners, settings_);
    EXPECT_EQ(shared.size(), 3u);
    for (const Manifest& manifest : shared) expect_valid(manifest);
  }
  expect_valid(
      lease_manifest("me", 3, "", std::chrono::seconds(15), wall_from_unix_micros(1'795'248'000'000'000), settings_));
  expect_valid(lease_manifest("me", Term{1} << 40, "7", std::chrono::seconds(15), Wall{}, settings_));
  EXPECT_THAT(schema_.complaints(term_stamp(owner, 4, settings_).body, false), IsEmpty());
}

TEST_F(ManifestsTest, LongNamesStayValid) {
  RunOrder named = order("cpu");
  named.spec.deployment = std::string(62, 'a') + "-";
  named.spec.replica = named.spec.deployment + "-17";
  const Manifest manifest = workload_manifest(named, **pools_.find("cpu", "eu"), settings_);
  expect_valid(manifest);
  EXPECT_EQ(manifest.body.at("metadata").at("annotations").at(kReplicaAnnotation).as_string(), named.spec.replica);
}

TEST_F(ManifestsTest, PlainInstallationHasNoMoreThanItNeeds) {
  settings_.tls_secret.clear();
  settings_.billing_address.clear();
  settings_.pull_secret.clear();
  settings_.service_account.clear();
  settings_.network_policy = false;
  settings_.models_volume = "hostpath:/srv/models";
  const Manifest manifest = workload("cpu");
  expect_valid(manifest);
  const std::string text = json::serialize(manifest.body);
  for (const char* absent :
       {"rpc.tls", "billing.address", "imagePullSecrets", "serviceAccountName", "priorityClassName", "shm"}) {
    EXPECT_EQ(text.find(absent), std::string::npos) << absent;
  }
  EXPECT_NE(text.find("/srv/models"), std::string::npos);
  SeenWorkload owner;
  owner.name = "tg-d-0";
  EXPECT_EQ(shared_manifests("d", {owner}, settings_).size(), 2u);
}

TEST_F(ManifestsTest, OneReplicaAtATimeAndNeverTwiceOnTheAccelerators) {
  const Manifest manifest = workload("h100");
  EXPECT_EQ(manifest.body.at("spec").at("replicas").as_int64(), 1);
  EXPECT_EQ(manifest.body.at("spec").at("strategy").at("type").as_string(), "Recreate");
  EXPECT_EQ(manifest.name, "tg-d-0");
}

TEST_F(ManifestsTest, PodGetsWhatItsPoolSays) {
  const Manifest manifest = workload("h100");
  const json::object& spec = pod_spec(manifest);
  const json::object& worker = container(spec);
  for (const char* side : {"requests", "limits"}) {
    const json::object& amounts = worker.at("resources").at(side).as_object();
    EXPECT_EQ(amounts.at("nvidia.com/gpu").as_string(), "8") << side;
    EXPECT_EQ(amounts.at("rdma/hca").as_string(), "1") << side;
    EXPECT_EQ(amounts.at("memory").as_string(), "800000Mi") << side;
    EXPECT_EQ(amounts.at("cpu").as_string(), "64000m") << side;
  }
  EXPECT_EQ(worker.at("image").as_string(), "other/image:2");
  EXPECT_EQ(spec.at("nodeSelector").at("gpu").as_string(), "h100");
  EXPECT_EQ(spec.at("priorityClassName").as_string(), "dedicated");
  EXPECT_EQ(spec.at("runtimeClassName").as_string(), "nvidia");
  EXPECT_EQ(spec.at("topologySpreadConstraints").at(0).at("whenUnsatisfiable").as_string(), "DoNotSchedule");
  EXPECT_FALSE(
      container(pod_spec(workload("cpu"))).at("resources").at("limits").as_object().contains("nvidia.com/gpu"));
}

TEST_F(ManifestsTest, LostNodesAreGivenUpLongBeforeTheDefault) {
  std::vector<std::string> taints;
  const Manifest made = workload("cpu");
  for (const json::value& one : pod_spec(made).at("tolerations").as_array()) {
    const json::object& toleration = one.as_object();
    if (toleration.contains("tolerationSeconds")) {
      EXPECT_LE(toleration.at("tolerationSeconds").as_int64(), 30);
      taints.emplace_back(toleration.at("key").as_string());
    }
  }
  EXPECT_THAT(taints, ::testing::ElementsAre("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"));
}

TEST_F(ManifestsTest, StartupProbeAllowsTheWholeLoadAndTheGracePeriodTheWholeDrain) {
  settings_.load_limit = std::chrono::minutes(30);
  settings_.stop_limit = std::chrono::seconds(120);
  const Manifest manifest = workload("cpu");
  const json::object& worker = container(pod_spec(manifest));
  const json::object& startup = worker.at("startupProbe").as_object();
  EXPECT_EQ(startup.at("failureThreshold").as_int64() * startup.at("periodSeconds").as_int64(), 1800);
  EXPECT_GT(pod_spec(manifest).at("terminationGracePeriodSeconds").as_int64(), 120);
}

TEST_F(ManifestsTest, NobodyGetsMoreRightsThanItNeeds) {
  const Manifest manifest = workload("cpu");
  const json::object& spec = pod_spec(manifest);
  EXPECT_FALSE(spec.at("automountServiceAccountToken").as_bool());
  EXPECT_TRUE(spec.at("securityContext").at("runAsNonRoot").as_bool());
  EXPECT_TRUE(container(spec).at("securityContext").at("readOnlyRootFilesystem").as_bool());
  EXPECT_FALSE(container(spec).at("securityContext").at("allowPrivilegeEscalation").as_bool());
}

TEST_F(ManifestsTest, WorkerIsToldWhoItIsAndNoSecret) {
  const auto arguments = worker_arguments(order("cpu").spec, 3, **pools_.find("cpu", "eu"), settings_);
  for (const char* argument :
       {"--replica=d-0", "--term=3", "--grpc.advertise=$(POD_IP):9201", "--scheduler.address=tidegate-scheduler:8092",
        "--cluster_token_file=/etc/tidegate/token/cluster_token", "--model.dir=/models/m", "--kv.mib=512",
        "--threads=2", "--rpc.tls_key_file=/etc/tidegate/tls/tls.key"}) {
    EXPECT_THAT(arguments, Contains(std::string(argument)));
  }
}

TEST_F(ManifestsTest, ReplicaOverSeveralNodesIsAGroupThatBeginsAnewAsAWhole) {
  const Manifest manifest = workload("rack");
  EXPECT_EQ(manifest.collection, Collection::kGroups);
  const json::object& group = manifest.body.at("spec").at("leaderWorkerTemplate").as_object();
  EXPECT_EQ(group.at("size").as_int64(), 4);
  EXPECT_EQ(group.at("restartPolicy").as_string(), "RecreateGroupOnPodRestart");
  EXPECT_EQ(
      manifest.body.at("metadata").at("annotations").at("leaderworkerset.sigs.k8s.io/exclusive-topology").as_string(),
      "example.com/rail");
  const json::object& peer = group.at("workerTemplate").at("spec").at("containers").at(0).as_object();
  EXPECT_EQ(peer.at("command").at(0).as_string(), "serve");
  EXPECT_FALSE(peer.contains("readinessProbe"));
  EXPECT_EQ(group.at("workerTemplate").at("metadata").at("labels").at(kRoleLabel).as_string(), "peer");
}

TEST_F(ManifestsTest, AnotherRunIsAnotherTemplateOfTheSameObject) {
  const Manifest first = workload("cpu");
  RunOrder again = order("cpu");
  again.run = "t3-1b-2";
  again.resource_version = "77";
  const Manifest second = workload_manifest(again, **pools_.find("cpu", "eu"), settings_);
  EXPECT_EQ(first.name, second.name);
  EXPECT_EQ(first.body.at("spec").at("selector"), second.body.at("spec").at("selector")) << "it cannot be changed";
  EXPECT_NE(first.body.at("spec").at("template"), second.body.at("spec").at("template"));
  EXPECT_EQ(second.body.at("metadata").at("resourceVersion").as_string(), "77");
  EXPECT_FALSE(first.body.at("metadata").as_object().contains("resourceVersion"));
}

TEST_F(ManifestsTest, StampHoldsNothingButTheTerm) {
  SeenWorkload seen;
  seen.name = "tg-d-0";
  seen.resource_version = "5";
  const json::object body = term_stamp(seen, 9, settings_).body;
  EXPECT_FALSE(body.contains("spec"));
  EXPECT_EQ(body.at("metadata").at("annotations").as_object().size(), 1u);
  EXPECT_EQ(body.at("metadata").at("annotations").at(kTermAnnotation).as_string(), "9");
  EXPECT_EQ(body.at("metadata").at("resourceVersion").as_string(), "5");
}

TEST_F(ManifestsTest, OnlyGatewaysReachTheWorkersPort) {
  SeenWorkload owner;
  owner.name = "tg-d-0";
  const json::object policy = shared_manifests("d", {owner}, settings_)[2].body.at("spec").as_object();
  const json::array& ingress = policy.at("ingress").as_array();
  ASSERT_EQ(ingress.size(), 2u);
  EXPECT_EQ(ingress[0].at("from").at(0).at("podSelector").at("matchLabels").at("app.kubernetes.io/name").as_string(),
            "tidegate-gateway");
  EXPECT_EQ(ingress[0].at("ports").at(0).at("port").as_int64(), 9201);
  EXPECT_EQ(policy.at("policyTypes").as_array().size(), 2u);
}

}  // namespace
}  // namespace tidegate::scheduler::kube
