#include "base/rpc/work_pool.h"

#include <pthread.h>

#include "base/core/check.h"

namespace tidegate::rpc {

WorkPool::WorkPool(std::size_t threads, std::size_t queue_max, const std::string& name) : queue_max_(queue_max) {
  TG_CHECK(threads >= 1);
  for (std::size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { run(); });
    // The kernel keeps 15 characters.
    ::pthread_setname_np(threads_.back().native_handle(), (name + "-" + std::to_string(i)).substr(0, 15).c_str());
  }
}

WorkPool::~WorkPool() { stop(); }

bool WorkPool::try_submit(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (is_stopping_ || jobs_.size() >= queue_max_) return false;
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

std::size_t WorkPool::queued() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

void WorkPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void WorkPool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return is_stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what it captured dies outside the lock
    lock.lock();
  }
}

}  // namespace tidegate::rpc
