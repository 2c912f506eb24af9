#include "base/pg/pool.h"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <pqxx/connection>
#include <thread>
#include <vector>

#include "base/core/backoff.h"
#include "base/core/check.h"
#include "base/pg/connect.h"
#include "base/pg/sql_error.h"
#include "base/pg/steady_now.h"

namespace tidegate::pg {

namespace {

double seconds_between(Mono from, Mono to) { return std::chrono::duration<double>(to - from).count(); }

Error deadline_passed() { return {Code::kDeadlineExceeded, "database_deadline", "the deadline passed before the database was asked"}; }
Error pool_stopped() { return {Code::kUnavailable, "database_pool_stopped", "the process is shutting down"}; }
Error queue_full() {
  return {Code::kResourceExhausted, "database_queue_full", "too many requests wait for the database: retry with back-off"};
}

}  // namespace

class Pool::Impl {
 public:
  Impl(PoolOptions options, PoolMetrics metrics) : options_(std::move(options)), metrics_(metrics) {
    TG_CHECK(options_.connections >= 1);
    for (std::size_t i = 0; i < options_.connections; ++i) {
      threads_.emplace_back([this, i] { serve(i); });
      ::pthread_setname_np(threads_.back().native_handle(), ("pg-" + std::to_string(i)).c_str());
    }
    threads_.emplace_back([this] { expire_queued(); });
  }

  void submit(Deadline deadline, Body body, Done done) {
    Job job{deadline, steady_now(), std::move(body), std::move(done)};
    if (auto refused = try_enqueue(job)) return job.done(fail(*std::move(refused)));
    job_or_stop_.notify_one();
  }

  std::size_t queued() const {
    const std::lock_guard lock(mutex_);
    return jobs_.size();
  }

