#include "scheduler/drivers/kubernetes/objects/object_reading.h"

#include <fmt/format.h>

#include <charconv>

#include "base/core/encoding.h"
#include "scheduler/drivers/kubernetes/objects/json_members.h"
#include "scheduler/drivers/kubernetes/objects/object_names.h"
#include "scheduler/drivers/kubernetes/objects/pod_template.h"

namespace tidegate::scheduler::kube {

namespace {

constexpr std::size_t kWordsMax = 400;
constexpr std::int64_t kSignalBase = 128;

std::int64_t number(const json::object* from, std::string_view key) {
  if (from == nullptr) return 0;
  const json::value* found = from->if_contains(key);
  return found != nullptr && found->is_int64() ? found->get_int64() : 0;
}

std::string short_words(std::string_view words) { return std::string(utf8_prefix(words, kWordsMax)); }

Term read_term(const json::object* annotations) {
  const std::string digits = text_in(annotations, kTermAnnotation);
  Term term = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), term);
  return term;
}

/// "exit status 1", "signal 9 (OOMKilled): last words"
std::string exit_words(const json::object& terminated) {
  const std::int64_t code = number(&terminated, "exitCode");
  std::int64_t signal = number(&terminated, "signal");
  if (signal == 0 && code > kSignalBase && code < kSignalBase + 65) signal = code - kSignalBase;
  std::string out = signal != 0 ? fmt::format("signal {}", signal) : fmt::format("exit status {}", code);
  const std::string reason = text_in(&terminated, "reason");
  if (!reason.empty() && reason != "Error" && reason != "Completed") out += fmt::format(" ({})", reason);
  const std::string last = text_in(&terminated, "message");
  return last.empty() ? out : fmt::format("{}: {}", out, short_words(last));
}

const json::object* worker_status(const json::object& status) {
  const json::value* list = status.if_contains("containerStatuses");
  if (list == nullptr || !list->is_array()) return nullptr;
  for (const json::value& one : list->get_array()) {
    if (one.is_object() && text_in(&one.get_object(), "name") == kWorkerContainer) return &one.get_object();
  }
  return nullptr;
}

/// The scheduler of the cluster says why a pod has no node.
std::string unscheduled_words(const json::object& status) {
  const json::value* list = status.if_contains("conditions");
  if (list == nullptr || !list->is_array()) return {};
  for (const json::value& one : list->get_array()) {
    if (!one.is_object()) continue;
    const json::object& condition = one.get_object();
    if (text_in(&condition, "type") != "PodScheduled" || text_in(&condition, "status") != "False") continue;
    return short_words(text_in(&condition, "message"));
  }
  return {};
}

void read_container(const json::object& container, SeenPod& pod) {
  pod.restarts = number(&container, "restartCount");
  const json::object* state = object_in(container, "state");
  const json::object* last = object_in(container, "lastState");
  const json::object* ended_last = last == nullptr ? nullptr : object_in(*last, "terminated");
  if (ended_last != nullptr) pod.exit = exit_words(*ended_last);
  if (state == nullptr) return;
  if (const json::object* ended = object_in(*state, "terminated")) {
    pod.life = PodLife::kEnded;
    pod.exit = exit_words(*ended);
  } else if (object_in(*state, "running") != nullptr) {
    pod.life = PodLife::kRunning;
  } else if (const json::object* waiting = object_in(*state, "waiting")) {
    pod.life = ended_last != nullptr ? PodLife::kEnded : PodLife::kPending;
    const std::string reason = text_in(waiting, "reason");
    const std::string words = text_in(waiting, "message");
    if (reason != "ContainerCreating" && reason != "PodInitializing") {
      pod.waits_for = short_words(words.empty() ? reason : reason + ": " + words);
    }
  }
}

}  // namespace

std::string metadata_text(const json::object& object, std::string_view key) {
  return text_in(object_in(object, "metadata"), key);
}

SeenWorkload read_workload(const json::object& object, WorkloadKind kind) {
  SeenWorkload seen;
  seen.kind = kind;
  const json::object* metadata = object_in(object, "metadata");
  if (metadata == nullptr) return seen;
  const json::object* labels = object_in(*metadata, "labels");
  const json::object* notes = object_in(*metadata, "annotations");
  seen.name = text_in(metadata, "name");
  seen.uid = text_in(metadata, "uid");
  seen.resource_version = text_in(metadata, "resourceVersion");
  seen.deleting = !text_in(metadata, "deletionTimestamp").empty();
  seen.replica = text_in(notes, kReplicaAnnotation);
  seen.deployment = text_in(notes, kDeploymentAnnotation);
  seen.spec_digest = text_in(notes, kDigestAnnotation);
  seen.run = text_in(labels, kRunLabel);
  seen.term = read_term(notes);
  return seen;
}

SeenPod read_pod(const json::object& object) {
  SeenPod seen;
  const json::object* metadata = object_in(object, "metadata");
  if (metadata == nullptr) return seen;
  const json::object* labels = object_in(*metadata, "labels");
  seen.name = text_in(metadata, "name");
  seen.uid = text_in(metadata, "uid");
  seen.created_at = text_in(metadata, "creationTimestamp");
  seen.deleting = !text_in(metadata, "deletionTimestamp").empty();
  seen.workload = text_in(labels, kWorkloadLabel);
  seen.run = text_in(labels, kRunLabel);
  seen.is_leader = text_in(labels, kRoleLabel) != "peer";
  const json::object* status = object_in(object, "status");
  if (status == nullptr) return seen;
  if (const json::object* container = worker_status(*status)) read_container(*container, seen);
  const std::string phase = text_in(status, "phase");
  if (phase == "Failed" || phase == "Succeeded") {
    seen.life = PodLife::kEnded;
    const std::string reason = text_in(status, "reason");  // "Evicted", "NodeLost"
    if (!reason.empty()) seen.exit = short_words(reason + ": " + text_in(status, "message"));
    if (seen.exit.empty()) seen.exit = phase == "Succeeded" ? "exit status 0" : "its pod failed";
  } else if (seen.life == PodLife::kPending && seen.waits_for.empty()) {
    seen.waits_for = unscheduled_words(*status);
  }
  return seen;
}

SeenLease read_lease(const json::object& object) {
  SeenLease seen;
  seen.resource_version = metadata_text(object, "resourceVersion");
  const json::object* metadata = object_in(object, "metadata");
  if (metadata != nullptr) seen.term = read_term(object_in(*metadata, "annotations"));
  const json::object* spec = object_in(object, "spec");
  seen.holder = text_in(spec, "holderIdentity");
  return seen;
}

std::string failure_words(int status, const json::value& body) {
  std::string words;
  if (body.is_object()) words = text_in(&body.get_object(), "message");
  return short_words(fmt::format("the API server answers {}{}{}", status, words.empty() ? "" : ": ", words));
}

bool is_field_conflict(const json::value& body) {
  if (!body.is_object()) return false;
  const json::object* details = object_in(body.get_object(), "details");
  if (details == nullptr) return false;
  const json::value* causes = details->if_contains("causes");
  if (causes == nullptr || !causes->is_array()) return false;
  for (const json::value& cause : causes->get_array()) {
    if (cause.is_object() && text_in(&cause.get_object(), "reason") == "FieldManagerConflict") return true;
  }
  return false;
}

}  // namespace tidegate::scheduler::kube
