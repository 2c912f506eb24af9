#pragma once

#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/pg/pool.h"
#include "scheduler/core/ports.h"

namespace tidegate::scheduler {

/// Name of the scheduler's row in the lease table (base/pg/leader.h).
inline constexpr const char* kLeaseName = "scheduler";

/// Desired state in PostgreSQL. Writes are fenced: the statement itself asks whether `term` still holds the lease.
class PgDeployments final : public DeploymentStore {
 public:
  PgDeployments(pg::Pool& pool, const Clock& clock) : pool_(pool), clock_(clock) {}

  Result<std::vector<Deployment>> load(Deadline limit) override;
  Result<Deployment> put(const Deployment& deployment, Term term) override;
  Status remove(const std::string& name, Term term) override;

 private:
  Deadline deadline() const;

  pg::Pool& pool_;
  const Clock& clock_;
};

}  // namespace tidegate::scheduler
