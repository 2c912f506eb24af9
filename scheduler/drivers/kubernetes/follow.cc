// What the cluster shows: one loop a collection, list and then watch.

#include <fmt/format.h>

#include <utility>

#include "scheduler/drivers/kubernetes/driver_work.h"
#include "scheduler/drivers/kubernetes/objects/json_members.h"
#include "scheduler/drivers/kubernetes/objects/object_names.h"
#include "scheduler/drivers/kubernetes/objects/object_reading.h"
#include "scheduler/drivers/kubernetes/state/watch_lines.h"

namespace tidegate::scheduler {

using kube::CallFailure;
using kube::Collection;
using kube::WatchMachine;
using kube::WatchStep;

namespace {

constexpr std::int64_t kPage = 500;
constexpr std::size_t kLineMax = 8 << 20;
constexpr std::size_t kEventDepthMax = 64;
constexpr std::size_t kListedMax = 200'000;               // objects of one kind: beyond any fleet of ours
constexpr auto kWatchOvertime = std::chrono::seconds(5);  // the server ends the watch; only a dead one runs into this

CallFailure failure_of_event(const json::object& status) {
  CallFailure failure;
  const json::value* code = status.if_contains("code");
  failure.status = code != nullptr && code->is_int64() ? static_cast<int>(code->get_int64()) : 500;
  failure.message = kube::failure_words(failure.status, json::value(status));
  return failure;
}

CallFailure own_failure(std::string message) {
  CallFailure failure;
  failure.message = std::move(message);
  return failure;
}

}  // namespace

void KubernetesDriver::Work::heard(Feed& feed) {
  const std::lock_guard lock(mutex_);
  feed.heard_at = clock_.mono();
}

void KubernetesDriver::Work::count(WatchMachine::Restart why) {
  switch (why) {
    case WatchMachine::Restart::kNone:
      return;
    case WatchMachine::Restart::kEnded:
      metrics_.watches_ended.add();
      return;
    case WatchMachine::Restart::kExpired:
      metrics_.watches_expired.add();
      return;
    case WatchMachine::Restart::kFailed:
      metrics_.watches_failed.add();
      return;
  }
}

awaitable<void> KubernetesDriver::Work::follow(Feed& feed) {
  for (;;) {
    switch (feed.machine.step()) {
      case WatchStep::kList:
        co_await list_page(feed);
        break;
      case WatchStep::kWatch:
        co_await watch_once(feed);
        break;
      case WatchStep::kWait:
        co_await pause(feed.machine.wait());
        feed.machine.on_waited();
        break;
    }
  }
}

awaitable<void> KubernetesDriver::Work::list_page(Feed& feed) {
  const kube::KubeSettings& objects = settings_.objects;
  kube::KubeCall call;
  call.path = kube::collection_path(feed.collection, objects.name_space);
  call.query =
      fmt::format("?labelSelector={}&limit={}", kube::query_text(kube::our_selector(objects.installation)), kPage);
  const std::string& token = feed.machine.continue_token();
  if (token.empty())
    feed.listed.clear();
  else
    call.query += "&continue=" + kube::query_text(token);
  const kube::KubeAnswer answer = co_await api_->call(std::move(call));
  if (!answer) {
    const bool was_absent = feed.machine.is_absent();
    feed.machine.on_list_failed(answer.error());
    feed.listed.clear();
    if (feed.machine.is_absent()) {
      if (!was_absent) log_.info("kube_collection_absent", {kv("collection", kube::collection_name(feed.collection))});
      take_list(feed);
    } else {
      log_.warn("kube_list_failed",
                {kv("collection", kube::collection_name(feed.collection)), kv("message", answer.error().message)});
    }
    co_return;
  }
  heard(feed);
  const json::object* body = answer->if_object();
  const json::object* metadata = body == nullptr ? nullptr : kube::object_in(*body, "metadata");
  const json::value* items = body == nullptr ? nullptr : body->if_contains("items");
  if (metadata == nullptr) {
    feed.machine.on_list_failed(own_failure("the API server's list has no metadata"));
    co_return;
  }
  if (items != nullptr && items->is_array()) {
    for (const json::value& item : items->get_array()) feed.listed.push_back(item);
  }
  if (feed.listed.size() > kListedMax) {
    feed.machine.on_list_failed(own_failure("the API server's list does not end"));
    co_return;
  }
  const std::string version = kube::text_in(*metadata, "resourceVersion");
  if (feed.machine.on_page(version, kube::text_in(*metadata, "continue"))) take_list(feed);
}

void KubernetesDriver::Work::take_list(Feed& feed) {
  std::vector<kube::SeenWorkload> workloads;
  std::vector<kube::SeenPod> pods;
  const kube::WorkloadKind kind =
      feed.collection == Collection::kGroups ? kube::WorkloadKind::kGroup : kube::WorkloadKind::kDeployment;
  for (const json::value& item : feed.listed) {
    if (!item.is_object()) continue;
    if (feed.collection == Collection::kPods)
      pods.push_back(kube::read_pod(item.get_object()));
    else
      workloads.push_back(kube::read_workload(item.get_object(), kind));
  }
  feed.listed.clear();
  feed.listed.shrink_to_fit();
  bool is_first = false;
  {
    const std::lock_guard lock(mutex_);
    if (feed.collection == Collection::kPods)
      book_.take_pods(std::move(pods), clock_.mono());
    else
      book_.take_workloads(kind, std::move(workloads));
    is_first = !std::exchange(feed.synced, true);
    feed.heard_at = clock_.mono();
  }
  if (is_first) log_.info("kube_collection_known", {kv("collection", kube::collection_name(feed.collection))});
  wake_writers();
}

awaitable<void> KubernetesDriver::Work::watch_once(Feed& feed) {
  const kube::KubeSettings& objects = settings_.objects;
  const Mono began = clock_.mono();
  const std::int64_t seconds =
      std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(settings_.watch_limit).count());
  std::string query = fmt::format(
      "?watch=1&allowWatchBookmarks=true&timeoutSeconds={}&labelSelector={}&resourceVersion={}", seconds,
      kube::query_text(kube::our_selector(objects.installation)), kube::query_text(feed.machine.resource_version()));
  kube::WatchLines lines(kLineMax);
  std::optional<CallFailure> failure;
  kube::KubeApi::BytesSink sink = [&](std::string_view bytes) {
    if (!lines.feed(bytes)) {
      failure = own_failure("an event of the API server is longer than 8 MiB");
      return false;
    }
    while (auto line = lines.take()) {
      failure = take_event(feed, *line);
      if (failure) return false;
    }
    return true;
  };
  std::string path = kube::collection_path(feed.collection, objects.name_space);
  const Duration limit = settings_.watch_limit + kWatchOvertime;
  const auto ended = co_await api_->watch(std::move(path), std::move(query), limit, std::move(sink));
  if (!ended && !failure) failure = ended.error();
  if (!failure) {
    heard(feed);
    count(feed.machine.on_watch_ended(clock_.mono() - began));
    co_return;
  }
  count(feed.machine.on_watch_failed(*failure));
  log_.info("kube_watch_left", {kv("collection", kube::collection_name(feed.collection)), kv("status", failure->status),
                                kv("message", failure->message)});
}

