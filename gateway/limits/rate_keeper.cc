#include "gateway/limits/rate_keeper.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <utility>

#include "base/net/timer.h"

namespace tidegate::gateway {
namespace {

RateLimiterOptions options_of(const RateKeeperConfig& config, const RateKeeperParts& parts) {
  RateLimiterOptions options;
  options.gateways = config.gateways;
  options.has_store = parts.redis != nullptr;
  options.seed = std::hash<std::string>()(config.gateway_id) + config.epoch;
  return options;
}

/// Whether a failed call certainly changed nothing in Redis.
bool is_unsent(const Error& error) { return error.reason == "redis_down" || error.reason == "redis_full"; }

}  // namespace

class RateKeeper::Permit final : public RatePermit {
 public:
  Permit(std::shared_ptr<RateKeeper> keeper, RateHold hold) : keeper_(std::move(keeper)), hold_(std::move(hold)) {}
  ~Permit() override {
    keeper_->feed([this](RateLimiter& limiter, Mono now) { limiter.release(hold_, now); });
  }
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;

  void shrink(std::int64_t tokens_max) override {
    keeper_->feed([this, tokens_max](RateLimiter& limiter, Mono) { limiter.shrink(hold_, tokens_max); });
  }
  void settle(std::int64_t tokens) override {
    keeper_->feed([this, tokens](RateLimiter& limiter, Mono) { limiter.settle(hold_, tokens); });
  }

