#pragma once

#include <cstdint>
#include <vector>

#include "base/core/result.h"

namespace tidegate::billing {

/// Which part of a batch is new: sequences of an epoch are applied once, in order, without gaps.
struct BatchSplit {
  std::size_t applied = 0;  ///< leading events that an earlier batch brought
};

/// `sequences` as they stand in the batch. Fails: invalid_argument/bad_batch (empty, too many, not consecutive),
/// failed_precondition/sequence_gap (starts after applied_through + 1).
Result<BatchSplit> split_batch(const std::vector<std::uint64_t>& sequences, std::uint64_t applied_through);

}  // namespace tidegate::billing
