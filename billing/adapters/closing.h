#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/core/deadline.h"
#include "base/pg/pool.h"
#include "billing/adapters/invoice_store.h"

namespace tidegate::billing {

struct ClosingRequest {
  std::optional<TenantId> tenant;
  bool is_draft = false;
  std::chrono::microseconds grace{0};
  std::size_t months_max = 100;
  std::string actor, origin;  ///< for the audit log
};
struct ClosingReport {
  struct Closed {
    std::string tenant_name;
    ClosedMonth month;
  };
  std::vector<Closed> closed;
  bool has_more = false;
};

/// Closes ended months, oldest first per wallet, each in a transaction of its own: a failure keeps what is done, and
/// the next call goes on there. Safe to run in several replicas at once. Fails: as close_next_month and pg::Pool, on
/// the first wallet that fails, after every other wallet had its turn.
Result<ClosingReport> close_months(pg::Pool& pool, const ClosingRequest& request, IdSource& ids, const Clock& clock,
                                   Deadline deadline);

}  // namespace tidegate::billing
