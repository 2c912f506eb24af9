#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/core/clock.h"
#include "gateway/ports.h"

namespace tidegate::gateway::test {

/// What all gateways share: names in memory, by a clock. One thread; several FakeIdempotencyStores are several
/// gateways.
struct SharedNames {
  struct Held {
    IdempotencyEntry entry;
    Wall lease_ends;
    Wall forgotten;
  };
  std::map<std::string, Held> held;
};

/// IdempotencyStore as Redis does it; tests/integration/gateway_idempotency holds it against the real one.
class FakeIdempotencyStore final : public IdempotencyStore {
 public:
  static constexpr Duration kLease = std::chrono::seconds(20);
  static constexpr Duration kTimeToLive = std::chrono::hours(24);

  FakeIdempotencyStore(SharedNames& names, const Clock& clock, Duration lease = kLease,
                       Duration time_to_live = kTimeToLive)
      : names_(names), clock_(clock), lease_(lease), time_to_live_(time_to_live) {}

  /// The next calls of that kind fail; nothing is done. "claim" | "renew" | "commit" | "finish" | "release".
  void fail_next(const std::string& call, int times = 1) { failures_[call] += times; }
  /// The next claim is taken, but its answer does not arrive.
  void lose_claim_answer() { is_claim_answer_lost_ = true; }
  void set_down(bool is_down) { is_down_ = is_down; }
  int calls(const std::string& call) const {
    const auto found = calls_.find(call);
    return found == calls_.end() ? 0 : found->second;
  }

  awaitable<Result<std::optional<IdempotencyEntry>>> claim(std::string name, std::string digest,
                                                           std::string owner) override {
    if (!answers("claim")) co_return fail(idempotency_unavailable());
    const Wall now = clock_.wall();
    if (const auto found = names_.held.find(name); found != names_.held.end() && now < found->second.forgotten) {
      IdempotencyEntry entry = found->second.entry;
      const bool is_open = entry.state == AnswerState::kRunning || entry.state == AnswerState::kCommitted;
      entry.lease_left =
          is_open && now < found->second.lease_ends ? Duration(found->second.lease_ends - now) : Duration::zero();
      const bool is_lapsed =
          entry.state == AnswerState::kRunning && entry.lease_left == Duration::zero() && entry.digest == digest;
      if (!is_lapsed) co_return std::optional<IdempotencyEntry>(std::move(entry));
    }
    SharedNames::Held& held = names_.held[name];
    held = {};
    held.entry.digest = std::move(digest);
    held.entry.request_id = std::move(owner);
    held.lease_ends = now + micros(lease_);
    held.forgotten = now + micros(time_to_live_);
    if (std::exchange(is_claim_answer_lost_, false)) co_return fail(idempotency_unavailable());
    co_return std::nullopt;
  }
  awaitable<Status> renew(std::string name, std::string owner) override {
    if (!answers("renew")) co_return fail(idempotency_unavailable());
    co_return step(name, owner, [&](SharedNames::Held& held) { held.lease_ends = clock_.wall() + micros(lease_); });
  }
  awaitable<Status> commit(std::string name, std::string owner) override {
    if (!answers("commit")) co_return fail(idempotency_unavailable());
    co_return step(name, owner, [&](SharedNames::Held& held) {
      held.entry.state = AnswerState::kCommitted;
      held.lease_ends = clock_.wall() + micros(lease_);
    });
  }
  awaitable<Status> finish(std::string name, std::string owner, AnswerState state, std::string answer) override {
    if (!answers("finish")) co_return fail(idempotency_unavailable());
    co_return step(name, owner, [&](SharedNames::Held& held) {
      held.entry.state = state;
      held.entry.answer = std::move(answer);
      held.forgotten = clock_.wall() + micros(time_to_live_);
    });
  }
  awaitable<Status> release(std::string name, std::string owner) override {
    if (!answers("release")) co_return fail(idempotency_unavailable());
    Status released = step(name, owner, [](SharedNames::Held&) {});
    if (released) names_.held.erase(name);
    co_return released;
  }

 private:
  static std::chrono::microseconds micros(Duration span) {
    return std::chrono::duration_cast<std::chrono::microseconds>(span);
  }
  bool answers(const std::string& call) {
    ++calls_[call];
    int& failing = failures_[call];
    if (is_down_) return false;
    if (failing == 0) return true;
    --failing;
    return false;
  }
  template <typename Change>
  Status step(const std::string& name, const std::string& owner, Change change) {
    const auto found = names_.held.find(name);
    const bool is_known = found != names_.held.end() && clock_.wall() < found->second.forgotten;
    const bool is_open = is_known && (found->second.entry.state == AnswerState::kRunning ||
                                      found->second.entry.state == AnswerState::kCommitted);
    if (!is_open || found->second.entry.request_id != owner) {
      return fail(Code::kAborted, "claim_lost", "another request holds this Idempotency-Key by now; send a new one",
                  kIdempotencyHeader);
    }
    change(found->second);
    return {};
  }

  SharedNames& names_;
  const Clock& clock_;
  const Duration lease_;
  const Duration time_to_live_;
  bool is_down_ = false;
  bool is_claim_answer_lost_ = false;
  std::map<std::string, int> failures_;
  std::map<std::string, int> calls_;
};

}  // namespace tidegate::gateway::test
