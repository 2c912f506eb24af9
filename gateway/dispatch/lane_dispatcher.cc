#include "gateway/dispatch/lane_dispatcher.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/core/check.h"
#include "base/crypto/sha256.h"
#include "gateway/core/pool_key.h"
#include "gateway/core/pool_room.h"

namespace tidegate::gateway {
namespace {

/// Stalls, ends of ejections and slow starts come without an event.
constexpr auto kHealthEvery = std::chrono::seconds(1);

/// How often the gauges of fairness are brought up to date: finding the gap looks at every tenant that waits.
constexpr Duration kFairnessEvery = std::chrono::milliseconds(100);

/// Prompts that one worker counts at once for one lane: each costs it as much time as reading the text.
constexpr std::size_t kCountsMax = 8;
/// A worker's reason when it has as many prompts to count as it takes, of all gateways.
constexpr std::string_view kCountsFull = "counts_full";

QueueAsk ask_of(const SequenceRequest& request) {
  QueueAsk ask;
  ask.tenant = request.tenant;
  ask.weight = request.weight;
  ask.tier = request.tier;
  ask.input_max = prompt_tokens_bound(*request.plan);
  const std::int64_t ids = prompt_ids(*request.plan);
  ask.input = (ask.input_max - ids) / LaneDispatcher::kBytesPerTokenApprox + ids + 1;
  if (request.pool.context_max > 0) {
    const std::int64_t prompts = request.plan->embed.empty() ? 1 : std::ssize(request.plan->embed);
    ask.input_max = std::min<std::int64_t>(ask.input_max, request.pool.context_max * prompts);
    ask.input = std::min(ask.input, ask.input_max);
  }
  ask.output_max = std::int64_t{request.max_tokens} * request.plan->sampling.n;
  ask.deadline = request.deadline;
  return ask;
}

std::string key_of(const ServingPool& pool) { return pool_key(pool.model, pool.region, pool.pool); }

}  // namespace

LaneDispatcher::LaneDispatcher(SessionOptions options, FairQueueLimits limits, std::string home_region,
                               Executor executor, const Clock& clock, Log& log, GatewayMetrics& metrics,
                               RoutingOptions routing)
    : options_(std::move(options)),
      salts_(options_.cache_secret),
      limits_(limits),
      routing_(routing),
      executor_(executor),
      clock_(clock),
      log_(log),
      metrics_(metrics),
      table_(std::move(home_region)),
      picker_(routing.picker, options_.epoch + options_.thread),
      expiry_changed_(executor),
      coroutine_ended_(executor) {
  ++coroutines_;
  asio::co_spawn(executor_, watch_expiry(), asio::detached);
}

LaneDispatcher::~LaneDispatcher() { TG_CHECK(coroutines_ == 0 && sessions_.empty()); }

std::optional<Refusal> LaneDispatcher::refuse(const SequenceRequest& request) {
  const auto found = queues_.find(key_of(request.pool));
  if (found == queues_.end()) return std::nullopt;
  PoolQueue& pool = *found->second;
  if (auto unable = refuse_unable(pool, request)) return unable;
  const QueueAsk ask = ask_of(request);
  std::optional<Refusal> refusal = pool.queue.refuse(ask, clock_.mono());
  // It does not come to submit(), and its want of a worker is as good as that of those who do. A deadline that no worker
  // could keep is none: nothing waits before it.
  if (refusal && !pool.queue.empty()) {
    ++pool.demand.arrivals;
    ++pool.demand.refusals;
    pool.demand.prompt_tokens += ask.input;
  }
  return refusal;
}

std::expected<DispatchTicket, Refusal> LaneDispatcher::submit(const SequenceRequest& request,
                                                              SequenceListener& listener) {
  if (is_stopping_) {
    return std::unexpected(Refusal(Error(Code::kUnavailable, "gateway_stopping", "This gateway is stopping; retry.")));
  }
  PoolQueue& pool = queue_of(request.pool);
  const DispatchTicket ticket = ++last_ticket_;
  const QueueAsk ask = ask_of(request);
  const Mono expiry = clock_.mono() + limits_.wait_max;
  ++pool.demand.arrivals;
  pool.demand.prompt_tokens += ask.input;
  auto position = pool.queue.push(ticket, ask, clock_.mono());
  if (!position) {
    ++pool.demand.refusals;
    return std::unexpected(std::move(position).error());
  }
  pool.metrics.queue_requests->add(1);
  Pending pending;
  pending.request = request;
  pending.listener = &listener;
  if (!request.plan->embed.empty()) {
    pending.prefix = embed_prefix(*request.plan);
  } else if (routing_.prefixes != nullptr) {
    const Digest& salt = salts_.of(request.tenant);
    pending.prefix = prompt_prefix(*request.plan, as_view(salt));
  } else {
    pending.prefix.bytes = prompt_tokens_bound(*request.plan);
  }
  waiting_.emplace(ticket, std::pair(&pool, std::move(pending)));
  pump(pool);
  // A look costs as much as there are queues; hardly ever does a wait end before the next one.
  if (expiry < next_look_ && !pool.queue.empty()) expiry_changed_.notify();
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
  const Sent sent = std::move(found->second);
  running_.erase(found);
  const Mono now = clock_.mono();
  sent.pool->queue.finish(ticket, now);
  sent.session->cancel(ticket);
  // A client's leaving is no failure, so it ejects nobody.
  sent.pool->health.on_over(sent.session->number(), false, now);
}

std::optional<QueuePlace> LaneDispatcher::place(DispatchTicket ticket) {
  const auto found = waiting_.find(ticket);
  if (found == waiting_.end()) return std::nullopt;
  return found->second.first->queue.place(ticket, clock_.mono());
}

/// Who has the fewest prompts of this lane to count, without the worker that has said that it has too many.
std::expected<WorkerSession*, Refusal> LaneDispatcher::counter_of(const ServingPool& pool,
                                                                  const std::string& full_worker) const {
  WorkerSession* least = nullptr;
  bool has_worker = false;
  if (const auto found = queues_.find(key_of(pool)); found != queues_.end()) {
    for (WorkerSession* session : found->second->workers) {
      if (!session->is_serving()) continue;
      has_worker = true;
      if (!session->abilities().has(Ability::kCount) || session->route().worker_id == full_worker) continue;
      if (least == nullptr || session->counting() < least->counting()) least = session;
    }
  }
  if (least == nullptr && full_worker.empty()) {
    Error none(Code::kUnavailable, "model_not_ready", "No worker serves this model yet; retry shortly.", "model");
    if (has_worker) {
      none = Error(Code::kUnimplemented, "count_unsupported",
                   "The workers that serve this model do not count prompts; the usage of an answer has the count.", "model");
    }
    return std::unexpected(Refusal(std::move(none)));
  }
  if (least == nullptr || least->counting() >= kCountsMax) {
    return std::unexpected(Refusal(Error(Code::kResourceExhausted, "queue_full",
                                         "Too many prompts are being counted; retry shortly.")));
  }
  return least;
}

awaitable<std::expected<std::int64_t, Refusal>> LaneDispatcher::count(ServingPool pool, const Plan& plan,
                                                                      Deadline deadline) {
  std::string full_worker;
  while (true) {
    const auto counter = counter_of(pool, full_worker);
    if (!counter) co_return std::unexpected(counter.error());
    const std::string worker = (*counter)->route().worker_id;
    const std::shared_ptr<PromptCount> counting = (*counter)->count(plan);
    co_await counting->done.wait_until(deadline);
    // The session may be gone by now; what it said stays.
    if (!counting->prompt_tokens) {
      co_return std::unexpected(Refusal(
          Error(Code::kDeadlineExceeded, "deadline_exceeded", "Counting took longer than the request allows.")));
    }
    if (*counting->prompt_tokens) co_return **counting->prompt_tokens;
    const Error& error = counting->prompt_tokens->error();
    // Full of what other gateways sent, which nobody here can see: one other worker is asked.
    if (error.reason != kCountsFull || !full_worker.empty()) co_return std::unexpected(Refusal(error));
    full_worker = worker;
  }
}

void LaneDispatcher::pump(PoolQueue& pool) {
  while (!pool.queue.empty()) {
    const Mono now = clock_.mono();
    const std::size_t slots = slots_free(pool, now);
    // What is left may be kept for others than those who wait.
    const FairQueue::Waiting* head = slots == 0 ? nullptr : pool.queue.peek(slots);
    if (head == nullptr) break;
    const Pending& first = waiting_.at(head->ticket).second;
    if (auto unable = refuse_unable(pool, first.request)) {
      drop(pool, head->ticket, *std::move(unable));
      continue;
    }
    const auto choice = choose(pool, first, now - head->since);
    if (!choice) break;
    const auto next = pool.queue.pop(now, slots);
    TG_CHECK(next.has_value());
    auto waiting = waiting_.extract(next->ticket);
    Pending& pending = waiting.mapped().second;
    pool.metrics.queue_requests->add(-1);
    ++pool.demand.dispatches;
    WorkerSession& session = *choice->session;
    Sent sent;
    sent.session = &session;
    sent.pool = &pool;
    sent.prefix = std::move(pending.prefix);
    sent.blocks_believed = choice->blocks_believed;
    sent.tokens_believed = choice->tokens_believed;
    // Believed at once, so that the next request of the same prefix follows this one.
    if (session.holder()) routing_.prefixes->insert(*session.holder(), sent.prefix.chain);
    running_.emplace(next->ticket, std::move(sent));
    pool.health.on_start(session.number(), now);
    pending.listener->on_dispatched(session.facts());
    const Digest& salt = salts_.of(pending.request.tenant);
    session.begin(next->ticket, pending.request, as_view(salt), *pending.listener, choice->tokens_uncached);
  }
  publish_fairness(pool);
}

/// Only while a worker serves is it known what the pool can do: until then a request may wait.
std::optional<Refusal> LaneDispatcher::refuse_unable(const PoolQueue& pool, const SequenceRequest& request) const {
  const AbilitySet needs = needs_of(*request.plan);
  if (needs == AbilitySet()) return std::nullopt;
  const WorkerSession* unable = nullptr;
  for (const WorkerSession* session : pool.workers) {
    if (!session->is_serving()) continue;
    if (session->abilities().covers(needs)) return std::nullopt;
    unable = session;
  }
  if (unable == nullptr) return std::nullopt;
  Status checked = check_abilities(*request.plan, unable->abilities());
  return Refusal(std::move(checked).error());
}

void LaneDispatcher::drop(PoolQueue& pool, DispatchTicket ticket, Refusal refusal) {
  pool.queue.remove(ticket, clock_.mono());
  pool.metrics.queue_requests->add(-1);
  const auto waiting = waiting_.extract(ticket);
  waiting.mapped().second.listener->on_queue_refused(std::move(refusal));
}

/// What its workers could start now, without those that are out of the choice.
std::size_t LaneDispatcher::slots_free(const PoolQueue& pool, Mono now) const {
  PoolRoom room;
  for (const WorkerSession* session : pool.workers) {
    if (!session->can_take() || !pool.health.may_take(session->number(), now)) continue;
    room.add(session->credits(), session->places());
  }
  return room.slots(pool.queue);
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

std::vector<ServingPool> LaneDispatcher::spill_pools(const ServingPool& home,
                                                     std::span<const std::string> regions) const {
  if (routing_.spill_after == Duration::zero() || !is_full(home)) return {};
  std::vector<ServingPool> others = table_.pools_beside(home, regions);
  std::erase_if(others, [&](const ServingPool& pool) { return pool.region == home.region || is_full(pool); });
  return others;
}

/// No worker of it serves, or what waits for one would wait too long.
bool LaneDispatcher::is_full(const ServingPool& pool) const {
  const auto found = queues_.find(key_of(pool));
  if (found == queues_.end()) return true;
  const PoolQueue& queue = *found->second;
  const auto serves = [](const WorkerSession* session) { return session->is_serving(); };
  if (std::ranges::none_of(queue.workers, serves)) return true;
  if (queue.queue.empty()) return false;
  const std::optional<Duration> drain = queue.queue.drain_time();
  return !drain || *drain > routing_.spill_after;  // not known: nothing has left it yet
}

void LaneDispatcher::apply_routes(const RouteSnapshot& snapshot) {
  auto change = table_.apply(snapshot);
  if (!change) {
    metrics_.routes_refused.add();
    return;
  }
  if (routing_.traffic != nullptr) routing_.traffic->apply({table_.term(), table_.version()}, table_.shares());
  if (!change->removed.empty()) {
    std::unordered_set<std::string> routed;
    for (const Route& route : table_.routes()) routed.insert(worker_key(route));
    for (const auto& session : sessions_) {
      if (!routed.contains(worker_key(session->route()))) session->retire();
    }
  }
  for (const Route& route : change->changed) follow(route);
  for (const Route& route : change->added) follow(route);
  on_capacity();
}

/// The session that is there already, or a new one. In another pool a worker has another queue and other prices: what
/// runs on its session there is finished as it began.
void LaneDispatcher::follow(const Route& route) {
  WorkerSession* kept = nullptr;
  for (const auto& session : sessions_) {
    if (session->route().worker_id != route.worker_id || session->route().address != route.address) continue;
    if (session->has_pool_of(route)) {
      kept = session.get();
    } else {
      session->retire();
    }
  }
  if (kept != nullptr) return kept->revive(route);
  open_session(route);
}

void LaneDispatcher::open_session(const Route& route) {
  if (is_stopping_) return;
  PoolMetrics& metrics = metrics_.pool(route.model, route.region, route.pool);
  SessionOwner& owner = *this;
  sessions_.push_back(
      std::make_shared<WorkerSession>(++last_session_, options_, route, owner, metrics, clock_, log_, executor_));
  WorkerSession& session = *sessions_.back();
  queue_of(session.pool()).workers.push_back(&session);
  ++coroutines_;
  asio::co_spawn(executor_, run_session(sessions_.back()), asio::detached);
}

awaitable<void> LaneDispatcher::run_session(std::shared_ptr<WorkerSession> session) {
  co_await session->run();
  PoolQueue& pool = queue_of(session->pool());
  std::erase(pool.workers, session.get());
  pool.health.leave(session->number());
  publish_ejected(pool);
  std::erase(sessions_, session);
  --coroutines_;
  coroutine_ended_.notify();
}

void LaneDispatcher::on_capacity() {
  for (auto& [key, pool] : queues_) pump(*pool);
}

void LaneDispatcher::on_opened(WorkerSession& session) {
  queue_of(session.pool()).health.join(session.number(), clock_.mono());
  if (routing_.prefixes == nullptr) return;
  session.set_holder(
      routing_.prefixes->join(session.route().worker_id, session.route().model, session.kv_tokens_total()));
}

void LaneDispatcher::on_broken(WorkerSession& session, bool is_loss) {
  if (session.holder()) routing_.prefixes->leave(*session.holder());
  session.set_holder(std::nullopt);
  if (!is_loss) return;
  PoolQueue& pool = queue_of(session.pool());
  if (const auto ejection = pool.health.on_lost(session.number(), clock_.mono())) note_ejection(pool, *ejection);
}

void LaneDispatcher::on_heard(WorkerSession& session) {
  queue_of(session.pool()).health.on_frame(session.number(), clock_.mono());
}

void LaneDispatcher::on_accepted(DispatchTicket ticket, const TokenUsage& usage) {
  const auto found = running_.find(ticket);
  if (found == running_.end()) return;
  Sent& sent = found->second;
  sent.pool->queue.accept(ticket, usage.prompt - usage.cached, clock_.mono());
  if (!sent.session->holder()) return;
  const std::size_t dropped = routing_.prefixes->learn(*sent.session->holder(), sent.prefix, sent.blocks_believed,
                                                       usage.prompt, usage.cached);
  sent.is_forgotten = dropped > 0;
  PoolMetrics& metrics = sent.pool->metrics;
  metrics.prefix_tokens_believed->add(static_cast<double>(sent.tokens_believed));
  metrics.prefix_tokens_found->add(static_cast<double>(usage.cached));
}

void LaneDispatcher::on_output(DispatchTicket ticket) {
  const auto found = running_.find(ticket);
  if (found == running_.end()) return;
  Sent& sent = found->second;
  sent.pool->health.on_good(sent.session->number(), clock_.mono());
  publish_ejected(*sent.pool);
  // Whatever it had before: it has read the prompt now.
  if (std::exchange(sent.is_forgotten, false) && sent.session->holder()) {
    routing_.prefixes->insert(*sent.session->holder(), sent.prefix.chain);
  }
}

void LaneDispatcher::on_tokens(DispatchTicket ticket, std::int64_t completion) {
  const auto found = running_.find(ticket);
  if (found != running_.end()) found->second.pool->queue.produce(ticket, completion, clock_.mono());
}

void LaneDispatcher::on_over(DispatchTicket ticket, SequenceFate fate) {
  const auto found = running_.find(ticket);
  if (found == running_.end()) return;
  const WorkerSession& session = *found->second.session;
  PoolQueue& pool = *found->second.pool;
  const Mono now = clock_.mono();
  if (fate != SequenceFate::kLost) {  // on_broken has counted those as one
    const bool is_failure = fate == SequenceFate::kWorkerFailed;
    const auto ejection = pool.health.on_over(session.number(), is_failure, now);
    if (ejection) note_ejection(pool, *ejection);
  }
  running_.erase(found);
  pool.queue.finish(ticket, now);
  publish_fairness(pool);
}

void LaneDispatcher::note_ejection(PoolQueue& pool, const WorkerHealth::Ejection& ejection) {
  pool.metrics.ejections->add();
  publish_ejected(pool);
  const auto found = std::ranges::find_if(
      pool.workers, [&](const WorkerSession* session) { return session->number() == ejection.worker; });
  if (found == pool.workers.end()) return;
  log_.warn("worker_ejected", {kv("worker", (*found)->route().worker_id), kv("model", pool.pool.model),
                               kv("reason", eject_reason_name(ejection.reason)),
                               kv("for_ms", in_millis(ejection.lasts)), kv("thread", options_.thread)});
}

void LaneDispatcher::publish_ejected(PoolQueue& pool) {
  const std::size_t now = pool.health.ejected();
  if (now == pool.ejected_published) return;
  pool.metrics.workers_ejected->add(static_cast<double>(now) - static_cast<double>(pool.ejected_published));
  pool.ejected_published = now;
}

void LaneDispatcher::check_health() {
  const Mono now = clock_.mono();
  for (auto& [key, pool] : queues_) {
    for (const WorkerHealth::Ejection& ejection : pool->health.check_stalls(now)) note_ejection(*pool, ejection);
  }
}

LaneDispatcher::PoolQueue& LaneDispatcher::queue_of(const ServingPool& pool) {
  std::unique_ptr<PoolQueue>& slot = queues_[key_of(pool)];
  if (!slot) {
    slot = std::make_unique<PoolQueue>(pool, limits_, metrics_.pool(pool.model, pool.region, pool.pool), routing_,
                                       options_.epoch + options_.thread);
  }
  return *slot;
}

awaitable<void> LaneDispatcher::watch_expiry() {
  while (!is_stopping_) {
    Deadline next = Deadline::after(clock_.mono(), kHealthEvery);
    for (const auto& [key, pool] : queues_) {
      if (const auto at = pool->queue.next_expiry()) next = next.earlier(Deadline::at(*at));
    }
    next_look_ = next.instant();
    co_await expiry_changed_.wait_until(next);
    refuse_expired();
    check_health();
    for (const auto& session : sessions_) session->end_if_done();
    write_demand();
    on_capacity();
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
      ++pool->demand.refusals;
      Refusal refusal(Error(Code::kResourceExhausted, "queue_timeout",
                            "No worker of this model became free in time; retry after the given time."),
                      pool->queue.retry_after(expired.ask, now));
      waiting.mapped().second.listener->on_queue_refused(std::move(refusal));
    }
  }
}

/// For the scheduler, which gives a pool workers by what is asked of it.
void LaneDispatcher::write_demand() {
  if (routing_.demand == nullptr) return;
  const Mono now = clock_.mono();
  std::vector<PoolDemand> all;
  for (const auto& [key, pool] : queues_) {
    PoolDemand demand = pool->demand;
    demand.pool = pool->pool;
    demand.waiting = static_cast<std::int64_t>(pool->queue.size());
    if (const auto expiry = pool->queue.next_expiry()) demand.oldest_wait = now - (*expiry - limits_.wait_max);
    all.push_back(std::move(demand));
  }
  routing_.demand->put(options_.thread, std::move(all));
}

void LaneDispatcher::set_limits(FairQueueLimits limits) {
  limits_ = limits;
  for (auto& [key, pool] : queues_) pool->queue.set_limits(limits);
  expiry_changed_.notify();
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
