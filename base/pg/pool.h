#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <pqxx/transaction>
#include <string>
#include <type_traits>
#include <utility>

#include "base/core/deadline.h"
#include "base/core/metrics.h"
#include "base/core/result.h"
#include "base/net/suspend.h"

namespace tidegate::pg {

struct PoolOptions {
  /// libpq keywords, e.g. "host=/run/tidegate dbname=tidegate user=tidegate".
  std::string connection;
  /// For pg_stat_activity.
  std::string application = "tidegate";
  /// Taken by every session, with its rights alone. Empty: the user's own.
  std::string role;
  std::size_t connections = 4;
  /// Jobs waiting for a connection. Full: resource_exhausted, the database is not touched.
  std::size_t queue_max = 256;
  /// The server stops a statement after this long, or at the job's deadline when that is sooner.
  std::chrono::milliseconds statement_timeout{10'000};
  std::chrono::milliseconds idle_in_transaction_timeout{15'000};
  std::chrono::milliseconds lock_timeout{0};  ///< longest wait for one lock; 0: as long as the statement may take
  std::chrono::milliseconds connect_timeout{2'000};  ///< libpq counts whole seconds, at least 2
  /// Between attempts to connect, with full jitter.
  std::chrono::milliseconds reconnect_least{20};
  std::chrono::milliseconds reconnect_most{500};
  /// How long a job waits for a database that is down before it fails; its deadline may be sooner.
  std::chrono::milliseconds reconnect_wait{2'000};
};

/// Fixed when the pool starts; each may be null.
struct PoolMetrics {
  Gauge* queued = nullptr;
  Histogram* wait_seconds = nullptr;  ///< from run() to a connection's thread
  Histogram* run_seconds = nullptr;   ///< of the transaction, retries included
  Counter* retries = nullptr;
  Counter* reconnects = nullptr;
};

/// K threads with one PostgreSQL connection each, behind a bounded queue. Thread-safe.
///
///   Result<Balance> load_balance(pqxx::work& tx, const WalletId& wallet);   // a named function
///   auto job = [wallet](pqxx::work& tx) { return load_balance(tx, wallet); };
///   auto balance = co_await pool.run(deadline, std::move(job));
///
/// One job is one transaction (read committed): committed by the pool after the job returned a value, rolled back
/// after an Error. Jobs may run several times (serialization failure, deadlock, a connection that broke before the
/// commit: at most kAttemptsMax) and so have no effect but through `tx`. Exceptions stop here:
///   resource_exhausted/database_queue_full    never started
///   deadline_exceeded/database_deadline       never started, or stopped by the deadline
///   deadline_exceeded/statement_timeout       stopped by PostgreSQL, rolled back
///   already_exists/unique_violation           Error::field is the constraint's name
///   failed_precondition/check_violation, foreign_key_violation, not_null_violation, exclusion_violation (same)
///   aborted/serialization_failure, aborted/deadlock   after the last attempt
///   unavailable/database_unreachable          not connected, or broken before the commit: nothing happened
///   unavailable/in_doubt                      broken during the commit: ask again by your idempotency key
///   internal/database_error                   anything else, with SQLSTATE and message
class Pool {
 public:
  static constexpr int kAttemptsMax = 4;

  /// Starts the threads; they connect on first use.
  explicit Pool(PoolOptions options, PoolMetrics metrics = {});
  /// As stop().
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// fn(pqxx::work&) -> Result<T>. Blocks until done or until the deadline has passed in the queue.
  template <typename Fn>
  std::invoke_result_t<Fn&, pqxx::work&> run_blocking(Deadline deadline, Fn fn);

  /// The same, but back at the deadline whatever the database does: a server that stands still while its kernel lives
  /// (frozen, a disk that hangs) keeps a running statement, and its thread here, until it goes on. The job may then end
  /// after its caller, so `fn` owns what it captures or names what outlives the pool.
  /// Fails also: deadline_exceeded/database_silent (whether the job is carried out is open).
  template <typename Fn>
  std::invoke_result_t<Fn&, pqxx::work&> run_bounded(Deadline deadline, Fn fn);

  /// The same for a coroutine, resumed on its own executor. Not cancellable: the deadline ends it. The pool must be
  /// stopped before that executor dies.
  template <typename Fn>
  awaitable<std::invoke_result_t<Fn&, pqxx::work&>> run(Deadline deadline, Fn fn);

  std::size_t queued() const;
  /// Fails what is queued (unavailable/database_pool_stopped), waits for what runs, joins. Idempotent.
  void stop();

 private:
  class Impl;
  using Body = std::move_only_function<Status(pqxx::work&)>;
  using Done = std::move_only_function<void(Status)>;
  /// `done` runs exactly once: on a pool thread, or right here when the job is refused.
  void submit(Deadline deadline, Body body, Done done);
  /// submit() and wait.
  Status run_body(Deadline deadline, Body body);
  /// The same until the deadline.
  Status run_body_bounded(Deadline deadline, Body body);

  std::unique_ptr<Impl> impl_;
};

/// What the exception in flight means. Call it inside a catch block only.
Error error_of_current_exception();

template <typename Fn>
std::invoke_result_t<Fn&, pqxx::work&> Pool::run_blocking(Deadline deadline, Fn fn) {
  using Answer = std::invoke_result_t<Fn&, pqxx::work&>;
  std::optional<Answer> answer;
  const Status outcome = run_body(deadline, [&](pqxx::work& tx) {
    answer.emplace(fn(tx));
    return answer->has_value() ? Status() : Status(fail(answer->error()));
  });
  if (!outcome) return fail(outcome.error());
  return *std::move(answer);
}

template <typename Fn>
std::invoke_result_t<Fn&, pqxx::work&> Pool::run_bounded(Deadline deadline, Fn fn) {
  using Answer = std::invoke_result_t<Fn&, pqxx::work&>;
  auto answer = std::make_shared<std::optional<Answer>>();  // the job's as well: it may outlast us
  auto body = [answer, fn = std::move(fn)](pqxx::work& tx) mutable {
    answer->emplace(fn(tx));
    return (*answer)->has_value() ? Status() : Status(fail((*answer)->error()));
  };
  const Status outcome = run_body_bounded(deadline, std::move(body));
  if (!outcome) return fail(outcome.error());
  return *std::move(*answer);
}

template <typename Fn>
awaitable<std::invoke_result_t<Fn&, pqxx::work&>> Pool::run(Deadline deadline, Fn fn) {
  using Answer = std::invoke_result_t<Fn&, pqxx::work&>;
  // Shared by the job and its completion; both run on the pool's thread.
  auto answer = std::make_shared<std::optional<Answer>>();
  auto body = [answer, fn = std::move(fn)](pqxx::work& tx) mutable {
    answer->emplace(fn(tx));
    return (*answer)->has_value() ? Status() : Status(fail((*answer)->error()));
  };
  auto start = [this, deadline, answer, body = std::move(body)](Resume<Answer> resume) mutable {
    submit(deadline, std::move(body), [answer, resume = std::move(resume)](Status outcome) mutable {
      Answer result = outcome ? *std::move(*answer) : Answer(fail(outcome.error()));
      resume(std::move(result));
    });
  };
  auto cancel = [] {};
  auto waiting = suspend<Answer>(std::move(start), std::move(cancel));
  co_return co_await std::move(waiting);
}

}  // namespace tidegate::pg
