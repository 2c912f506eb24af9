#pragma once

#include <string>
#include <vector>

#include "bench/billing/town.h"

namespace tidegate::bench {

struct ReadFigures {
  std::string what;
  double ms_p50 = 0, ms_p95 = 0;
};
/// What people ask for, each `repeats` times for tenants in turn: a balance, a tenant's usage by day and model, the
/// lines of one invoice, the newest page of a tenant's requests.
std::vector<ReadFigures> measure_reads(const std::string& dsn, const TownOptions& options, int repeats);

}  // namespace tidegate::bench
