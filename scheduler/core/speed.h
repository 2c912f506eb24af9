#pragma once

#include <cstdint>

#include "base/core/result.h"
#include "scheduler/core/fit.h"

namespace tidegate::scheduler {

/// What a replica may do, from the roofline: an ESTIMATE for plans before anything was measured. Once a variant runs, its
/// own measured rates replace it. Efficiencies: a prefill reaches 40 % of peak arithmetic, a decode step 60 % of memory
/// bandwidth, links 60 %; each layer's two exchanges cost 20 us when ranks must talk.
struct SpeedEstimate {
  double prefill_tokens_per_s = 0;
  double decode_tokens_per_s = 0;          ///< all sequences together, at `batch`
  double decode_tokens_per_s_each = 0;     ///< of one sequence
  std::int64_t batch = 0;                  ///< sequences at once
  std::int64_t context = 0;                ///< tokens each of them holds
};

/// At `context` tokens and `batch` sequences (0 = as many as fit, at most 256 a group).
/// Fails: failed_precondition/unknown_speed when the accelerator's bandwidth or arithmetic is not known;
/// invalid_argument/out_of_range.
Result<SpeedEstimate> estimate_speed(const ModelShape& shape, Precision precision, const Fit& fit,
                                     const AcceleratorKind& accelerator, std::int64_t context, std::int64_t batch = 0);

}  // namespace tidegate::scheduler
