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

/// How often the gauges of fairness are brought up to date: finding the gap looks at every tenant that waits.
constexpr Duration kFairnessEvery = std::chrono::milliseconds(100);

QueueAsk ask_of(const SequenceRequest& request) {
  QueueAsk ask;
  ask.tenant = request.tenant;
  ask.weight = request.weight;
  ask.tier = request.tier;
  ask.input_max = prompt_tokens_bound(*request.plan);
  ask.input = ask.input_max / kBytesPerTokenApprox + 1;
  if (request.pool.context_max > 0) {
    ask.input_max = std::min<std::int64_t>(ask.input_max, request.pool.context_max);
    ask.input = std::min(ask.input, ask.input_max);
  }
  ask.output_max = request.max_tokens;
  ask.deadline = request.deadline;
  ask.is_return = request.is_return;
  return ask;
}

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

std::optional<Refusal> LaneDispatcher::refuse(const SequenceRequest& request) {
  const auto found = queues_.find(key_of(request.pool));
  if (found == queues_.end()) return std::nullopt;
  return found->second->queue.refuse(ask_of(request), clock_.mono());
}

std::expected<DispatchTicket, Refusal> LaneDispatcher::submit(const SequenceRequest& request,
                                                              SequenceListener& listener) {
  if (is_stopping_) {
    return std::unexpected(Refusal(Error(Code::kUnavailable, "gateway_stopping", "This gateway is stopping; retry.")));
  }
  PoolQueue& pool = queue_of(request.pool);
  const DispatchTicket ticket = ++last_ticket_;
  const QueueAsk ask = ask_of(request);
  const bool was_empty = pool.queue.empty();
  auto position = pool.queue.push(ticket, ask, clock_.mono());
  if (!position) return std::unexpected(std::move(position).error());
  pool.metrics.queue_requests->add(1);
  Pending pending;
  pending.request = request;
  pending.listener = &listener;
  pending.cost = ask.input;
  waiting_.emplace(ticket, std::pair(&pool, std::move(pending)));
  pump(pool);
  if (was_empty && !pool.queue.empty()) expiry_changed_.notify();
  return ticket;
}

void LaneDispatcher::leave(DispatchTicket ticket) {
  if (const auto found = waiting_.find(ticket); found != waiting_.end()) {
    PoolQueue& pool = *found->second.first;
    pool.queue.remove(ticket, clock_.mono());
    pool.metrics.queue_requests->add(-1);
    waiting_.erase(found);
    return;
  }
  const auto found = running_.find(ticket);
  if (found == running_.end()) return;
  const Sent sent = found->second;
  running_.erase(found);
  sent.pool->queue.finish(ticket, clock_.mono());
  sent.session->cancel(ticket);
}

std::optional<QueuePlace> LaneDispatcher::place(DispatchTicket ticket) {
  const auto found = waiting_.find(ticket);
  if (found == waiting_.end()) return std::nullopt;
  return found->second.first->queue.place(ticket, clock_.mono());
}

void LaneDispatcher::pump(PoolQueue& pool) {
  while (!pool.queue.empty()) {
    WorkerSession* session = least_loaded(pool.pool);
    if (session == nullptr) break;
    const auto next = pool.queue.pop(clock_.mono(), slots_free(pool.pool));
    if (!next) break;  // what is left is kept for others than those who wait
    auto waiting = waiting_.extract(next->ticket);
    Pending& pending = waiting.mapped().second;
    pool.metrics.queue_requests->add(-1);
    running_.emplace(next->ticket, Sent{session, &pool});
    pending.listener->on_dispatched(session->facts());
    session->begin(next->ticket, pending.request, *pending.listener, pending.cost);
  }
  publish_fairness(pool);
}

std::size_t LaneDispatcher::slots_free(const ServingPool& pool) const {
  std::size_t free = 0;
  for (const auto& session : sessions_) {
    if (session->can_take(pool)) free += static_cast<std::size_t>(session->credits());
  }
  return free;
}

/// Lanes share the gauges, so each adds what changed of its own part: the sum of their gaps under the sum of their bounds.
void LaneDispatcher::publish_fairness(PoolQueue& pool) {
  const Mono now = clock_.mono();
  if (now - pool.published_at < kFairnessEvery) return;
  pool.published_at = now;
  const FairnessGap fresh = pool.queue.fairness();
  TG_DCHECK(fresh.gap <= fresh.bound);
  if (fresh.gap > fresh.bound) pool.metrics.fairness_violations->add();
  pool.metrics.fairness_gap_tokens->add(fresh.gap - pool.published.gap);
  pool.metrics.fairness_bound_tokens->add(fresh.bound - pool.published.bound);
  pool.published = fresh;
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

void LaneDispatcher::on_accepted(DispatchTicket ticket, std::int64_t uncached) {
  const auto found = running_.find(ticket);
  if (found != running_.end()) found->second.pool->queue.accept(ticket, uncached, clock_.mono());
}

void LaneDispatcher::on_tokens(DispatchTicket ticket, std::int64_t completion) {
  const auto found = running_.find(ticket);
  if (found != running_.end()) found->second.pool->queue.produce(ticket, completion, clock_.mono());
}

void LaneDispatcher::on_over(DispatchTicket ticket) {
  const auto found = running_.find(ticket);
  if (found == running_.end()) return;
  PoolQueue& pool = *found->second.pool;
  running_.erase(found);
  pool.queue.finish(ticket, clock_.mono());
  publish_fairness(pool);
}

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
                      pool->queue.retry_after(expired.ask, now));
      waiting.mapped().second.listener->on_queue_refused(std::move(refusal));
    }
  }
}

awaitable<void> LaneDispatcher::stop() {
  is_stopping_ = true;
  for (auto& [ticket, entry] : std::exchange(waiting_, {})) {
    entry.first->queue.remove(ticket, clock_.mono());
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
