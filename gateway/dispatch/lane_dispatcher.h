#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/net/signal.h"
#include "gateway/core/fair_queue.h"
#include "gateway/core/worker_health.h"
#include "gateway/core/worker_picker.h"
#include "gateway/dispatch/demand_board.h"
#include "gateway/dispatch/dispatcher.h"
#include "gateway/dispatch/prefix_store.h"
#include "gateway/dispatch/tenant_salts.h"
#include "gateway/dispatch/traffic_board.h"
#include "gateway/dispatch/worker_session.h"

namespace tidegate::gateway {

struct RoutingOptions {
  PickerOptions picker;
  HealthOptions health;
  PrefixStore* prefixes = nullptr;  ///< of all lanes; null: workers are chosen by their load alone
  /// Requests may go to another region's pool when they would wait longer than this at home, or home has no worker.
  /// Zero: they never do.
  Duration spill_after = Duration::zero();
  DemandBoard* demand = nullptr;  ///< of all lanes; null: nobody asks what is wanted here
  TrafficBoard* traffic = nullptr;  ///< of all lanes; null: traffic is never divided
};

/// The real Dispatcher of one io thread. Everything runs on `executor`; routes arrive by apply_routes().
class LaneDispatcher final : public Dispatcher, private SessionOwner {
 public:
  /// Mixed text has about this many bytes a token; only fairness and load use it, never money.
  static constexpr std::int64_t kBytesPerTokenApprox = 4;

  LaneDispatcher(SessionOptions options, FairQueueLimits limits, std::string home_region, Executor executor,
                 const Clock& clock, Log& log, GatewayMetrics& metrics, RoutingOptions routing = {});
  /// stop() must have finished.
  ~LaneDispatcher() override;

  std::optional<Refusal> refuse(const SequenceRequest& request) override;
  std::expected<DispatchTicket, Refusal> submit(const SequenceRequest& request, SequenceListener& listener) override;
  void leave(DispatchTicket ticket) override;
  std::optional<QueuePlace> place(DispatchTicket ticket) override;
  awaitable<std::expected<std::int64_t, Refusal>> count(ServingPool pool, const Plan& plan,
                                                        Deadline deadline) override;
  const RouteTable& routes() const override { return table_; }
  std::vector<ServingPool> spill_pools(const ServingPool& home, std::span<const std::string> regions) const override;

  /// A new picture from the scheduler. Older ones are counted and ignored.
  void apply_routes(const RouteSnapshot& snapshot);
  /// For every queue from now on, also for what waits in them.
  void set_limits(FairQueueLimits limits);
  /// Refuses what waits, breaks every session and waits until their coroutines have ended.
  awaitable<void> stop();

  std::size_t sessions_open() const;
  std::size_t queued() const;

 private:
  struct Pending {
    SequenceRequest request;
    SequenceListener* listener = nullptr;
    PromptPrefix prefix;
  };
  /// Requests of one (model, region, pool), and the sessions to its workers.
  struct PoolQueue {
    PoolQueue(ServingPool pool_in, FairQueueLimits limits, PoolMetrics& metrics_in, const RoutingOptions& routing,
              std::uint64_t seed)
        : pool(std::move(pool_in)), queue(limits), metrics(metrics_in), health(routing.health, seed) {}
    ServingPool pool;
    FairQueue queue;
    PoolMetrics& metrics;
    WorkerHealth health;
    std::vector<WorkerSession*> workers;
    std::size_t ejected_published = 0;
    FairnessGap published;  ///< this lane's part of the gauges
    Mono published_at{};
    PoolDemand demand{};  ///< totals; what waits is filled in when it is written down
  };
  /// Who gets a request, and what it was believed to find there.
  struct Choice {
    WorkerSession* session = nullptr;
    std::int64_t tokens_uncached = 0;
    std::int64_t tokens_believed = 0;
    std::size_t blocks_believed = 0;
  };
  /// A request that a worker has, and the queue that it left.
  struct Sent {
    WorkerSession* session = nullptr;
    PoolQueue* pool = nullptr;
    PromptPrefix prefix;
    std::size_t blocks_believed = 0;
    std::int64_t tokens_believed = 0;
    bool is_forgotten = false;  ///< the index dropped it for now: the worker had less than was believed
  };

  void on_opened(WorkerSession& session) override;
  void on_broken(WorkerSession& session, bool is_loss) override;
  void on_heard(WorkerSession& session) override;
  void on_capacity() override;
  void on_accepted(DispatchTicket ticket, const TokenUsage& usage) override;
  void on_output(DispatchTicket ticket) override;
  void on_tokens(DispatchTicket ticket, std::int64_t completion) override;
  void on_over(DispatchTicket ticket, SequenceFate fate) override;

  PoolQueue& queue_of(const ServingPool& pool);
  /// Refuses as count() does.
  std::expected<WorkerSession*, Refusal> counter_of(const ServingPool& pool, const std::string& full_worker) const;
  void publish_fairness(PoolQueue& pool);
  std::size_t slots_free(const PoolQueue& pool, Mono now) const;
  void pump(PoolQueue& pool);
  /// For one that has waited so long; nullopt while nobody may be given it.
  std::optional<Choice> choose(PoolQueue& pool, const Pending& pending, Duration waited);
  bool has_other(const PoolQueue& pool, const SequenceRequest& request, const std::string& avoid_worker,
                 Mono now) const;
  std::vector<WorkerSession*> able_workers(PoolQueue& pool, const SequenceRequest& request,
                                           const std::string& avoid_worker, Mono now) const;
  /// No worker that serves here can answer as the request asks. One that can and is busy is waited for.
  std::optional<Refusal> refuse_unable(const PoolQueue& pool, const SequenceRequest& request) const;
  /// Takes the ticket from its queue; its listener is told.
  void drop(PoolQueue& pool, DispatchTicket ticket, Refusal refusal);
  /// Takes those away whose arm has not its turn. False: it waits.
  bool keep_arm(PoolQueue& pool, const SequenceRequest& request, const std::string& avoid_worker,
                std::vector<WorkerSession*>& able, const PrefixStore::View& known);
  bool is_full(const ServingPool& pool) const;
  void note_ejection(PoolQueue& pool, const WorkerHealth::Ejection& ejection);
  void publish_ejected(PoolQueue& pool);
  void check_health();
  void open_session(const Route& route);
  void follow(const Route& route);
  awaitable<void> run_session(std::shared_ptr<WorkerSession> session);
  awaitable<void> watch_expiry();
  void refuse_expired();
  void write_demand();

  const SessionOptions options_;
  TenantSalts salts_;
  FairQueueLimits limits_;
  const RoutingOptions routing_;
  Executor executor_;
  const Clock& clock_;
  Log& log_;
  GatewayMetrics& metrics_;
  RouteTable table_;
  WorkerPicker picker_;

  std::map<std::string, std::unique_ptr<PoolQueue>> queues_;
  std::unordered_map<DispatchTicket, std::pair<PoolQueue*, Pending>> waiting_;
  std::unordered_map<DispatchTicket, Sent> running_;
  std::vector<std::shared_ptr<WorkerSession>> sessions_;  // shared with each session's own coroutine
  DispatchTicket last_ticket_ = 0;
  std::uint64_t last_session_ = 0;
  bool is_stopping_ = false;
  std::size_t coroutines_ = 0;
  Mono next_look_{};  ///< watch_expiry() wakes by itself then
  AsyncSignal expiry_changed_;
  AsyncSignal coroutine_ended_;
};

}  // namespace tidegate::gateway