  void stop() {
    std::deque<Job> left;
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
      left.swap(jobs_);
      show_queued();
    }
    job_or_stop_.notify_all();
    deadline_or_stop_.notify_all();
    stopping_.notify_all();
    for (Job& job : left) job.done(fail(pool_stopped()));
    for (auto& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  struct Job {
    Deadline deadline;
    Mono queued_at;
    Body body;
    Done done;
  };
  /// One per thread.
  struct Session {
    explicit Session(const PoolOptions& options, std::size_t index)
        : backoff(options.reconnect_least, options.reconnect_most,
                  static_cast<std::uint64_t>(steady_now().time_since_epoch().count()) + index) {}
    std::unique_ptr<pqxx::connection> connection;
    Backoff backoff;
    Mono next_attempt{};
    Error last_error;
    bool was_connected = false;
  };

  /// Takes the job, or says why not and leaves it to the caller.
  std::optional<Error> try_enqueue(Job& job) {
    if (job.deadline.is_expired(job.queued_at)) return deadline_passed();
    const std::lock_guard lock(mutex_);
    if (is_stopping_) return pool_stopped();
    if (jobs_.size() >= options_.queue_max) return queue_full();
    if (job.deadline.instant() < earliest_) deadline_or_stop_.notify_one();
    jobs_.push_back(std::move(job));
    show_queued();
    return std::nullopt;
  }

  void serve(std::size_t index) {
    Session session(options_, index);
    std::unique_lock lock(mutex_);
    while (true) {
      job_or_stop_.wait(lock, [this] { return is_stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      show_queued();
      lock.unlock();
      const Mono started = steady_now();
      if (metrics_.wait_seconds) metrics_.wait_seconds->observe(seconds_between(job.queued_at, started));
      Status outcome = perform(session, job);
      if (metrics_.run_seconds) metrics_.run_seconds->observe(seconds_between(started, steady_now()));
      job.body = nullptr;  // what it captured dies before the caller goes on
      job.done(std::move(outcome));
      lock.lock();
    }
  }

  /// Jobs whose deadline passes in the queue hear so at once, however long the others take.
  void expire_queued() {
    std::unique_lock lock(mutex_);
    while (!is_stopping_) {
      earliest_ = Mono::max();
      std::deque<Job> expired;
      const Mono instant = steady_now();
      for (auto it = jobs_.begin(); it != jobs_.end();) {
        if (it->deadline.is_expired(instant)) {
          expired.push_back(std::move(*it));
          it = jobs_.erase(it);
        } else {
          earliest_ = std::min(earliest_, it->deadline.instant());
          ++it;
        }
      }
      if (!expired.empty()) {
        show_queued();
        lock.unlock();
        for (Job& job : expired) job.done(fail(deadline_passed()));
        lock.lock();
      } else if (earliest_ == Mono::max()) {
        deadline_or_stop_.wait(lock);
      } else {
        deadline_or_stop_.wait_until(lock, earliest_);
      }
    }
  }

  Status perform(Session& session, Job& job) {
    Backoff retry(std::chrono::milliseconds(1), std::chrono::milliseconds(50),
                  static_cast<std::uint64_t>(job.queued_at.time_since_epoch().count()));
    const Deadline give_up = job.deadline.earlier(Deadline::after(steady_now(), options_.reconnect_wait));
    for (int attempt = 1;; ++attempt) {
      if (job.deadline.is_expired(steady_now())) return fail(deadline_passed());
      if (!session.connection) TG_TRY(reconnect(session, give_up));

      std::optional<Fault> fault;
      Status outcome = transact(session, job, fault);
      if (!fault) return outcome;
      if (fault->remedy == Fault::Remedy::kGiveUp || attempt == kAttemptsMax) return fail(std::move(fault->error));
      if (metrics_.retries) metrics_.retries->add();
      if (fault->remedy == Fault::Remedy::kRetry && !pause(steady_now() + retry.next(), job.deadline)) {
        return fail(std::move(fault->error));
      }
    }
  }

  /// A fault means: rolled back, or in doubt. Drops a connection that did not survive.
  Status transact(Session& session, Job& job, std::optional<Fault>& fault) {
    Phase phase = Phase::kBody;
    Status outcome;
    try {
      pqxx::work tx(*session.connection);
      bound_statements(tx, job.deadline);
      outcome = job.body(tx);
      if (outcome) {
        phase = Phase::kCommit;
        tx.commit();
      } else {
        tx.abort();
      }
    } catch (...) {
      fault = fault_of_current_exception(phase, session.connection->is_open());
    }
    const bool is_lost = !session.connection->is_open() ||
                         (fault && (fault->remedy == Fault::Remedy::kReconnect || fault->error.reason == "in_doubt"));
    if (is_lost) drop(session, fault ? fault->error : Error());
    return outcome;
  }

  void bound_statements(pqxx::work& tx, Deadline deadline) {
    if (deadline.is_never()) return;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining(steady_now()));
    if (left >= options_.statement_timeout) return;
    tx.exec0("SET LOCAL statement_timeout = " + std::to_string(std::max<std::int64_t>(1, left.count())));
  }

  void drop(Session& session, Error why) {
    session.connection.reset();
    session.last_error = std::move(why);
  }

  Status reconnect(Session& session, Deadline give_up) {
    ConnectOptions connect_options;
    connect_options.connection = options_.connection;
    connect_options.application = options_.application;
    connect_options.role = options_.role;
    connect_options.lock_timeout = options_.lock_timeout;
    connect_options.connect_timeout = options_.connect_timeout;
    connect_options.statement_timeout = options_.statement_timeout;
    connect_options.idle_in_transaction_timeout = options_.idle_in_transaction_timeout;
    while (true) {
      if (!pause(session.next_attempt, give_up)) {
        Error error = session.last_error;
        if (error.reason.empty()) error = Error(Code::kUnavailable, "database_unreachable", "the database is not reachable");
        return fail(std::move(error));
      }
      try {
        session.connection = connect(connect_options);
        session.backoff.reset();
        session.next_attempt = Mono{};
        if (std::exchange(session.was_connected, true) && metrics_.reconnects) metrics_.reconnects->add();
        return {};
      } catch (...) {
        Fault fault = fault_of_current_exception(Phase::kBody, false);
        session.last_error = std::move(fault.error);
        session.next_attempt = steady_now() + session.backoff.next();
      }
    }
  }

  /// Waits until the instant. False, at once, when the deadline is sooner or the pool stops.
  bool pause(Mono until, Deadline deadline) {
    if (until <= steady_now()) return true;
    if (deadline.instant() <= until) return false;
    std::unique_lock lock(mutex_);
    return !stopping_.wait_until(lock, until, [this] { return is_stopping_; });
  }

  void show_queued() {
    if (metrics_.queued) metrics_.queued->set(static_cast<double>(jobs_.size()));
  }

  const PoolOptions options_;
  const PoolMetrics metrics_;
  mutable std::mutex mutex_;
  std::condition_variable job_or_stop_;
  std::condition_variable deadline_or_stop_;  // the expiry thread alone
  std::condition_variable stopping_;          // threads that wait for the database to come back
  std::deque<Job> jobs_;
  Mono earliest_ = Mono::max();  // what the expiry thread waits for
  bool is_stopping_ = false;
  std::vector<std::thread> threads_;
};

Pool::Pool(PoolOptions options, PoolMetrics metrics) : impl_(std::make_unique<Impl>(std::move(options), metrics)) {}
Pool::~Pool() { stop(); }

void Pool::submit(Deadline deadline, Body body, Done done) { impl_->submit(deadline, std::move(body), std::move(done)); }

Status Pool::run_body(Deadline deadline, Body body) {
  std::mutex mutex;
  std::condition_variable done;
  std::optional<Status> outcome;
  submit(deadline, std::move(body), [&](Status status) {
    const std::lock_guard lock(mutex);
    outcome = std::move(status);
    done.notify_one();
  });
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return outcome.has_value(); });
  return *std::move(outcome);
}

Status Pool::run_body_bounded(Deadline deadline, Body body) {
  struct Wait {
    std::mutex mutex;
    std::condition_variable done;
    std::optional<Status> outcome;
  };
  const auto wait = std::make_shared<Wait>();  // the job's as well: it may outlast us
  submit(deadline, std::move(body), [wait](Status status) {
    const std::lock_guard lock(wait->mutex);
    wait->outcome = std::move(status);
    wait->done.notify_one();
  });
  std::unique_lock lock(wait->mutex);
  if (wait->done.wait_until(lock, deadline.instant(), [&] { return wait->outcome.has_value(); })) {
    return *std::move(wait->outcome);
  }
  return fail(Code::kDeadlineExceeded, "database_silent", "the database did not answer by the deadline");
}

std::size_t Pool::queued() const { return impl_->queued(); }
void Pool::stop() { impl_->stop(); }

}  // namespace tidegate::pg
