#pragma once

#include <cstdint>

#include "base/core/result.h"
#include "scheduler/core/fit.h"

namespace tidegate::scheduler {

/// What a replica may do, from the roofline: an ESTIMATE for plans before anything was measured; once a variant runs,
/// its measured rates replace it. A prefill is taken to reach 25 % of peak arithmetic; a decode step 50 % of memory
/// bandwidth or 25 % of arithmetic, whichever is slower; links 60 %; each layer's two exchanges cost 20 us between
/// ranks. These shares are set by one public service (DeepSeek, 8 x H800: 32,200 uncached prompt and 14,800 answer
/// tokens a second; this gives 31,200 and 16,600); elsewhere the figure may be off by a factor of two.
struct SpeedEstimate {
  double prefill_tokens_per_s = 0;
  double decode_tokens_per_s = 0;       ///< all sequences together, at `batch`
  double decode_tokens_per_s_each = 0;  ///< of one sequence
  std::int64_t batch = 0;               ///< sequences at once, in the whole replica
  std::int64_t context = 0;             ///< tokens each of them holds
};

/// At `context` tokens (0 = 4096, or the fit's longest) and `batch` sequences (0 = as many as fit, at most 128 a
/// group). Links whose speed is not known cost nothing but the exchanges. Fails: failed_precondition/unknown_speed when
/// the accelerator's bandwidth or arithmetic is not known; invalid_argument/out_of_range with the most that fits.
Result<SpeedEstimate> estimate_speed(const ModelShape& shape, Precision precision, const Fit& fit,
                                     const AcceleratorKind& accelerator, std::int64_t context = 0,
                                     std::int64_t batch = 0);

}  // namespace tidegate::scheduler
