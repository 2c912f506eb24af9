#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "base/core/metrics.h"
#include "base/net/io_threads.h"
#include "scheduler/drivers/kubernetes/api/kube_api.h"
#include "scheduler/drivers/kubernetes/objects/paths.h"
#include "tests/support/log_capture.h"

namespace tidegate::test {

/// Plays the controllers and the kubelets of a cluster through its API, so that the same tests run against a fake API
/// server and a real one: makes the pods of Deployments and LeaderWorkerSets, says that they run, ends those that are
/// told to go, and collects what has lost its owners.
class ClusterHands {
 public:
  ClusterHands(scheduler::kube::AccessOptions access, std::string name_space);
  ~ClusterHands();

  /// The leader's container ends and waits to be started again. Waits until there is one that runs.
  void end_container(const std::string& replica, int exit_code);
  /// It ends and runs again, as the kubelet does it first.
  void restart_container(const std::string& replica, int exit_code);
  /// Its pod goes, and another one comes.
  void delete_pod(const std::string& replica);
  /// Pods that are told to go stay, as on a node that does not answer; unless they are taken away by force.
  void hold_pods(bool held) { is_held_ = held; }
  /// Pods are made but none begins to run; the scheduler of the cluster says why.
  void withhold_nodes(bool withheld) { is_withheld_ = withheld; }

 private:
  using Collection = scheduler::kube::Collection;
  awaitable<void> play();
  awaitable<void> round();
  awaitable<void> tend(json::object workload, Collection collection, const json::array& pods);
  awaitable<void> make_pods(const json::object& workload, Collection collection);
  awaitable<void> begin_pod(const json::object& pod);
  awaitable<void> collect();
  awaitable<json::array> list(Collection collection);
  awaitable<std::string> running_leader(std::string replica, json::object* found);
  awaitable<void> set_container(std::string replica, int exit_code, bool is_running);
  awaitable<void> patch(Collection collection, std::string name, std::string part, json::object body);
  awaitable<void> erase(Collection collection, std::string name);

  std::string name_space_;
  SystemClock clock_;
  LogCapture log_;
  MemoryRegistry registry_;
  scheduler::kube::KubeMetrics metrics_{registry_};
  std::unique_ptr<scheduler::kube::KubeApi> api_;
  std::atomic<bool> is_ending_{false};
  std::atomic<bool> is_held_{false};
  std::atomic<bool> is_withheld_{false};
  int pods_made_ = 0;
  IoThreads io_{1, "hands"};
  std::promise<void> ended_;
};

}  // namespace tidegate::test
