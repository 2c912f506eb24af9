#pragma once

#include <optional>

#include "base/pg/leader.h"
#include "scheduler/core/ports.h"

namespace tidegate::scheduler {

/// The lease in PostgreSQL as the scheduler asks for it. The one that is passed in outlives this.
class PgLease final : public Lease {
 public:
  explicit PgLease(pg::LeaderLease& lease) : lease_(lease) {}

  Result<std::optional<Held>> acquire(Deadline deadline) override {
    TG_ASSIGN(const std::optional<pg::Leadership> held, lease_.acquire(deadline));
    if (!held) return std::nullopt;
    return Held{held->term, held->valid_until};
  }
  Status release(Deadline deadline) override { return lease_.release(deadline); }
  void lapse() override { lease_.lapse(); }

 private:
  pg::LeaderLease& lease_;
};

}  // namespace tidegate::scheduler
