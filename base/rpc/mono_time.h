#pragma once

#include <grpc/support/time.h>

#include <chrono>

#include "base/core/deadline.h"

namespace tidegate::rpc {

/// gRPC's monotonic clock and ours are both CLOCK_MONOTONIC, so a deadline keeps its instant.
inline gpr_timespec to_gpr(Deadline deadline) {
  if (deadline.is_never()) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  gpr_timespec span = gpr_time_from_nanos(deadline.instant().time_since_epoch().count(), GPR_TIMESPAN);
  span.clock_type = GPR_CLOCK_MONOTONIC;
  return span;
}

inline Mono mono_now() { return std::chrono::steady_clock::now(); }

}  // namespace tidegate::rpc
