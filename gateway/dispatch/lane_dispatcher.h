#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/net/signal.h"
#include "gateway/core/fair_queue.h"
#include "gateway/dispatch/dispatcher.h"
#include "gateway/dispatch/worker_session.h"

namespace tidegate::gateway {

/// The real Dispatcher of one io thread. Everything runs on `executor`; routes arrive by apply_routes().
class LaneDispatcher final : public Dispatcher, private SessionOwner {
 public:
  LaneDispatcher(SessionOptions options, FairQueueLimits limits, std::string home_region, Executor executor,
                 const Clock& clock, Log& log, GatewayMetrics& metrics);
  /// stop() must have finished.
  ~LaneDispatcher() override;

  std::optional<Refusal> refuse(const SequenceRequest& request) override;
  std::expected<DispatchTicket, Refusal> submit(const SequenceRequest& request, SequenceListener& listener) override;
  void leave(DispatchTicket ticket) override;
  std::optional<QueuePlace> place(DispatchTicket ticket) override;
  const RouteTable& routes() const override { return table_; }

  /// A new picture from the scheduler. Older ones are counted and ignored.
  void apply_routes(const RouteSnapshot& snapshot);
  /// Refuses what waits, breaks every session and waits until their coroutines have ended.
  awaitable<void> stop();

  std::size_t sessions_open() const;
  std::size_t queued() const;

 private:
  struct Pending {
    SequenceRequest request;
    SequenceListener* listener = nullptr;
    std::int64_t cost = 0;
  };
  /// Requests of one (model, region, pool).
  struct PoolQueue {
    PoolQueue(ServingPool pool_in, FairQueueLimits limits, PoolMetrics& metrics_in)
        : pool(std::move(pool_in)), queue(limits), metrics(metrics_in) {}
    ServingPool pool;
    FairQueue queue;
    PoolMetrics& metrics;
    FairnessGap published;  ///< this lane's part of the gauges
    Mono published_at{};
  };

  void on_capacity() override;
  void on_accepted(DispatchTicket ticket, std::int64_t uncached) override;
  void on_tokens(DispatchTicket ticket, std::int64_t completion) override;
  void on_over(DispatchTicket ticket) override;

  /// A sequence that a worker has, and the queue that it left.
  struct Sent {
    WorkerSession* session = nullptr;
    PoolQueue* pool = nullptr;
  };

  PoolQueue& queue_of(const ServingPool& pool);
  void publish_fairness(PoolQueue& pool);
  std::size_t slots_free(const ServingPool& pool) const;
  void pump(PoolQueue& pool);
  WorkerSession* least_loaded(const ServingPool& pool);
  void open_session(const Route& route);
  WorkerSession* find_session(const Route& route);
  awaitable<void> run_session(std::shared_ptr<WorkerSession> session);
  awaitable<void> watch_expiry();
  void refuse_expired();

  const SessionOptions options_;
  const FairQueueLimits limits_;
  Executor executor_;
  const Clock& clock_;
  Log& log_;
  GatewayMetrics& metrics_;
  RouteTable table_;

  std::map<std::string, std::unique_ptr<PoolQueue>> queues_;
  std::unordered_map<DispatchTicket, std::pair<PoolQueue*, Pending>> waiting_;
  std::unordered_map<DispatchTicket, Sent> running_;
  std::vector<std::shared_ptr<WorkerSession>> sessions_;  // shared with each session's own coroutine
  DispatchTicket last_ticket_ = 0;
  bool is_stopping_ = false;
  std::size_t coroutines_ = 0;
  AsyncSignal expiry_changed_;
  AsyncSignal coroutine_ended_;
};

}  // namespace tidegate::gateway
