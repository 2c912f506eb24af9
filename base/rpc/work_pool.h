#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tidegate::rpc {

/// Threads for blocking handlers, behind a bounded queue. Full: refuse, the caller answers resource_exhausted.
class WorkPool {
 public:
  using Job = std::move_only_function<void()>;

  /// threads >= 1. Threads are named "<name>-<i>".
  WorkPool(std::size_t threads, std::size_t queue_max, const std::string& name = "work");
  /// As stop().
  ~WorkPool();
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  /// False when the queue is full or the pool stops; the job is then not run. Thread-safe. Jobs must not throw.
  [[nodiscard]] bool try_submit(Job job);
  std::size_t queued() const;
  /// Takes no more jobs, runs those it has, joins. Idempotent. Not from a job.
  void stop();

 private:
  void run();

  const std::size_t queue_max_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool is_stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tidegate::rpc
