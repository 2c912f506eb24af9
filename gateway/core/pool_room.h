#pragma once

#include <cstddef>
#include <cstdint>

#include "gateway/core/fair_queue.h"

namespace tidegate::gateway {

/// What the workers of a pool would take now, as one lane knows it.
///
/// A worker gives more credits than its batch has places, so that a place that is freed is filled without a round trip.
/// Those beyond the batch are for who has the pool to himself: what waits at a worker has been bound, and whoever comes
/// next waits behind it, below his share or not, while another worker may have room. Counted as slots they would be the
/// queue's headroom, which then holds nothing (docs/adr/0004-fair-queue.md).
class PoolRoom {
 public:
  /// A worker's; of its credits, those whose sequence would be run at once.
  void add(std::int64_t credits, std::int64_t places) {
    credits_ += credits;
    places_ += places;
  }

  /// Requests that may leave the queue now.
  std::size_t slots(const FairQueue& queue) const {
    if (places_ > 0) return static_cast<std::size_t>(places_);
    return credits_ == 0 || queue.is_shared() ? 0 : static_cast<std::size_t>(credits_);
  }

 private:
  std::int64_t credits_ = 0;
  std::int64_t places_ = 0;
};

}  // namespace tidegate::gateway
