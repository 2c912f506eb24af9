#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/pg/pool.h"

namespace tidegate::pg {

/// The right to act for `name`, with a term that grows at each new holding: what receives orders refuses an older term.
struct Leadership {
  std::uint64_t term = 0;
  /// Act no later than this: counted from before the database was asked, on our own clock, so the database's lease
  /// outlives it whatever the two wall clocks say.
  Mono valid_until{};
};

/// A lease in table tidegate_lease, judged by the database's clock alone. Calls block until their deadline at the latest,
/// also while the database hangs, so that a holder hears in time that it must stop; one thread at a time.
/// `holder` must be new for each process start (an id minted in main): a restarted process is a new holder.
///
///   loop every ttl/3:  leading = lease.acquire(deadline);   lost or Error -> stop acting at valid_until at the latest
class LeaderLease {
 public:
  LeaderLease(Pool& pool, const Clock& clock, std::string name, std::string holder, Duration ttl);

  /// The table. Safe to repeat and to run in parallel.
  Status create_table(Deadline deadline);

  /// Takes the lease when it is free or expired, renews it when it is ours. nullopt: somebody else holds it.
  /// The term stays while the lease is held without a break, by the database's clock and by ours, and grows by one
  /// otherwise. Fails as Pool does, and with deadline_exceeded/database_silent at once while the database still owes the
  /// answer to an earlier call.
  Result<std::optional<Leadership>> acquire(Deadline deadline);
  /// Renews only. Fails: failed_precondition/lease_lost when it expired or changed hands.
  Result<Leadership> renew(Deadline deadline);
  /// Gives it up at once, for a quick takeover at a planned stop. Nothing happens when it is not ours.
  Status release(Deadline deadline);

  /// Says that we stopped acting, at valid_until or before: the next acquire begins a new term, even where the database,
  /// whose clock the lease was counted by, still has it as ours. Whoever stopped has forgotten what it ordered.
  void lapse() { continuing_ = 0; }

  /// Of the last success; for refusing orders and for the operator.
  std::uint64_t term() const { return term_; }

 private:
  Leadership held(Mono asked_at, std::uint64_t term);
  /// Runs `job`, which owns what it captures, unless an earlier one has not ended.
  template <typename Job>
  auto ask(Deadline deadline, Job job) -> std::invoke_result_t<Job&, pqxx::work&>;

  Pool& pool_;
  const Clock& clock_;
  const std::string name_;
  const std::string holder_;
  const Duration ttl_;
  std::uint64_t term_ = 0;
  std::uint64_t continuing_ = 0;  ///< term_ while we act by it, else 0
  /// Alive while a job of ours is. A late one moves the lease on; two of them, out of step, would end terms for nothing.
  std::weak_ptr<const bool> under_way_;
};

}  // namespace tidegate::pg
