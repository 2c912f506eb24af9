#include "billing/core/batch_sequence.h"

#include <fmt/format.h>

#include <algorithm>

#include "billing/core/usage_event.h"

namespace tidegate::billing {

Result<BatchSplit> split_batch(const std::vector<std::uint64_t>& sequences, std::uint64_t applied_through) {
  if (sequences.empty() || sequences.size() > kBatchEventsMax) {
    return fail(Code::kInvalidArgument, "bad_batch",
                fmt::format("a batch holds 1 to {} events, not {}", kBatchEventsMax, sequences.size()), "events");
  }
  for (std::size_t i = 1; i < sequences.size(); ++i) {
    if (sequences[i] != sequences[i - 1] + 1) {
      return fail(Code::kInvalidArgument, "bad_batch",
                  fmt::format("sequence {} follows {}: a batch is consecutive", sequences[i], sequences[i - 1]),
                  fmt::format("events[{}].sequence", i));
    }
  }
  if (sequences.front() == 0) return fail(Code::kInvalidArgument, "bad_batch", "sequences start at 1", "events[0].sequence");
  if (sequences.front() > applied_through + 1) {
    return fail(Code::kFailedPrecondition, "sequence_gap",
                fmt::format("the batch starts at {}, but {} was applied last: send what is between first",
                            sequences.front(), applied_through),
                "events[0].sequence");
  }
  const std::uint64_t known = applied_through + 1 - sequences.front();
  return BatchSplit{std::min<std::size_t>(known, sequences.size())};
}

}  // namespace tidegate::billing
