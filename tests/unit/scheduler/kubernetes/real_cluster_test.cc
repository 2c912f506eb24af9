// The drivers' contract against a real API server, where the environment names one (TIDEGATE_KUBE_APISERVER), and what
// it says of the manifests.

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/drivers/kubernetes/objects/manifests.h"
#include "scheduler/drivers/kubernetes/objects/paths.h"
#include "tests/support/kube/real_api_server.h"
#include "tests/unit/scheduler/drivers/runtime_driver_contract.h"
#include "tests/unit/scheduler/kubernetes/kube_world.h"

namespace tidegate::scheduler {
namespace {

struct RealKubeWorld {
  RealKubeWorld() {
    if (!test::RealApiServer::is_given()) return;
    test::RealApiServer& server = test::RealApiServer::instance();
    settings = test_settings("");
    settings.access = server.access();
    settings.objects.name_space = server.fresh_namespace();
    hands = std::make_unique<test::ClusterHands>(settings.access, settings.objects.name_space);
    first = open();
  }
  ~RealKubeWorld() {
    first.reset();
    hands.reset();
  }
  const char* reason_to_skip() const {
    return test::RealApiServer::is_given() ? nullptr : "TIDEGATE_KUBE_APISERVER names no API server";
  }

  RuntimeDriver& driver() { return *first; }
  std::unique_ptr<RuntimeDriver> another() {
    await_settled(*first);
    return open();
  }
  void kill(const std::string& replica) { hands->end_container(replica, 137); }
  Mono now() { return clock.mono(); }

  std::unique_ptr<KubernetesDriver> open() { return open_knowing(settings, clock, log, metrics); }

  SystemClock clock;
  test::LogCapture log;
  MemoryRegistry registry;
  kube::KubeMetrics metrics{registry};
  KubernetesDriver::Settings settings;
  std::unique_ptr<test::ClusterHands> hands;
  std::unique_ptr<KubernetesDriver> first;
};

INSTANTIATE_TYPED_TEST_SUITE_P(RealCluster, RuntimeDriverContract, RealKubeWorld);

/// Everything that one replica in this pool makes the driver send.
std::vector<kube::Manifest> every_manifest(const kube::PoolShape& shape, const kube::KubeSettings& settings) {
  kube::RunOrder order;
  order.spec.deployment = "d-" + shape.pool;
  order.spec.replica = order.spec.deployment + "-0";
  order.spec.model = "m";
  order.spec.variant = "bf16";
  order.spec.engine = "cpu";
  order.spec.model_path = "/models/m";
  order.spec.region = "local";
  order.spec.pool = shape.pool;
  order.run = "t1-0-1";
  order.term = 1;
  std::vector<kube::Manifest> out;
  out.push_back(kube::workload_manifest(order, shape, settings));
  kube::SeenWorkload owner;
  owner.kind = shape.nodes > 1 ? kube::WorkloadKind::kGroup : kube::WorkloadKind::kDeployment;
  owner.name = out.front().name;
  owner.uid = "00000000-0000-0000-0000-000000000000";
  for (kube::Manifest& each : kube::shared_manifests(order.spec.deployment, {owner}, settings)) {
    out.push_back(std::move(each));
  }
  out.push_back(kube::lease_manifest("me", 1, "", std::chrono::seconds(15), SystemClock().wall(), settings));
  return out;
}

TEST(RealClusterManifests, TheServerTakesThemAndNoFieldThatItDoesNotKnow) {
  if (!test::RealApiServer::is_given()) GTEST_SKIP() << "TIDEGATE_KUBE_APISERVER names no API server";
  test::RealApiServer& server = test::RealApiServer::instance();
  kube::KubeSettings settings = test_settings("").objects;
  settings.name_space = server.fresh_namespace();
  const kube::PoolShapes pools = test_pools();
  for (const kube::PoolShape& shape : pools.all()) {
    for (kube::Manifest& manifest : every_manifest(shape, settings)) {
      const std::string path = kube::collection_path(manifest.collection, settings.name_space);
      EXPECT_NO_THROW(server.dry_run(path, json::serialize(manifest.body))) << json::serialize(manifest.body);
      // Groups are the server's as far as the tests described them to it: it knows no field of theirs.
      if (manifest.collection == kube::Collection::kGroups) continue;
      manifest.body["spec"].as_object()["nonsense"] = 1;
      EXPECT_THROW(server.dry_run(path, json::serialize(manifest.body)), std::runtime_error) << manifest.name;
    }
  }
}

}  // namespace
}  // namespace tidegate::scheduler
