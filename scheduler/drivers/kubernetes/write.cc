// What the cluster is told: the term first, then jobs of the book, each by a writer of its own.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/net/timer.h"
#include "scheduler/drivers/kubernetes/driver_work.h"
#include "scheduler/drivers/kubernetes/objects/object_names.h"
#include "scheduler/drivers/kubernetes/objects/object_reading.h"

namespace tidegate::scheduler {

using kube::CallFailure;
using kube::Collection;
using kube::KubeCall;
using kube::KubeJob;
using kube::TermFence;
using kube::Verb;

namespace {

// Two owners of fields: the second one writes nothing but the term, and so may force.
constexpr const char* kApplyQuery = "?fieldManager=tidegate-scheduler&fieldValidation=Strict";
constexpr const char* kStampQuery = "?fieldManager=tidegate-fence&fieldValidation=Strict&force=true";
constexpr auto kLook = std::chrono::milliseconds(100);  // for what becomes due by time alone
constexpr auto kLeaseLife = std::chrono::seconds(15);   // of the Lease, for people; renewed every few seconds

json::object delete_options(const std::string& uid) {
  json::object options;
  options["apiVersion"] = "v1";
  options["kind"] = "DeleteOptions";
  options["preconditions"] = json::object{{"uid", uid}};
  return options;
}

const char* job_name(KubeJob::Kind kind) {
  switch (kind) {
    case KubeJob::Kind::kApply:
      return "apply";
    case KubeJob::Kind::kDelete:
      return "delete";
    case KubeJob::Kind::kForce:
      return "force";
    case KubeJob::Kind::kStamp:
      return "stamp";
    case KubeJob::Kind::kShare:
      return "share";
  }
  return "";
}

}  // namespace

void KubernetesDriver::Work::wake_writers() {
  for (const std::unique_ptr<AsyncSignal>& wake : writer_wakes_) wake->notify();
}

void KubernetesDriver::Work::superseded() {
  Term newest = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!fence_.is_stale()) return;
    newest = fence_.newest();
    book_.forget_orders();
    if (std::exchange(told_superseded_, true)) return;
  }
  log_.warn("kube_superseded", {kv("newer_term", newest)});
}

awaitable<void> KubernetesDriver::Work::keep_fence() {
  for (;;) {
    TermFence::Step step = TermFence::Step::kIdle;
    {
      const std::lock_guard lock(mutex_);
      step = fence_.step(clock_.mono());
    }
    switch (step) {
      case TermFence::Step::kIdle: {
        const Deadline look = Deadline::after(clock_.mono(), kLook);
        co_await fence_wake_.wait_until(look);
        break;
      }
      case TermFence::Step::kRead:
        co_await read_lease();
        break;
      case TermFence::Step::kWrite:
        co_await write_lease();
        break;
    }
    superseded();
  }
}

awaitable<void> KubernetesDriver::Work::read_lease() {
  KubeCall call;
  call.path = kube::object_path(Collection::kLeases, settings_.objects.name_space,
                                kube::lease_name(settings_.objects.installation));
  const kube::KubeAnswer answer = co_await api_->call(std::move(call));
  const std::lock_guard lock(mutex_);
  if (answer && answer->is_object()) {
    fence_.on_read(kube::read_lease(answer->get_object()), clock_.mono());
  } else if (!answer && answer.error().is_absent()) {
    fence_.on_read(std::nullopt, clock_.mono());
  } else {
    fence_.on_failed(answer ? CallFailure{} : answer.error(), clock_.mono());
  }
}

awaitable<void> KubernetesDriver::Work::write_lease() {
  Term term = 0;
  std::string version;
  bool was_held = false;
  {
    const std::lock_guard lock(mutex_);
    term = fence_.wanted();
    version = fence_.lease_version();
    was_held = fence_.is_held();
  }
  kube::Manifest lease =
      kube::lease_manifest(settings_.holder, term, version, kLeaseLife, clock_.wall(), settings_.objects);
  KubeCall call;
  call.verb = version.empty() ? Verb::kCreate : Verb::kReplace;
  call.path = version.empty() ? kube::collection_path(Collection::kLeases, settings_.objects.name_space)
                              : kube::object_path(Collection::kLeases, settings_.objects.name_space, lease.name);
  call.query = kApplyQuery;
  call.body = std::move(lease.body);
  const kube::KubeAnswer answer = co_await api_->call(std::move(call));
  {
    const std::lock_guard lock(mutex_);
    if (answer && answer->is_object()) {
      fence_.on_written(term, kube::metadata_text(answer->get_object(), "resourceVersion"), clock_.mono());
    } else {
      fence_.on_failed(answer ? CallFailure{} : answer.error(), clock_.mono());
    }
  }
  if (answer && !was_held) {
    log_.info("kube_term_on_record", {kv("term", term)});
    wake_writers();
  }
  if (!answer && !answer.error().is_conflict())
    log_.warn("kube_lease_unwritten", {kv("message", answer.error().message)});
}

bool KubernetesDriver::Work::may_write(Term term) const { return fence_.is_held() && fence_.wanted() == term; }

awaitable<void> KubernetesDriver::Work::write_jobs(AsyncSignal& signal) {
  for (;;) {
    std::optional<KubeJob> job;
    {
      const std::lock_guard lock(mutex_);
      bool synced = true;
      for (const auto& feed : feeds_) synced = synced && feed->synced;
      if (synced && fence_.is_held()) job = book_.next_job(fence_.wanted(), clock_.mono());
    }
    if (!job) {
      const Deadline look = Deadline::after(clock_.mono(), kLook);
      co_await signal.wait_until(look);
      continue;
    }
    next_write_at_ = std::max(next_write_at_, clock_.mono());
    const Deadline turn = Deadline::at(next_write_at_);
    next_write_at_ += Duration(std::chrono::seconds(1)) / settings_.writes_per_second;
    co_await sleep_until(turn);
    const std::optional<CallFailure> failure = co_await carry_out(*job);
    settle(*job, failure);
  }
}