 private:
  std::shared_ptr<RateKeeper> keeper_;  // shared: a request may outlast the gateway's other parts by its last steps
  RateHold hold_;
};

RateKeeper::RateKeeper(RateKeeperConfig config, RateKeeperParts parts)
    : config_(std::move(config)),
      parts_(std::move(parts)),
      news_(parts_.executor),
      waits_(parts_.executor),
      loop_ended_(parts_.executor),
      limiter_(options_of(config_, parts_), parts_.clock.wall(), parts_.clock.mono()) {
  if (parts_.redis != nullptr) script_.emplace(*parts_.redis, config_.gateway_id, config_.epoch);
  parts_.metrics.is_static.set(1);
  parts_.metrics.gateways.set(static_cast<double>(limiter_.gateways()));
}

template <typename Event>
void RateKeeper::feed(Event event) {
  bool has_news = false;
  {
    const std::lock_guard lock(mutex_);
    event(limiter_, parts_.clock.mono());
    has_news = limiter_.has_news();
  }
  if (has_news) news_.notify();
}

template <typename Loop>
void RateKeeper::spawn(Loop loop) {
  ++loops_;
  auto run = [](std::shared_ptr<RateKeeper> self, Loop inner) -> awaitable<void> {
    co_await inner(*self);
    --self->loops_;
    self->loop_ended_.notify();
  };
  asio::co_spawn(parts_.executor, run(shared_from_this(), std::move(loop)), abort_on_throw);
}

void RateKeeper::start() {
  if (!script_) {
    parts_.log.warn("limits_static", {kv("why", "no redis.address"), kv("gateways", config_.gateways)});
    return;
  }
  auto begin_all = [self = shared_from_this()] {
    self->spawn([](RateKeeper& keeper) { return keeper.talk(); });
    self->spawn([](RateKeeper& keeper) { return keeper.watch_waits(); });
  };
  asio::post(parts_.executor, std::move(begin_all));
}

awaitable<void> RateKeeper::stop() {
  is_stopping_ = true;
  std::vector<Woken> woken;
  {
    const std::lock_guard lock(mutex_);
    woken = take_woken(limiter_.close(parts_.clock.mono()));
  }
  wake(std::move(woken));
  news_.notify();
  waits_.notify();
  while (loops_ > 0) co_await loop_ended_.wait();
}

awaitable<void> RateKeeper::talk() {
  while (!is_stopping_) {
    const Mono now = parts_.clock.mono();
    std::optional<RateCall> call;
    Mono until;
    bool is_shared = false;
    std::int64_t gateways = 1;
    {
      const std::lock_guard lock(mutex_);
      call = limiter_.next_call(now);
      until = limiter_.next_wake();
      is_shared = limiter_.is_shared();
      gateways = limiter_.gateways();
    }
    if (is_shared) note_mode(is_shared, gateways, "");
    if (!call) {
      co_await news_.wait_until(Deadline::at(until));
      continue;
    }
    // A Redis slower than this is as good as none: whoever waits must be answered.
    auto sending = script_->send(*std::move(call), Deadline::after(now, config_.wait_max / 2));
    const Result<RateReply> reply = co_await std::move(sending);
    note_answer(reply);
  }
}

void RateKeeper::note_answer(const Result<RateReply>& reply) {
  std::vector<Woken> woken;
  bool is_shared = false;
  std::int64_t gateways = 1;
  std::size_t limits = 0;
  {
    const std::lock_guard lock(mutex_);
    const Mono now = parts_.clock.mono();
    woken = take_woken(reply ? limiter_.on_reply(*reply, now) : limiter_.on_failure(is_unsent(reply.error()), now));
    is_shared = limiter_.is_shared();
    gateways = limiter_.gateways();
    limits = limiter_.limits_known();
  }
  wake(std::move(woken));
  RateMetrics& metrics = parts_.metrics;
  (reply ? metrics.calls : metrics.calls_failed).add();
  metrics.gateways.set(static_cast<double>(gateways));
  metrics.limits.set(static_cast<double>(limits));
  note_mode(is_shared, gateways, reply ? std::string() : reply.error().to_string());
}

void RateKeeper::note_mode(bool is_shared, std::int64_t gateways, const std::string& why) {
  if (is_stopping_ || is_shared == was_shared_) return;
  was_shared_ = is_shared;
  parts_.metrics.is_static.set(is_shared ? 0 : 1);
  if (is_shared) {
    parts_.log.info("limits_shared", {kv("gateways", gateways)});
  } else {
    parts_.log.warn("limits_static", {kv("why", why), kv("gateways", gateways)});
  }
}

awaitable<void> RateKeeper::watch_waits() {
  while (!is_stopping_) {
    Mono first;
    {
      const std::lock_guard lock(mutex_);
      first = limiter_.next_give_up();
    }
    co_await waits_.wait_until(Deadline::at(first));
    std::vector<Woken> woken;
    {
      const std::lock_guard lock(mutex_);
      woken = take_woken(limiter_.expire(parts_.clock.mono()));
    }
    wake(std::move(woken));
  }
}

std::vector<RateKeeper::Woken> RateKeeper::take_woken(std::vector<RateLimiter::Wake> wakes) {
  std::vector<Woken> out;
  out.reserve(wakes.size());
  for (auto& [ticket, decision] : wakes) {
    auto found = resumes_.extract(ticket);
    if (found) out.push_back(Woken{std::move(found.mapped()), std::move(decision)});
  }
  return out;
}

void RateKeeper::wake(std::vector<Woken> woken) {
  for (Woken& one : woken) one.resume(std::move(one.decision));
}

RateDemand RateKeeper::demand_of(const RateRequest& request) const {
  RateDemand demand;
  demand.rules = parts_.rules();
  const Principal& who = *request.principal;
  demand.rules->find(who.tenant, who.project, who.key, request.model, demand.binding);
  demand.tokens = std::max<std::int64_t>(request.tokens_max, 1);
  return demand;
}

void RateKeeper::wait(RateDemand demand, Mono began, Resume<RateDecision> resume) {
  std::optional<RateDecision> decided;
  {
    const std::lock_guard lock(mutex_);
    const RateTicket ticket = next_ticket_++;
    RateDecision decision =
        limiter_.admit_or_wait(ticket, std::move(demand), began + config_.wait_max, parts_.clock.mono());
    if (decision.verdict == RateVerdict::kShort) {
      resumes_.emplace(ticket, std::move(resume));
    } else {
      decided = std::move(decision);
    }
  }
  if (decided) {
    resume(*std::move(decided));
    return;
  }
  news_.notify();
  waits_.notify();
}

awaitable<RateAdmission> RateKeeper::admit(RateRequest request) {
  RateAdmission out;
  RateDemand demand = demand_of(request);
  if (demand.binding.empty()) co_return out;
  const Mono began = parts_.clock.mono();
  RateDecision decision;
  feed([&](RateLimiter& limiter, Mono now) { decision = limiter.admit(demand, now); });
  if (decision.verdict == RateVerdict::kShort) {
    auto start = [this, &demand, began](Resume<RateDecision> resume) {
      wait(std::move(demand), began, std::move(resume));
    };
    auto cancel = [] {};
    auto waiting = suspend<RateDecision>(std::move(start), std::move(cancel));
    decision = co_await std::move(waiting);
    const std::chrono::duration<double> waited = parts_.clock.mono() - began;
    parts_.metrics.wait_seconds.observe(waited.count());
  }
  out.status = decision.status;
  if (decision.verdict == RateVerdict::kRefused) {
    parts_.metrics.refused(decision.refused_by).add();
    out.refused = std::move(decision.refusal);
  } else {
    parts_.metrics.admitted.add();
    out.permit = std::make_unique<Permit>(shared_from_this(), std::move(decision.hold));
  }
  co_return out;
}

bool RateKeeper::is_shared() const {
  const std::lock_guard lock(mutex_);
  return limiter_.is_shared();
}

std::int64_t RateKeeper::gateways() const {
  const std::lock_guard lock(mutex_);
  return limiter_.gateways();
}

}  // namespace tidegate::gateway
