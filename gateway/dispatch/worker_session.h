#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/core/backoff.h"
#include "base/core/log.h"
#include "base/net/signal.h"
#include "base/rpc/client.h"
#include "gateway/dispatch/dispatcher.h"
#include "gateway/metrics.h"
#include "tidegate/v1/worker.grpc.pb.h"

namespace tidegate::gateway {

struct SessionOptions {
  std::string gateway_id;
  std::uint64_t epoch = 0;
  std::uint32_t thread = 0;
  std::string cluster_token;
  std::string cache_secret;  ///< root of the tenants' cache salts
  Duration reconnect_least = std::chrono::milliseconds(50);
  Duration reconnect_most = std::chrono::seconds(2);
  Duration hello_timeout = std::chrono::seconds(5);
};

/// What a session tells the dispatcher that owns it.
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  /// A credit came, or the session opened: something may leave the queue.
  virtual void on_capacity() = 0;
  // For fairness: what a sequence really costs.
  /// The worker has read the prompt: this many of its tokens were not in the cache.
  virtual void on_accepted(DispatchTicket ticket, std::int64_t uncached) = 0;
  /// Tokens of the answer so far; the last count comes before on_over().
  virtual void on_tokens(DispatchTicket ticket, std::int64_t completion) = 0;
  /// The ticket's sequence ended or was lost; its listener has been told.
  virtual void on_over(DispatchTicket ticket) = 0;
};

/// One io thread's stream to one worker: starts and cancels out, frames of events in, and the credits between them.
/// Remade with back-off when it breaks; its sequences are then lost, and their listeners told. One thread.
class WorkerSession : public std::enable_shared_from_this<WorkerSession> {
 public:
  WorkerSession(const SessionOptions& options, Route route, SessionOwner& owner, PoolMetrics& metrics,
                const Clock& clock, Log& log, Executor executor);
  ~WorkerSession();
  WorkerSession(const WorkerSession&) = delete;
  WorkerSession& operator=(const WorkerSession&) = delete;

  /// Runs until stopped, or until retired with nothing left to finish. The coroutine shares ownership.
  awaitable<void> run();
  /// No new work; what runs may finish. Undone by revive().
  void retire();
  void revive(const Route& route);
  /// Breaks the stream: what runs is lost.
  void stop();

  bool can_take(const ServingPool& pool) const;
  /// Prompt tokens waiting there, with what this thread sent and the worker has not read yet.
  std::int64_t load_estimate() const { return tokens_queued_ + unread_cost_; }
  std::int32_t running_estimate() const { return sequences_running_ + static_cast<std::int32_t>(unread_); }

  /// Spends one credit. can_take() must hold.
  void begin(DispatchTicket ticket, const SequenceRequest& request, SequenceListener& listener, std::int64_t cost);
  /// The listener hears nothing more.
  void cancel(DispatchTicket ticket);

  /// Sequences it may start now; those of other threads may be the same slots.
  std::int64_t credits() const;

  const Route& route() const { return route_; }
  const WorkerFacts& facts() const { return facts_; }
  std::size_t running() const { return running_.size(); }
  bool is_open() const { return stream_.has_value() && is_greeted_; }

 private:
  using Stream = rpc::BidiClient<v1::GatewayFrame, v1::WorkerFrame>;
  struct Running {
    DispatchTicket ticket = 0;
    SequenceListener* listener = nullptr;
    std::int64_t cost = 0;
    bool is_read = false;                ///< the worker has accepted it
    std::int64_t tokens_told = 0;
  };

  awaitable<Status> serve_stream();
  Status greet(const v1::WorkerFrame& frame);
  void on_frame(v1::WorkerFrame frame);
  void on_event(v1::SequenceEvent event);
  void mark_read(Running& running);
  void lose_all();
  void send(v1::GatewayFrame frame);
  void publish();

  const SessionOptions& options_;
  Route route_;
  ServingPool pool_;
  SessionOwner& owner_;
  PoolMetrics& metrics_;
  const Clock& clock_;
  Log& log_;
  Backoff backoff_;
  WorkerFacts facts_;

  std::optional<Stream> stream_;
  bool is_greeted_ = false;
  bool is_stopped_ = false;
  bool is_retired_ = false;
  bool is_draining_ = false;
  int refusals_in_a_row_ = 0;  ///< only the first is logged
  AsyncSignal wake_;  ///< ends a back-off early

  std::uint64_t credits_total_ = 0;
  std::uint64_t started_ = 0;
  std::uint64_t next_sequence_ = 1;
  std::int64_t tokens_queued_ = 0;
  std::int32_t sequences_running_ = 0;
  std::int64_t unread_cost_ = 0;
  std::int64_t unread_ = 0;
  std::int64_t credits_published_ = 0;
  bool open_published_ = false;
  std::unordered_map<std::uint64_t, Running> running_;               ///< by sequence
  std::unordered_map<DispatchTicket, std::uint64_t> sequence_of_;
};

}  // namespace tidegate::gateway
