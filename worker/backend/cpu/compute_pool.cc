#include "worker/backend/cpu/compute_pool.h"

#include "base/core/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tidegate::worker {
namespace {

constexpr std::uint64_t kOpen = 1ull << 31;
constexpr std::uint64_t kInsideMask = kOpen - 1;
constexpr std::uint64_t kGeneration = 1ull << 32;

/// Pauses before a helper sleeps, 20 to 80 microseconds by CPU: longer than the gaps between two jobs of a
/// step, shorter than anybody sharing the core would notice.
constexpr int kSpinsBeforeSleep = 1500;
/// Pauses before the caller gives its core to a helper that still holds a task.
constexpr int kSpinsBeforeYield = 2000;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

ComputePool::ComputePool(int threads) {
  TG_CHECK(threads >= 1);
  helpers_.reserve(static_cast<std::size_t>(threads - 1));
  for (int thread = 1; thread < threads; ++thread) {
    helpers_.emplace_back([this, thread] { help(thread); });
  }
}

ComputePool::~ComputePool() {
  stop_.store(true);
  wake_.fetch_add(1);
  wake_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void ComputePool::run_job(std::int64_t tasks, Function function, const void* context) {
  if (tasks <= 1 || helpers_.empty()) {
    for (std::int64_t task = 0; task < tasks; ++task) function(context, task, 0);
    return;
  }
  function_ = function;
  context_ = context;
  tasks_ = tasks;
  next_.store(0, std::memory_order_relaxed);
  const std::uint64_t before = state_.load(std::memory_order_relaxed);
  TG_DCHECK((before & (kOpen | kInsideMask)) == 0);
  state_.store((before & ~(kOpen | kInsideMask)) + kGeneration + kOpen);
  if (asleep_.load() > 0) {
    wake_.fetch_add(1);
    wake_.notify_all();
  }
  work(0);
  // No task is left: nobody else may come in, and those inside finish the task they hold.
  state_.fetch_and(~kOpen, std::memory_order_acq_rel);
  for (int spins = 0; (state_.load(std::memory_order_acquire) & kInsideMask) != 0; ++spins) {
    if (spins < kSpinsBeforeYield) {
      relax();
    } else {
      std::this_thread::yield();  // the helper has lost its core: give it ours
    }
  }
}

void ComputePool::work(int thread) {
  for (;;) {
    const std::int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks_) return;
    function_(context_, task, thread);
  }
}

bool ComputePool::join(std::uint64_t& seen) {
  std::uint64_t state = state_.load(std::memory_order_acquire);
  if ((state & kOpen) == 0 || (state >> 32) == seen) return false;
  if (!state_.compare_exchange_strong(state, state + 1, std::memory_order_acq_rel)) return false;
  seen = state >> 32;
  return true;
}

void ComputePool::help(int thread) {
  std::uint64_t seen = 0;
  int spins = 0;
  while (!stop_.load(std::memory_order_relaxed)) {
    if (join(seen)) {
      work(thread);
      state_.fetch_sub(1, std::memory_order_acq_rel);
      spins = 0;
      continue;
    }
    relax();
    if (++spins < kSpinsBeforeSleep) continue;

    const std::uint32_t ticket = wake_.load();
    asleep_.fetch_add(1);
    // A job published before the line above sees nobody asleep: look once more before sleeping. One published
    // after it changes the ticket.
    const std::uint64_t state = state_.load();
    const bool has_news = (state & kOpen) != 0 && (state >> 32) != seen;
    if (!has_news && !stop_.load()) wake_.wait(ticket);
    asleep_.fetch_sub(1);
    spins = 0;
  }
}

}  // namespace tidegate::worker
