#pragma once

#include <array>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/net/asio.h"
#include "base/net/io_threads.h"
#include "base/net/signal.h"
#include "scheduler/drivers/kubernetes/api/kube_api.h"
#include "scheduler/drivers/kubernetes/kubernetes_driver.h"
#include "scheduler/drivers/kubernetes/objects/manifests.h"

namespace tidegate::scheduler {

/// The driver's thread and what it shares with the control: the book and the fence, under one lock that is never held
/// while anything waits.
class KubernetesDriver::Work {
 public:
  Work(Settings settings, kube::PoolShapes pools, const Clock& clock, Log& log, kube::KubeMetrics& metrics,
       std::uint64_t seed);
  ~Work();

  Status begin();
  Status start(const ReplicaSpec& spec, Term term);
  Status stop(const std::string& replica, Term term);
  std::vector<ReplicaProcess> observe(Mono now);
  bool knows_what_runs() const;
  void begin_term(Term term);
  void end_term();
  bool is_settled() const;

 private:
  /// Of one collection, on the thread; `synced` and `heard_at` are shared.
  struct Feed {
    Feed(kube::Collection collection_in, const kube::WatchMachine::Settings& settings, std::uint64_t seed)
        : collection(collection_in), machine(settings, seed) {}
    kube::Collection collection;
    kube::WatchMachine machine;
    std::vector<json::value> listed;  ///< pages so far
    bool synced = false;
    Mono heard_at{};
  };

  void spawn(awaitable<void> loop);
  awaitable<void> until_stopped(awaitable<void> loop);
  awaitable<void> without_failing(awaitable<void> loop);
  awaitable<void> pause(Duration span);

  // follow.cc: what the cluster shows
  awaitable<void> follow(Feed& feed);
  awaitable<void> list_page(Feed& feed);
  awaitable<void> watch_once(Feed& feed);
  void take_list(Feed& feed);
  std::optional<kube::CallFailure> take_event(Feed& feed, const std::string& line);
  void put(Feed& feed, const std::string& type, const json::object& object);
  void heard(Feed& feed);
  void count(kube::WatchMachine::Restart why);

  // write.cc: what it is told
  awaitable<void> keep_fence();
  awaitable<void> read_lease();
  awaitable<void> write_lease();
  awaitable<void> write_jobs(AsyncSignal& signal);
  awaitable<std::optional<kube::CallFailure>> carry_out(const kube::KubeJob& job);
  awaitable<std::optional<kube::CallFailure>> apply_workload(const kube::KubeJob& job);
  awaitable<std::optional<kube::CallFailure>> apply_shared(const kube::KubeJob& job);
  awaitable<std::optional<kube::CallFailure>> send(kube::KubeCall call);
  void settle(const kube::KubeJob& job, const std::optional<kube::CallFailure>& failure);
  bool may_write(Term term) const;
  void superseded();
  void wake_writers();
  std::string new_run(Term term);

  const Settings settings_;
  const kube::PoolShapes pools_;
  const Clock& clock_;
  Log& log_;
  kube::KubeMetrics& metrics_;

  mutable std::mutex mutex_;  // book_, fence_, feeds' synced and heard_at, runs_, told_superseded_
  kube::ReplicaBook book_;
  kube::TermFence fence_;
  std::int64_t runs_ = 0;
  bool told_superseded_ = false;

  std::unique_ptr<kube::KubeApi> api_;  // thread
  Mono next_write_at_{};                // thread
  IoThreads io_{1, "kube"};
  Event stopping_;
  AsyncSignal fence_wake_;
  std::vector<std::unique_ptr<AsyncSignal>> writer_wakes_;
  std::array<std::unique_ptr<Feed>, 3> feeds_;
  std::vector<std::future<void>> loops_;
};

}  // namespace tidegate::scheduler
