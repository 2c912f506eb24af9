#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace tidegate::worker {

/// A few threads that share out short jobs (a model step has about ten per layer, some of only microseconds).
///
/// The caller works too and never waits for a helper to wake: helpers that are awake join, the others miss
/// the job. So a preempted or parked helper costs speed only, and one thread alone always finishes. Helpers
/// spin briefly between jobs and then sleep in the kernel. Which thread runs a task is not fixed: tasks must
/// not care.
///
/// run() is called by one thread at a time. The destructor joins the helpers.
class ComputePool {
 public:
  /// `threads` includes the caller, at least 1.
  explicit ComputePool(int threads);
  ~ComputePool();
  ComputePool(const ComputePool&) = delete;
  ComputePool& operator=(const ComputePool&) = delete;

  [[nodiscard]] int threads() const { return static_cast<int>(helpers_.size()) + 1; }

  /// Calls body(task, thread) for every task in [0, tasks), thread in [0, threads()), each task once, and
  /// returns when all are done. What body wrote is visible to the caller. body must not throw and must not
  /// call run().
  template <typename Body>
  void run(std::int64_t tasks, const Body& body) {
    run_job(
        tasks,
        [](const void* context, std::int64_t task, int thread) {
          (*static_cast<const Body*>(context))(task, thread);
        },
        &body);
  }

  /// body(row) for every row in [0, rows), for work of `cost` operations a row that no other row waits for: shared out when it is
  /// worth waking anybody.
  template <typename Body>
  void run_rows(std::int64_t rows, std::int64_t cost, const Body& body) {
    constexpr std::int64_t kWorthwhile = 100'000;  // some 10 microseconds of one core
    const std::int64_t tasks = std::min<std::int64_t>({rows, rows * cost / kWorthwhile, threads() * std::int64_t{4}});
    if (tasks <= 1) {
      for (std::int64_t row = 0; row < rows; ++row) body(row);
      return;
    }
    run(tasks, [&](std::int64_t task, int) {
      for (std::int64_t row = rows * task / tasks; row < rows * (task + 1) / tasks; ++row) body(row);
    });
  }

 private:
  using Function = void (*)(const void* context, std::int64_t task, int thread);
  void run_job(std::int64_t tasks, Function function, const void* context);
  void help(int thread);
  bool join(std::uint64_t& seen);
  void work(int thread);

  // Written by the caller while no helper is inside; read by helpers that joined.
  Function function_ = nullptr;
  const void* context_ = nullptr;
  std::int64_t tasks_ = 0;
  std::atomic<std::int64_t> next_{0};

  /// generation << 32 | open << 31 | helpers inside. Joining is a compare-exchange on an open job, so a
  /// helper can never enter a job that the caller has closed.
  alignas(64) std::atomic<std::uint64_t> state_{0};
  alignas(64) std::atomic<std::uint32_t> wake_{0};
  std::atomic<int> asleep_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> helpers_;
};

}  // namespace tidegate::worker
