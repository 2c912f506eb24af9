#include "tests/support/kube/cluster_hands.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <set>
#include <stdexcept>
#include <utility>

#include "base/net/timer.h"
#include "scheduler/drivers/kubernetes/objects/json_members.h"
#include "scheduler/drivers/kubernetes/objects/object_names.h"
#include "scheduler/drivers/kubernetes/objects/object_reading.h"
#include "tests/support/coro_wait.h"

namespace tidegate::test {

using scheduler::kube::Collection;
using scheduler::kube::KubeApi;
using scheduler::kube::KubeCall;
using scheduler::kube::metadata_text;
using scheduler::kube::text_in;
using scheduler::kube::Verb;

namespace {

const json::object& part(const json::object& from, std::string_view key) {
  static const json::object kNone;
  const json::value* found = from.if_contains(key);
  return found != nullptr && found->is_object() ? found->get_object() : kNone;
}

std::string label(const json::object& object, std::string_view key) {
  return text_in(part(part(object, "metadata"), "labels"), key);
}

json::object terminated(int exit_code) {
  return {{"terminated", json::object{{"exitCode", exit_code}, {"reason", exit_code == 0 ? "Completed" : "Error"}}}};
}

json::object running() { return {{"running", json::object{{"startedAt", "2026-11-21T08:00:00Z"}}}}; }

json::object pod_status(json::object state, json::object last_state, std::int64_t restarts, bool is_ready) {
  json::object container = {
      {"name", "worker"}, {"image", "i"}, {"imageID", "i"}, {"ready", is_ready}, {"restartCount", restarts}};
  container["state"] = std::move(state);
  container["lastState"] = std::move(last_state);
  json::object status = {{"phase", "Running"}};
  status["containerStatuses"] = json::array{json::value(std::move(container))};
  return {{"status", std::move(status)}};
}

bool is_container_running(const json::object& pod) {
  const json::value* list = part(pod, "status").if_contains("containerStatuses");
  return list != nullptr && !list->as_array().empty() &&
         part(list->as_array().front().as_object(), "state").contains("running");
}

std::int64_t restarts_of(const json::object& pod) {
  const json::value* list = part(pod, "status").if_contains("containerStatuses");
  if (list == nullptr || list->as_array().empty()) return 0;
  return list->as_array().front().at("restartCount").to_number<std::int64_t>();
}

}  // namespace

ClusterHands::ClusterHands(scheduler::kube::AccessOptions access, std::string name_space)
    : name_space_(std::move(name_space)) {
  KubeApi::Settings settings;
  settings.call_limit = std::chrono::seconds(10);  // what a test asks of the hands is not tried again
  auto opened = KubeApi::open(std::move(access), settings, clock_, log_, metrics_);
  if (!opened) throw std::runtime_error(opened.error().to_string());
  api_ = *std::move(opened);
  asio::co_spawn(io_.executor(0), play(), [this](std::exception_ptr error) {
    abort_on_throw(error);
    ended_.set_value();
  });
}

ClusterHands::~ClusterHands() {
  is_ending_ = true;
  ended_.get_future().wait();
  io_.run_on(0, [this] { api_.reset(); });
  io_.stop();
}

awaitable<void> ClusterHands::play() {
  while (!is_ending_) {
    co_await round();
    co_await turn();
  }
}

awaitable<json::array> ClusterHands::list(Collection collection) {
  KubeCall call;
  call.path = scheduler::kube::collection_path(collection, name_space_);
  const auto answer = co_await api_->call(std::move(call));
  if (!answer || !answer->is_object() || !answer->get_object().contains("items")) co_return json::array();
  const json::value& items = answer->get_object().at("items");
  co_return items.is_array() ? items.get_array() : json::array();
}

awaitable<void> ClusterHands::patch(Collection collection, std::string name, std::string part, json::object body) {
  KubeCall call;
  call.verb = Verb::kMergePatch;
  call.path = scheduler::kube::object_path(collection, name_space_, name) + part;
  call.query = "?fieldManager=hands";
  call.body = std::move(body);
  const auto answer = co_await api_->call(std::move(call));
  static_cast<void>(answer);  // the next round sees what became of it
}

awaitable<void> ClusterHands::erase(Collection collection, std::string name) {
  KubeCall call;
  call.verb = Verb::kDelete;
  call.path = scheduler::kube::object_path(collection, name_space_, name);
  call.body = json::object{{"apiVersion", "v1"}, {"kind", "DeleteOptions"}, {"gracePeriodSeconds", 0}};
  const auto answer = co_await api_->call(std::move(call));
  static_cast<void>(answer);
}

awaitable<void> ClusterHands::round() {
  const json::array pods = co_await list(Collection::kPods);
  for (const Collection collection : {Collection::kDeployments, Collection::kGroups}) {
    const json::array found = co_await list(collection);
    for (const json::value& one : found) co_await tend(one.as_object(), collection, pods);
  }
  for (const json::value& pod : pods) {
    const json::object& object = pod.as_object();
    if (!metadata_text(object, "deletionTimestamp").empty() && !is_held_)
      co_await erase(Collection::kPods, metadata_text(object, "name"));
    else if (text_in(part(object, "status"), "phase") != "Running")
      co_await begin_pod(object);
  }
  co_await collect();
}

/// What the workload's controller would do next.
awaitable<void> ClusterHands::tend(json::object workload, Collection collection, const json::array& pods) {
  const std::string name = metadata_text(workload, "name");
  const json::object& spec = part(workload, "spec");
  const json::object& leader = collection == Collection::kGroups
                                   ? part(part(spec, "leaderWorkerTemplate"), "leaderTemplate")
                                   : part(spec, "template");
  const std::string run = label(leader, scheduler::kube::kRunLabel);
  const bool is_going = !metadata_text(workload, "deletionTimestamp").empty();
  std::size_t owned = 0;
  for (const json::value& one : pods) {
    const json::object& pod = one.as_object();
    if (label(pod, scheduler::kube::kWorkloadLabel) != name) continue;
    ++owned;
    const bool is_wanted = !is_going && label(pod, scheduler::kube::kRunLabel) == run;
    if (is_wanted || !metadata_text(pod, "deletionTimestamp").empty()) continue;
    // With its grace: the kubelet's part is the next round's.
    KubeCall call;
    call.verb = Verb::kDelete;
    call.path = scheduler::kube::object_path(Collection::kPods, name_space_, metadata_text(pod, "name"));
    call.body = json::object{{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
    const auto answer = co_await api_->call(std::move(call));
    static_cast<void>(answer);
  }
  if (owned > 0) co_return;
  if (is_going) {
    json::object metadata = {{"finalizers", json::value(nullptr)}};
    json::object body = {{"metadata", std::move(metadata)}};
    co_await patch(collection, name, "", std::move(body));
    co_return;
  }
  co_await make_pods(workload, collection);
}

awaitable<void> ClusterHands::make_pods(const json::object& workload, Collection collection) {
  const json::object& spec = part(workload, "spec");
  const json::object& group = part(spec, "leaderWorkerTemplate");
  const bool is_group = collection == Collection::kGroups;
  const std::int64_t count = is_group ? group.at("size").to_number<std::int64_t>() : 1;
  for (std::int64_t i = 0; i < count; ++i) {
    const json::object& pattern = !is_group ? part(spec, "template")
                                  : i == 0  ? part(group, "leaderTemplate")
                                            : part(group, "workerTemplate");
    json::object metadata = part(pattern, "metadata");
    metadata["name"] = fmt::format("{}-{}", metadata_text(workload, "name"), ++pods_made_);
    json::object owner = {{"apiVersion", text_in(workload, "apiVersion")},
                          {"kind", text_in(workload, "kind")},
                          {"name", metadata_text(workload, "name")},
                          {"uid", metadata_text(workload, "uid")}};
    metadata["ownerReferences"] = json::array{json::value(std::move(owner))};
    json::object pod = {{"apiVersion", "v1"}, {"kind", "Pod"}};
    pod["metadata"] = std::move(metadata);
    pod["spec"] = part(pattern, "spec");
    KubeCall call;
    call.verb = Verb::kCreate;
    call.path = scheduler::kube::collection_path(Collection::kPods, name_space_);
    call.query = "?fieldManager=hands";
    call.body = std::move(pod);
    const auto answer = co_await api_->call(std::move(call));
    static_cast<void>(answer);
  }
}

awaitable<void> ClusterHands::begin_pod(const json::object& pod) {
  const std::string name = metadata_text(pod, "name");
  if (!is_withheld_) {
    json::object status = pod_status(running(), json::object(), 0, true);
    co_await patch(Collection::kPods, name, "/status", std::move(status));
    co_return;
  }
  if (part(pod, "status").contains("conditions") && !part(pod, "status").at("conditions").as_array().empty())
    co_return;
  json::object condition = {{"type", "PodScheduled"},
                            {"status", "False"},
                            {"reason", "Unschedulable"},
                            {"message", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."}};
  json::object status = {{"phase", "Pending"}};
  status["conditions"] = json::array{json::value(std::move(condition))};
  json::object body = {{"status", std::move(status)}};
  co_await patch(Collection::kPods, name, "/status", std::move(body));
}

/// What was shared is listed before those it may belong to: an owner that is made meanwhile is seen.
awaitable<void> ClusterHands::collect() {
  for (const Collection collection : {Collection::kServices, Collection::kBudgets, Collection::kPolicies}) {
    const json::array found = co_await list(collection);
    if (found.empty()) continue;
    std::set<std::string> living;
    for (const Collection owners : {Collection::kDeployments, Collection::kGroups}) {
      const json::array workloads = co_await list(owners);
      for (const json::value& one : workloads) living.insert(metadata_text(one.as_object(), "uid"));
    }
    for (const json::value& one : found) {
      const json::value* owners = part(one.as_object(), "metadata").if_contains("ownerReferences");
      if (owners == nullptr || owners->as_array().empty()) continue;
      bool is_owned = false;
      for (const json::value& owner : owners->as_array())
        is_owned = is_owned || living.contains(text_in(owner.as_object(), "uid"));
      if (!is_owned) co_await erase(collection, metadata_text(one.as_object(), "name"));
    }
  }
}

/// Name of the replica's leader pod that runs; waits until there is one.
awaitable<std::string> ClusterHands::running_leader(std::string replica, json::object* found) {
  const std::string workload = scheduler::kube::workload_name(replica);
  const Mono give_up = clock_.mono() + std::chrono::seconds(15);
  while (clock_.mono() < give_up) {
    const json::array pods = co_await list(Collection::kPods);
    for (const json::value& one : pods) {
      const json::object& pod = one.as_object();
      const bool is_it = label(pod, scheduler::kube::kWorkloadLabel) == workload &&
                         label(pod, scheduler::kube::kRoleLabel) == "leader" &&
                         metadata_text(pod, "deletionTimestamp").empty() &&
                         text_in(part(pod, "status"), "phase") == "Running";
      if (!is_it || !is_container_running(pod)) continue;
      *found = pod;
      co_return metadata_text(pod, "name");
    }
    co_await turn();
  }
  throw std::runtime_error("no pod of '" + replica + "' runs");
}

awaitable<void> ClusterHands::set_container(std::string replica, int exit_code, bool is_running) {
  json::object pod;
  std::string name = co_await running_leader(replica, &pod);
  const std::int64_t restarts = restarts_of(pod) + (is_running ? 1 : 0);
  json::object waiting = {{"waiting", json::object{{"reason", "CrashLoopBackOff"}}}};
  json::object state = is_running ? running() : std::move(waiting);
  json::object body = pod_status(std::move(state), terminated(exit_code), restarts, is_running);
  co_await patch(Collection::kPods, std::move(name), "/status", std::move(body));
}

void ClusterHands::end_container(const std::string& replica, int exit_code) {
  io_.run_on(0, [&] { return set_container(replica, exit_code, false); });
}

void ClusterHands::restart_container(const std::string& replica, int exit_code) {
  io_.run_on(0, [&] { return set_container(replica, exit_code, true); });
}

void ClusterHands::delete_pod(const std::string& replica) {
  const auto work = [&]() -> awaitable<void> {
    json::object pod;
    std::string name = co_await running_leader(replica, &pod);
    co_await erase(Collection::kPods, std::move(name));
  };
  io_.run_on(0, work);
}

}  // namespace tidegate::test
