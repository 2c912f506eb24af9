#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/pg/leader.h"
#include "billing/rpc/context.h"

namespace tidegate::billing {

/// The frame of every background job: a thread of its own that takes its turn again and again.
class JobLoop {
 public:
  enum class First : std::uint8_t { kAtStart, kAfterInterval };

  /// `interval` > 0, from the end of a turn to the next. `turn` runs on the loop's thread only, until stop() returns:
  /// what it uses must be made before the loop and end after it.
  JobLoop(std::chrono::milliseconds interval, First first, std::function<void()> turn);
  ~JobLoop() { stop(); }
  JobLoop(const JobLoop&) = delete;
  JobLoop& operator=(const JobLoop&) = delete;

  /// Waits for a turn under way. Idempotent.
  void stop();
  /// For long turns, from within.
  bool is_stopping();

 private:
  void run(First first);

  const std::chrono::milliseconds interval_;
  const std::function<void()> turn_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool is_stopping_ = false;
  std::thread thread_;
};

/// For how long a job asks the database for something small.
inline constexpr std::chrono::seconds kJobAskLimit{5};

/// Which replica takes a job's turn. Not thread-safe: the loop's thread uses it.
class JobLease {
 public:
  /// `holder` is new for each process start.
  JobLease(const ServiceContext& context, std::string name, std::string holder, Duration ttl)
      : context_(context), lease_(context.pool, context.clock, std::move(name), std::move(holder), ttl) {}

  /// Takes or renews the lease. False too when the database does not answer: then nobody's turn is ours.
  bool is_ours();

 private:
  const ServiceContext& context_;
  pg::LeaderLease lease_;
};

}  // namespace tidegate::billing
