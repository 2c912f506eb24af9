#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "base/core/check.h"
#include "gateway/dispatch/dispatcher.h"

namespace tidegate::gateway::test {

/// Lets a test play the workers. submit() and leave() come from the lane; the lists may be read from any thread, the
/// listeners are called on the lane only.
class FakeDispatcher final : public Dispatcher {
 public:
  struct Submitted {
    DispatchTicket ticket = 0;
    RequestId request;
    TenantId tenant;
    Plan plan;
    std::int32_t max_tokens = 0;
    SequenceListener* listener = nullptr;  ///< null once it left
    std::string avoid_worker;
    ServingPool pool;
    ServiceTier tier = ServiceTier::kDefault;
    std::int64_t weight = 1;
    Deadline deadline = Deadline::never();
  };

  explicit FakeDispatcher(const std::vector<std::string>& models = {"tang-moe"}) : routes_("local") {
    RouteSnapshot snapshot;
    snapshot.term = 1;
    snapshot.version = 1;
    snapshot.models = models;
    for (const std::string& model : models) {
      Route route;
      route.worker_id = "worker-" + model;
      route.address = "unix:/nowhere";
      route.model = model;
      route.region = "local";
      route.pool = "cpu";
      route.context_max = 4'096;
      snapshot.routes.push_back(route);
    }
    TG_CHECK(routes_.apply(snapshot).has_value());
  }

  void refuse_next_submit(Refusal refusal) {
    const std::lock_guard lock(mutex_);
    refusal_ = std::move(refusal);
  }

  /// Every refuse() from here on; nullopt = none.
  void refuse_all(std::optional<Refusal> refusal) {
    const std::lock_guard lock(mutex_);
    refusal_of_all_ = std::move(refusal);
  }
  /// Where everything that waits stands.
  void set_place(std::optional<QueuePlace> where) {
    const std::lock_guard lock(mutex_);
    place_ = where;
  }

  std::optional<Refusal> refuse(const SequenceRequest& request) override {
    const std::lock_guard lock(mutex_);
    asked_.push_back({0, request.request, request.tenant, {}, request.max_tokens, nullptr, request.avoid_worker,
                      request.pool, request.tier, request.weight, request.deadline});
    return refusal_of_all_;
  }
  std::optional<QueuePlace> place(DispatchTicket) override {
    const std::lock_guard lock(mutex_);
    return place_;
  }
  std::expected<DispatchTicket, Refusal> submit(const SequenceRequest& request, SequenceListener& listener) override {
    const std::lock_guard lock(mutex_);
    if (refusal_) return std::unexpected(*std::exchange(refusal_, std::nullopt));
    const DispatchTicket ticket = submitted_.size() + 1;
    submitted_.push_back({ticket, request.request, request.tenant, *request.plan, request.max_tokens, &listener,
                          request.avoid_worker, request.pool, request.tier, request.weight, request.deadline});
    return ticket;
  }
  void leave(DispatchTicket ticket) override {
    const std::lock_guard lock(mutex_);
    submitted_.at(ticket - 1).listener = nullptr;
    left_.push_back(ticket);
  }
  /// What the next count() says.
  void count_next(std::expected<std::int64_t, Refusal> tokens) {
    const std::lock_guard lock(mutex_);
    count_ = std::move(tokens);
  }
  std::vector<Plan> counted() const {
    const std::lock_guard lock(mutex_);
    return counted_;
  }
  awaitable<std::expected<std::int64_t, Refusal>> count(ServingPool, const Plan& plan, Deadline) override {
    const std::lock_guard lock(mutex_);
    counted_.push_back(plan);
    co_return count_;
  }
  const RouteTable& routes() const override { return routes_; }
  std::vector<ServingPool> spill_pools(const ServingPool&, std::span<const std::string>) const override {
    const std::lock_guard lock(mutex_);
    return spill_pools_;
  }
  /// Home is full from here on, and these are not.
  void offer_spill(std::vector<ServingPool> pools) {
    const std::lock_guard lock(mutex_);
    spill_pools_ = std::move(pools);
  }
  RouteTable& mutable_routes() { return routes_; }

  std::size_t submitted_count() const {
    const std::lock_guard lock(mutex_);
    return submitted_.size();
  }
  Submitted submitted(std::size_t i) const {
    const std::lock_guard lock(mutex_);
    return submitted_.at(i);
  }
  /// What refuse() was asked about, without the plan.
  Submitted asked(std::size_t i) const {
    const std::lock_guard lock(mutex_);
    return asked_.at(i);
  }
  std::vector<DispatchTicket> left() const {
    const std::lock_guard lock(mutex_);
    return left_;
  }
  bool has_left(DispatchTicket ticket) const { return std::ranges::count(left(), ticket) > 0; }

 private:
  mutable std::mutex mutex_;
  RouteTable routes_;
  std::vector<Submitted> submitted_;
  std::vector<Submitted> asked_;
  std::optional<Refusal> refusal_of_all_;
  std::optional<QueuePlace> place_;
  std::vector<DispatchTicket> left_;
  std::optional<Refusal> refusal_;
  std::vector<ServingPool> spill_pools_;
  std::expected<std::int64_t, Refusal> count_ = 7;
  std::vector<Plan> counted_;
};

/// Events a worker would send.
inline WorkerFacts fake_worker() { return {"worker-1", "fp8", "sha256:0123456789abcdef0123", "sim"}; }
inline SequenceDelta accepted_delta(std::int64_t prompt, std::int64_t cached = 0) {
  SequenceDelta delta;
  delta.accepted = true;
  delta.usage = {.prompt = prompt, .cached = cached};
  return delta;
}
inline SequenceDelta text_delta(std::string reasoning, std::string content, TokenUsage usage) {
  SequenceDelta delta;
  delta.reasoning = std::move(reasoning);
  delta.content = std::move(content);
  delta.usage = usage;
  return delta;
}
inline SequenceDelta end_delta(SequenceEnd end, TokenUsage usage, std::string content = {}) {
  SequenceDelta delta = text_delta({}, std::move(content), usage);
  delta.end = end;
  return delta;
}

}  // namespace tidegate::gateway::test