void KubernetesDriver::Work::settle(const KubeJob& job, const std::optional<CallFailure>& failure) {
  {
    const std::lock_guard lock(mutex_);
    if (failure)
      book_.job_failed(job, *failure, clock_.mono());
    else
      book_.job_done(job, clock_.mono());
  }
  if (!failure) {
    log_.info("kube_written",
              {kv("job", job_name(job.kind)), kv("object", job.key), kv("run", job.run), kv("term", job.term)});
    return;
  }
  // What was deleted by somebody else meanwhile is as wanted.
  if (failure->is_absent() && (job.kind == KubeJob::Kind::kDelete || job.kind == KubeJob::Kind::kForce)) return;
  log_.warn("kube_unwritten", {kv("job", job_name(job.kind)), kv("object", job.key), kv("status", failure->status),
                               kv("message", failure->message)});
}

awaitable<std::optional<CallFailure>> KubernetesDriver::Work::carry_out(const KubeJob& job) {
  {
    const std::lock_guard lock(mutex_);
    if (!may_write(job.term)) {
      CallFailure failure;
      failure.message = "the term ended before it was this write's turn";
      co_return failure;
    }
  }
  KubeCall call;
  const kube::KubeSettings& objects = settings_.objects;
  switch (job.kind) {
    case KubeJob::Kind::kApply:
      co_return co_await apply_workload(job);
    case KubeJob::Kind::kShare:
      co_return co_await apply_shared(job);
    case KubeJob::Kind::kDelete: {
      call.verb = Verb::kDelete;
      call.path = kube::object_path(kube::collection_of(job.target.kind), objects.name_space, job.target.name);
      json::object options = delete_options(job.target.uid);
      options["propagationPolicy"] = "Foreground";  // the object stays until its pods have gone: that is how we know
      options["preconditions"].as_object()["resourceVersion"] = job.target.resource_version;
      call.body = std::move(options);
      break;
    }
    case KubeJob::Kind::kForce: {
      call.verb = Verb::kDelete;
      call.path = kube::object_path(Collection::kPods, objects.name_space, job.pod.name);
      json::object options = delete_options(job.pod.uid);
      options["gracePeriodSeconds"] = 0;
      call.body = std::move(options);
      break;
    }
    case KubeJob::Kind::kStamp: {
      kube::Manifest stamp = kube::term_stamp(job.target, job.term, objects);
      call.verb = Verb::kApply;
      call.path = kube::object_path(stamp.collection, objects.name_space, stamp.name);
      call.query = kStampQuery;
      call.body = std::move(stamp.body);
      break;
    }
  }
  co_return co_await send(std::move(call));
}

awaitable<std::optional<CallFailure>> KubernetesDriver::Work::send(KubeCall call) {
  const kube::KubeAnswer answer = co_await api_->call(std::move(call));
  if (answer) co_return std::nullopt;
  co_return answer.error();
}

awaitable<std::optional<CallFailure>> KubernetesDriver::Work::apply_workload(const KubeJob& job) {
  const kube::KubeSettings& objects = settings_.objects;
  const auto shape = pools_.find(job.spec.pool, job.spec.region);
  if (!shape) {
    CallFailure failure;
    failure.status = 422;
    failure.message = shape.error().message;
    co_return failure;
  }
  kube::RunOrder order;
  order.spec = job.spec;
  order.run = job.run;
  order.term = job.term;
  order.resource_version = job.target.resource_version;
  kube::Manifest manifest = kube::workload_manifest(order, **shape, objects);
  KubeCall call;
  const bool changes_kind = !job.target.name.empty() && kube::collection_of(job.target.kind) != manifest.collection;
  if (changes_kind) {
    // The pool's replicas became larger than a node, or smaller: the old object has to go first.
    call.verb = Verb::kDelete;
    call.path = kube::object_path(kube::collection_of(job.target.kind), objects.name_space, job.target.name);
    json::object options = delete_options(job.target.uid);
    options["propagationPolicy"] = "Foreground";
    call.body = std::move(options);
    std::optional<CallFailure> failure = co_await send(std::move(call));
    if (!failure) failure.emplace().message = "the replica's object of another kind is going first";
    co_return failure;
  }
  call.verb = Verb::kApply;
  call.path = kube::object_path(manifest.collection, objects.name_space, manifest.name);
  call.query = kApplyQuery;
  call.body = std::move(manifest.body);
  std::optional<CallFailure> failure = co_await send(std::move(call));
  if (failure && failure->is_absent()) {
    failure->message +=
        manifest.collection == Collection::kGroups
            ? " (is LeaderWorkerSet, leaderworkerset.x-k8s.io/v1, installed, and is there the namespace?)"
            : fmt::format(" (is there a namespace '{}'?)", objects.name_space);
  }
  co_return failure;
}

awaitable<std::optional<CallFailure>> KubernetesDriver::Work::apply_shared(const KubeJob& job) {
  std::vector<kube::Manifest> manifests = kube::shared_manifests(job.deployment, job.owners, settings_.objects);
  for (kube::Manifest& manifest : manifests) {
    KubeCall call;
    call.verb = Verb::kApply;
    call.path = kube::object_path(manifest.collection, settings_.objects.name_space, manifest.name);
    call.query = kApplyQuery;
    call.body = std::move(manifest.body);
    std::optional<CallFailure> failure = co_await send(std::move(call));
    if (failure) co_return failure;
  }
  co_return std::nullopt;
}

}  // namespace tidegate::scheduler
