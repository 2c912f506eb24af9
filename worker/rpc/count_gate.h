#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>

#include "worker/metrics.h"

namespace tidegate::worker {

struct CountLimits {
  std::size_t prompts_max = 64;
  std::size_t bytes_max = std::size_t{32} << 20;
};

/// Prompts that the worker has been given to count and has not counted yet, of all sessions together. Nobody pays for
/// them and no credit bounds them. Thread-safe.
class CountGate : public std::enable_shared_from_this<CountGate> {
 public:
  /// The room that one prompt takes, until it is destroyed. Shares the gate, for it may wait on a thread that goes
  /// after the service has.
  class Place {
   public:
    Place(Place&& other) noexcept;
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    Place& operator=(Place&&) = delete;
    ~Place();

   private:
    friend class CountGate;
    Place(std::shared_ptr<CountGate> gate, std::size_t bytes);
    std::shared_ptr<CountGate> gate_;
    std::size_t bytes_;
  };

  /// `metrics` outlives the gate.
  static std::shared_ptr<CountGate> create(CountLimits limits, const WorkerMetrics& metrics);

  /// nullopt, and counted: there is no room. A prompt larger than all of it is taken when it is the only one.
  std::optional<Place> enter(std::size_t bytes);

 private:
  CountGate(CountLimits limits, const WorkerMetrics& metrics) : limits_(limits), metrics_(metrics) {}
  void leave(std::size_t bytes);

  const CountLimits limits_;
  const WorkerMetrics& metrics_;
  std::mutex mutex_;
  std::size_t prompts_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace tidegate::worker
