#include "gateway/dispatch/lane_dispatcher.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "base/core/check.h"

namespace tidegate::gateway {
namespace {

/// Mixed text has about this many bytes a token; only fairness and load use it, never money.
constexpr std::int64_t kBytesPerTokenApprox = 4;

std::string key_of(const ServingPool& pool) {
  std::string key = pool.model;
  key.append(1, '\0').append(pool.region).append(1, '\0').append(pool.pool);
  return key;
}

}  // namespace

LaneDispatcher::LaneDispatcher(SessionOptions options, FairQueueLimits limits, std::string home_region,
                               Executor executor, const Clock& clock, Log& log, GatewayMetrics& metrics)
    : options_(std::move(options)),
      limits_(limits),
      executor_(executor),
      clock_(clock),
      log_(log),
      metrics_(metrics),
      table_(std::move(home_region)),
      expiry_changed_(executor),
      coroutine_ended_(executor) {
  ++coroutines_;
  asio::co_spawn(executor_, watch_expiry(), asio::detached);
}

LaneDispatcher::~LaneDispatcher() { TG_CHECK(coroutines_ == 0 && sessions_.empty()); }

std::expected<DispatchTicket, Refusal> LaneDispatcher::submit(const SequenceRequest& request,
                                                              SequenceListener& listener) {
  if (is_stopping_) {
    return std::unexpected(Refusal(Error(Code::kUnavailable, "gateway_stopping", "This gateway is stopping; retry.")));
  }
  PoolQueue& pool = queue_of(request.pool);
  const DispatchTicket ticket = ++last_ticket_;
  const std::int64_t cost = prompt_tokens_bound(*request.plan) / kBytesPerTokenApprox + 1;
  const bool was_empty = pool.queue.empty();
  auto position = pool.queue.push(ticket, request.tenant, cost, clock_.mono());
  if (!position) return std::unexpected(std::move(position).error());
  pool.metrics.queue_requests->add(1);
  Pending pending;
  pending.request = request;
  pending.listener = &listener;
  pending.cost = cost;
  waiting_.emplace(ticket, std::pair(&pool, std::move(pending)));
  pump(pool);
  if (was_empty && !pool.queue.empty()) expiry_changed_.notify();
  return ticket;
}

void LaneDispatcher::leave(DispatchTicket ticket) {
  if (const auto found = waiting_.find(ticket); found != waiting_.end()) {
    PoolQueue& pool = *found->second.first;
    pool.queue.remove(ticket);
    pool.metrics.queue_requests->add(-1);
    waiting_.erase(found);
    return;
  }
  const auto found = running_.find(ticket);
  if (found == running_.end()) return;
  WorkerSession* session = found->second;
  running_.erase(found);
  session->cancel(ticket);
}

void LaneDispatcher::pump(PoolQueue& pool) {
  while (!pool.queue.empty()) {
    WorkerSession* session = least_loaded(pool.pool);
    if (session == nullptr) return;
    const auto next = pool.queue.pop(clock_.mono());
    auto waiting = waiting_.extract(next->ticket);
    Pending& pending = waiting.mapped().second;
    pool.metrics.queue_requests->add(-1);
    running_.emplace(next->ticket, session);
    pending.listener->on_dispatched(session->facts());
    session->begin(next->ticket, pending.request, *pending.listener, pending.cost);
  }
}

WorkerSession* LaneDispatcher::least_loaded(const ServingPool& pool) {
  WorkerSession* best = nullptr;
  for (const auto& session : sessions_) {
    if (!session->can_take(pool)) continue;
    if (best == nullptr || std::pair(session->load_estimate(), session->running_estimate()) <
                               std::pair(best->load_estimate(), best->running_estimate())) {
      best = session.get();
    }
  }
  return best;
}

void LaneDispatcher::apply_routes(const RouteSnapshot& snapshot) {
  auto change = table_.apply(snapshot);
  if (!change) {
    metrics_.routes_refused.add();
    return;
  }
  for (const std::string& worker_id : change->removed) {
    for (const auto& session : sessions_) {
      const bool still_routed = std::ranges::any_of(table_.routes(), [&](const Route& route) {
        return route.worker_id == worker_id && route.address == session->route().address;
      });
      if (session->route().worker_id == worker_id && !still_routed) session->retire();
    }
  }
  for (const Route& route : change->changed) {
    if (auto* session = find_session(route)) session->revive(route);
  }
  for (const Route& route : change->added) {
    if (auto* session = find_session(route)) {
      session->revive(route);
    } else {
      open_session(route);
    }
  }
  on_capacity();
}

void LaneDispatcher::open_session(const Route& route) {
  if (is_stopping_) return;
  PoolMetrics& metrics = metrics_.pool(route.model, route.region, route.pool);
  SessionOwner& owner = *this;
  sessions_.push_back(std::make_shared<WorkerSession>(options_, route, owner, metrics, clock_, log_, executor_));
  ++coroutines_;
  asio::co_spawn(executor_, run_session(sessions_.back()), asio::detached);
}

awaitable<void> LaneDispatcher::run_session(std::shared_ptr<WorkerSession> session) {
  co_await session->run();
  std::erase(sessions_, session);
  --coroutines_;
  coroutine_ended_.notify();
}

WorkerSession* LaneDispatcher::find_session(const Route& route) {
  const auto found = std::ranges::find_if(sessions_, [&](const auto& session) {
    return session->route().worker_id == route.worker_id && session->route().address == route.address;
  });
  return found == sessions_.end() ? nullptr : found->get();
}

void LaneDispatcher::on_capacity() {
  for (auto& [key, pool] : queues_) pump(*pool);
}

void LaneDispatcher::on_tokens(const ServingPool& pool, TenantId tenant, std::int64_t tokens) {
  queue_of(pool).queue.charge(tenant, tokens);
}

void LaneDispatcher::on_over(DispatchTicket ticket) { running_.erase(ticket); }

LaneDispatcher::PoolQueue& LaneDispatcher::queue_of(const ServingPool& pool) {
  std::unique_ptr<PoolQueue>& slot = queues_[key_of(pool)];
  if (!slot) slot = std::make_unique<PoolQueue>(pool, limits_, metrics_.pool(pool.model, pool.region, pool.pool));
  return *slot;
}

awaitable<void> LaneDispatcher::watch_expiry() {
  while (!is_stopping_) {
    Deadline next = Deadline::never();
    for (const auto& [key, pool] : queues_) {
      if (const auto at = pool->queue.next_expiry()) next = next.earlier(Deadline::at(*at));
    }
    if (next.is_never()) {
      co_await expiry_changed_.wait();
    } else {
      co_await expiry_changed_.wait_until(next);
    }
    refuse_expired();
  }
  --coroutines_;
  coroutine_ended_.notify();
}

void LaneDispatcher::refuse_expired() {
  const Mono now = clock_.mono();
  for (auto& [key, pool] : queues_) {
    for (const FairQueue::Waiting& expired : pool->queue.take_expired(now)) {
      auto waiting = waiting_.extract(expired.ticket);
      pool->metrics.queue_requests->add(-1);
      Refusal refusal(Error(Code::kResourceExhausted, "queue_timeout",
                            "No worker of this model became free in time; retry after the given time."),
                      pool->queue.wait_estimate(now));
      waiting.mapped().second.listener->on_queue_refused(std::move(refusal));
    }
  }
}

void LaneDispatcher::set_limits(FairQueueLimits limits) {
  limits_ = limits;
  for (auto& [key, pool] : queues_) pool->queue.set_limits(limits);
  expiry_changed_.notify();
}

awaitable<void> LaneDispatcher::stop() {
  is_stopping_ = true;
  for (auto& [ticket, entry] : std::exchange(waiting_, {})) {
    entry.first->queue.remove(ticket);
    entry.first->metrics.queue_requests->add(-1);
    Refusal refusal(Error(Code::kUnavailable, "gateway_stopping", "This gateway is stopping; retry."));
    entry.second.listener->on_queue_refused(std::move(refusal));
  }
  expiry_changed_.notify();
  for (const auto& session : sessions_) session->stop();
  while (coroutines_ > 0) co_await coroutine_ended_.wait();
}

std::size_t LaneDispatcher::sessions_open() const {
  return static_cast<std::size_t>(std::ranges::count_if(sessions_, [](const auto& s) { return s->is_open(); }));
}

std::size_t LaneDispatcher::queued() const { return waiting_.size(); }

}  // namespace tidegate::gateway
