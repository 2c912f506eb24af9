#include "scheduler/drivers/kubernetes/kubernetes_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <exception>
#include <utility>

#include "base/core/check.h"
#include "base/net/timer.h"
#include "scheduler/drivers/kubernetes/driver_work.h"

namespace tidegate::scheduler {

using kube::Collection;

namespace {
constexpr std::array<Collection, 3> kFollowed = {Collection::kDeployments, Collection::kGroups, Collection::kPods};
}

KubernetesDriver::Work::Work(Settings settings, kube::PoolShapes pools, const Clock& clock, Log& log,
                             kube::KubeMetrics& metrics, std::uint64_t seed)
    : settings_(std::move(settings)),
      pools_(std::move(pools)),
      clock_(clock),
      log_(log),
      metrics_(metrics),
      book_(settings_.book, seed),
      fence_(settings_.fence, seed + 1),
      stopping_(io_.executor(0)),
      fence_wake_(io_.executor(0)) {
  for (std::size_t i = 0; i < kFollowed.size(); ++i) {
    kube::WatchMachine::Settings watch = settings_.watch;
    // Every cluster has the others: their 404 is a proxy's or a starting server's, and not "nothing runs".
    watch.may_be_absent = kFollowed[i] == Collection::kGroups;
    feeds_[i] = std::make_unique<Feed>(kFollowed[i], watch, seed + 2 + i);
    feeds_[i]->heard_at = clock_.mono();
  }
  for (std::size_t i = 0; i < settings_.writers; ++i)
    writer_wakes_.push_back(std::make_unique<AsyncSignal>(io_.executor(0)));
}

KubernetesDriver::Work::~Work() {
  stopping_.set();
  for (std::future<void>& loop : loops_) loop.wait();
  // Connections go where they lived.
  if (api_) io_.run_on(0, [this] { api_.reset(); });
  io_.stop();
}

Status KubernetesDriver::Work::begin() {
  kube::KubeApi::Settings api;
  api.call_limit = settings_.call_limit;
  api.access_every = settings_.access_every;
  TG_ASSIGN(api_, kube::KubeApi::open(settings_.access, api, clock_, log_, metrics_));
  for (const std::unique_ptr<Feed>& feed : feeds_) spawn(follow(*feed));
  spawn(keep_fence());
  for (const std::unique_ptr<AsyncSignal>& wake : writer_wakes_) spawn(write_jobs(*wake));
  return {};
}

void KubernetesDriver::Work::spawn(awaitable<void> loop) {
  auto ended = std::make_shared<std::promise<void>>();  // shared: completion handlers are copied
  loops_.push_back(ended->get_future());
  asio::co_spawn(io_.executor(0), until_stopped(std::move(loop)), [ended](std::exception_ptr error) {
    abort_on_throw(error);
    ended->set_value();
  });
}

awaitable<void> KubernetesDriver::Work::until_stopped(awaitable<void> loop) {
  using namespace asio::experimental::awaitable_operators;
  co_await (without_failing(std::move(loop)) || stopping_.wait());
}

/// What runs beside another ends unheard when it throws. A loop of ours ends by the stop alone.
awaitable<void> KubernetesDriver::Work::without_failing(awaitable<void> loop) {
  try {
    co_await std::move(loop);
  } catch (...) {
    TG_CHECK(stopping_.is_set());
    throw;
  }
}

awaitable<void> KubernetesDriver::Work::pause(Duration span) {
  const Deadline until = Deadline::after(clock_.mono(), span);
  co_await sleep_until(until);
}

std::string KubernetesDriver::Work::new_run(Term term) {
  return fmt::format("t{}-{:x}-{}", term, unix_micros(clock_.wall()), ++runs_);
}

Status KubernetesDriver::Work::start(const ReplicaSpec& spec, Term term) {
  // Says so before anything is ordered: a pool without a shape never gets one by waiting.
  TG_TRY(pools_.find(spec.pool, spec.region));
  {
    const std::lock_guard lock(mutex_);
    TG_TRY(fence_.enter(term));
    for (const auto& feed : feeds_) {
      if (feed->synced) continue;
      return fail(Code::kUnavailable, "cluster_unknown",
                  fmt::format("the cluster's {} have not been read yet: what runs is not known",
                              kube::collection_name(feed->collection)));
    }
    book_.start(spec, term, new_run(term), clock_.mono());
  }
  fence_wake_.notify();
  wake_writers();
  return {};
}

Status KubernetesDriver::Work::stop(const std::string& replica, Term term) {
  {
    const std::lock_guard lock(mutex_);
    TG_TRY(fence_.enter(term));
    book_.stop(replica, term, clock_.mono());
  }
  fence_wake_.notify();
  wake_writers();
  return {};
}

void KubernetesDriver::Work::begin_term(Term term) {
  {
    const std::lock_guard lock(mutex_);
    // A stale one is told so at its first order.
    const Status entered = fence_.enter(term);
    if (!entered) return;
    told_superseded_ = false;
  }
  fence_wake_.notify();
}

void KubernetesDriver::Work::end_term() {
  const std::lock_guard lock(mutex_);
  fence_.leave();
  book_.forget_orders();
}

std::vector<ReplicaProcess> KubernetesDriver::Work::observe(Mono now) {
  const std::lock_guard lock(mutex_);
  Mono oldest = now;
  for (const auto& feed : feeds_) oldest = std::min(oldest, feed->heard_at);
  metrics_.orders.set(static_cast<double>(book_.orders()));
  metrics_.sync_age_seconds.set(std::chrono::duration<double>(now - oldest).count());
  return book_.observe();
}

bool KubernetesDriver::Work::knows_what_runs() const {
  const std::lock_guard lock(mutex_);
  return std::all_of(feeds_.begin(), feeds_.end(), [](const auto& feed) { return feed->synced; });
}

bool KubernetesDriver::Work::is_settled() const {
  if (!knows_what_runs()) return false;
  const std::lock_guard lock(mutex_);
  return (fence_.wanted() == 0 || fence_.is_held()) && book_.is_settled(fence_.wanted());
}

KubernetesDriver::KubernetesDriver(Settings settings, kube::PoolShapes pools, const Clock& clock, Log& log,
                                   kube::KubeMetrics& metrics, std::uint64_t seed)
    : work_(std::make_unique<Work>(std::move(settings), std::move(pools), clock, log, metrics, seed)) {}

KubernetesDriver::~KubernetesDriver() = default;

Result<std::unique_ptr<KubernetesDriver>> KubernetesDriver::open(Settings settings, kube::PoolShapes pools,
                                                                 const Clock& clock, Log& log,
                                                                 kube::KubeMetrics& metrics, std::uint64_t seed) {
  std::unique_ptr<KubernetesDriver> driver(
      new KubernetesDriver(std::move(settings), std::move(pools), clock, log, metrics, seed));
  TG_TRY(driver->work_->begin());
  return driver;
}

Status KubernetesDriver::start(const ReplicaSpec& spec, Term term) { return work_->start(spec, term); }
Status KubernetesDriver::stop(const std::string& replica, Term term) { return work_->stop(replica, term); }
std::vector<ReplicaProcess> KubernetesDriver::observe(Mono now) { return work_->observe(now); }
bool KubernetesDriver::knows_what_runs() const { return work_->knows_what_runs(); }
void KubernetesDriver::begin_term(Term term) { work_->begin_term(term); }
void KubernetesDriver::end_term() { work_->end_term(); }
bool KubernetesDriver::is_settled() const { return work_->is_settled(); }

}  // namespace tidegate::scheduler
