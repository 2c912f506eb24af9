#pragma once

#include "base/core/clock.h"
#include "base/core/result.h"
#include "bench/load/load_figures.h"
#include "bench/load/load_plan.h"

namespace tidegate::bench {

/// Runs the plan on the calling thread, one epoll for all connections, and returns when its last answer has come or
/// drain_max has passed. A server that cannot be reached is failed requests. Fails: what plan_arrivals fails with,
/// invalid_argument/bad_address, resource_exhausted/no_socket, internal/no_epoll.
Result<LoadFigures> run_load(const LoadPlan& plan, const Clock& clock);

}  // namespace tidegate::bench
