#include "scheduler/drivers/kubernetes/objects/object_reading.h"

#include <gtest/gtest.h>

#include "scheduler/drivers/kubernetes/objects/manifests.h"

namespace tidegate::scheduler::kube {
namespace {

json::object object(const std::string& text) { return json::parse(text)->as_object(); }

SeenPod pod(const std::string& status) {
  return read_pod(object(
      R"({"metadata": {"name": "p", "uid": "u", "labels": {"tidegate.io/workload": "tg-d-0", "tidegate.io/run": "r",
    "tidegate.io/role": "leader"}}, "status": )" +
      status + "}"));
}

std::string container(const std::string& members) {
  return R"({"phase": "Running", "containerStatuses": [{"name": "sidecar", "restartCount": 9}, {"name": "worker", )" +
         members + "}]}";
}

TEST(ObjectReading, WorkloadComesBackAsItWasSent) {
  const auto pools =
      PoolShapes::parse(R"({"pools": [{"pool": "cpu", "accelerator": "cpu", "cpu_millis": 1, "memory_mib": 1}]})");
  RunOrder order;
  order.spec = {.replica = "d-0", .deployment = "d", .pool = "cpu"};
  order.run = "t3-1-1";
  order.term = 3;
  order.resource_version = "7";
  const Manifest manifest = workload_manifest(order, pools->all().front(), KubeSettings());
  const SeenWorkload seen = read_workload(manifest.body, WorkloadKind::kDeployment);
  EXPECT_EQ(seen.name, "tg-d-0");
  EXPECT_EQ(seen.replica, "d-0");
  EXPECT_EQ(seen.deployment, "d");
  EXPECT_EQ(seen.spec_digest, order.spec.digest());
  EXPECT_EQ(seen.run, "t3-1-1");
  EXPECT_EQ(seen.term, 3u);
  EXPECT_EQ(seen.resource_version, "7");
  EXPECT_FALSE(seen.deleting);
}

TEST(ObjectReading, LeaseComesBackAsItWasSent) {
  const Manifest manifest = lease_manifest("me", Term{1} << 40, "9", std::chrono::seconds(15), Wall{}, KubeSettings());
  const SeenLease seen = read_lease(manifest.body);
  EXPECT_EQ(seen.term, Term{1} << 40);
  EXPECT_EQ(seen.holder, "me");
  EXPECT_EQ(seen.resource_version, "9");
}

TEST(ObjectReading, ExitsAreNamedAsTheLocalDriverNamesThem) {
  const auto exit = [](const std::string& terminated) {
    return pod(container(R"("state": {"terminated": )" + terminated + "}")).exit;
  };
  EXPECT_EQ(exit(R"({"exitCode": 1, "reason": "Error"})"), "exit status 1");
  EXPECT_EQ(exit(R"({"exitCode": 137, "reason": "Error"})"), "signal 9");
  EXPECT_EQ(exit(R"({"exitCode": 137, "reason": "OOMKilled"})"), "signal 9 (OOMKilled)");
  EXPECT_EQ(exit(R"({"exitCode": 0, "reason": "Completed"})"), "exit status 0");
  EXPECT_EQ(exit(R"({"exitCode": 255, "reason": "Error"})"), "exit status 255");
  EXPECT_EQ(exit(R"({"exitCode": 2, "reason": "Error", "message": "no model"})"), "exit status 2: no model");
}

TEST(ObjectReading, LifeOfAContainer) {
  EXPECT_EQ(pod("{}").life, PodLife::kPending);
  EXPECT_EQ(pod(container(R"("restartCount": 2, "state": {"running": {}})")).life, PodLife::kRunning);
  EXPECT_EQ(pod(container(R"("restartCount": 2, "state": {"running": {}})")).restarts, 2);
  const SeenPod looping = pod(container(
      R"("state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}})"));
  EXPECT_EQ(looping.life, PodLife::kEnded);
  EXPECT_EQ(looping.exit, "exit status 1");
  const SeenPod pulling =
      pod(container(R"("state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})"));
  EXPECT_EQ(pulling.life, PodLife::kPending);
  EXPECT_EQ(pulling.waits_for, "ImagePullBackOff: no such image");
  EXPECT_EQ(pod(container(R"("state": {"waiting": {"reason": "ContainerCreating"}})")).waits_for, "");
}

TEST(ObjectReading, PodWithoutANodeSaysWhy) {
  const SeenPod seen = pod(
      R"({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]})");
  EXPECT_EQ(seen.life, PodLife::kPending);
  EXPECT_EQ(seen.waits_for, "0/3 nodes");
}

TEST(ObjectReading, EvictedPodHasEnded) {
  const SeenPod seen = pod(R"({"phase": "Failed", "reason": "Evicted", "message": "low on memory"})");
  EXPECT_EQ(seen.life, PodLife::kEnded);
  EXPECT_EQ(seen.exit, "Evicted: low on memory");
}

TEST(ObjectReading, OddObjectsReadAsEmpty) {
  EXPECT_EQ(read_workload(object("{}"), WorkloadKind::kGroup).name, "");
  EXPECT_EQ(read_workload(object(R"({"metadata": 7})"), WorkloadKind::kGroup).name, "");
  EXPECT_EQ(read_pod(object(R"({"metadata": {"name": 7}, "status": []})")).name, "");
  EXPECT_EQ(pod(R"({"containerStatuses": [7, {"name": "worker", "state": 7}]})").life, PodLife::kPending);
}

TEST(ObjectReading, FailuresHaveTheServersWords) {
  const json::value status = *json::parse(
      R"({"kind": "Status", "message": "no rights", "details": {"causes": [{"reason": "FieldManagerConflict"}]}})");
  EXPECT_EQ(failure_words(403, status), "the API server answers 403: no rights");
  EXPECT_EQ(failure_words(500, json::value(nullptr)), "the API server answers 500");
  EXPECT_TRUE(is_field_conflict(status));
  EXPECT_FALSE(is_field_conflict(*json::parse(R"({"details": {}})")));
}

}  // namespace
}  // namespace tidegate::scheduler::kube
