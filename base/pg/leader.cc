#include "base/pg/leader.h"

#include <pqxx/result>
#include <utility>

#include "base/pg/types.h"

namespace tidegate::pg {

namespace {

// The term of a first holder is 1: 0 means "no term yet" everywhere.
constexpr const char* kCreateLeaseTable = R"(
  CREATE TABLE IF NOT EXISTS tidegate_lease (
    name text PRIMARY KEY,
    holder text NOT NULL,
    term bigint NOT NULL CHECK (term > 0),
    expires_at timestamptz NOT NULL
  ))";

// clock_timestamp(), not now(): a transaction that waited for the row's lock must see the time after the wait.
constexpr const char* kAcquire = R"(
  INSERT INTO tidegate_lease AS lease (name, holder, term, expires_at)
  VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond')
  ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder,
    term = CASE WHEN lease.holder = excluded.holder AND lease.expires_at > clock_timestamp() AND lease.term = $4
           THEN lease.term ELSE lease.term + 1 END,
    expires_at = clock_timestamp() + $3 * interval '1 millisecond'
  WHERE lease.holder = excluded.holder OR lease.expires_at <= clock_timestamp()
  RETURNING term)";

constexpr const char* kRenew = R"(
  UPDATE tidegate_lease SET expires_at = clock_timestamp() + $4 * interval '1 millisecond'
  WHERE name = $1 AND holder = $2 AND term = $3 AND expires_at > clock_timestamp()
  RETURNING term)";

// The row stays, for its term.
constexpr const char* kRelease = R"(
  UPDATE tidegate_lease SET expires_at = '-infinity'
  WHERE name = $1 AND holder = $2 AND term = $3)";

/// Replicas create the table at the same moment: PostgreSQL's IF NOT EXISTS then still lets the second one fail.
constexpr const char* kTableLock = "SELECT pg_advisory_xact_lock(7597127453411927397)";  // any constant

}  // namespace

LeaderLease::LeaderLease(Pool& pool, const Clock& clock, std::string name, std::string holder, Duration ttl)
    : pool_(pool), clock_(clock), name_(std::move(name)), holder_(std::move(holder)), ttl_(ttl) {}

Status LeaderLease::create_table(Deadline deadline) {
  return pool_.run_blocking(deadline, [](pqxx::work& tx) -> Status {
    // Who serves may lack the right to make tables: then the owner has made this one.
    if (!tx.exec1("SELECT to_regclass('tidegate_lease')")[0].is_null()) return {};
    tx.exec(kTableLock);
    tx.exec(kCreateLeaseTable);
    return {};
  });
}

template <typename Job>
auto LeaderLease::ask(Deadline deadline, Job job) -> std::invoke_result_t<Job&, pqxx::work&> {
  if (!under_way_.expired()) {
    return fail(Code::kDeadlineExceeded, "database_silent", "the database has not answered the call before this one");
  }
  const auto token = std::make_shared<const bool>(true);
  under_way_ = token;
  auto marked = [token, job = std::move(job)](pqxx::work& tx) mutable { return job(tx); };
  return pool_.run_bounded(deadline, std::move(marked));
}

Result<std::optional<Leadership>> LeaderLease::acquire(Deadline deadline) {
  const Mono asked_at = clock_.mono();
  auto job = [name = name_, holder = holder_, ttl_ms = in_millis(ttl_),
              continuing = static_cast<std::int64_t>(continuing_)](pqxx::work& tx) -> Result<std::uint64_t> {
    const pqxx::result rows = tx.exec_params(kAcquire, name, holder, ttl_ms, continuing);
    return rows.empty() ? 0 : static_cast<std::uint64_t>(read_int64(rows[0][0]));
  };
  TG_ASSIGN(const std::uint64_t term, ask(deadline, std::move(job)));
  if (term == 0) return std::nullopt;
  return held(asked_at, term);
}

Result<Leadership> LeaderLease::renew(Deadline deadline) {
  const Mono asked_at = clock_.mono();
  auto job = [name = name_, holder = holder_, ours = static_cast<std::int64_t>(term_),
              ttl_ms = in_millis(ttl_)](pqxx::work& tx) -> Result<bool> {
    return !tx.exec_params(kRenew, name, holder, ours, ttl_ms).empty();
  };
  TG_ASSIGN(const bool is_ours, ask(deadline, std::move(job)));
  if (!is_ours) return fail(Code::kFailedPrecondition, "lease_lost", "the lease '" + name_ + "' expired or changed hands");
  return held(asked_at, term_);
}

Status LeaderLease::release(Deadline deadline) {
  auto job = [name = name_, holder = holder_, ours = static_cast<std::int64_t>(term_)](pqxx::work& tx) -> Status {
    tx.exec_params0(kRelease, name, holder, ours);
    return {};
  };
  return ask(deadline, std::move(job));
}

Leadership LeaderLease::held(Mono asked_at, std::uint64_t term) {
  term_ = continuing_ = term;
  return {term, asked_at + ttl_};
}

}  // namespace tidegate::pg