std::optional<CallFailure> KubernetesDriver::Work::take_event(Feed& feed, const std::string& line) {
  const auto parsed = json::parse(line, kEventDepthMax);
  if (!parsed || !parsed->is_object()) return own_failure("an event of the API server is no JSON object");
  const json::object& event = parsed->get_object();
  const json::object* object = kube::object_in(event, "object");
  const std::string type = kube::text_in(event, "type");
  if (object == nullptr) return own_failure("an event of the API server has no object");
  if (type == "ERROR") return failure_of_event(*object);
  feed.machine.on_change(kube::metadata_text(*object, "resourceVersion"));
  if (type == "BOOKMARK") {
    heard(feed);
    return std::nullopt;
  }
  put(feed, type, *object);
  return std::nullopt;
}

void KubernetesDriver::Work::put(Feed& feed, const std::string& type, const json::object& object) {
  {
    const std::lock_guard lock(mutex_);
    feed.heard_at = clock_.mono();
    const bool is_gone = type == "DELETED";
    if (feed.collection == Collection::kPods) {
      kube::SeenPod seen = kube::read_pod(object);
      if (is_gone)
        book_.drop_pod(seen.name);
      else
        book_.put_pod(std::move(seen), clock_.mono());
    } else {
      const auto kind =
          feed.collection == Collection::kGroups ? kube::WorkloadKind::kGroup : kube::WorkloadKind::kDeployment;
      kube::SeenWorkload seen = kube::read_workload(object, kind);
      if (is_gone)
        book_.drop_workload(seen.name);
      else
        book_.put_workload(std::move(seen));
    }
  }
  wake_writers();
}

}  // namespace tidegate::scheduler
