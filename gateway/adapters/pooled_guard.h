#pragma once

#include <cstddef>
#include <utility>

#include "base/rpc/work_pool.h"
#include "gateway/guard/guard.h"
#include "gateway/guard/rule_book.h"

namespace tidegate::gateway {

/// The built-in rules for a process whose threads serve many requests each: short texts are judged where they are, at
/// once, and long ones on `pool`, so that nobody's stream waits while somebody's prompt of megabytes is read.
/// Fails: resource_exhausted/guard_busy, when the pool's queue is full; cancelled/guard_given_up.
class PooledGuard final : public Guard {
 public:
  /// Of all texts of a check: below it, judging takes less than handing over would be worth.
  static constexpr std::size_t kHereBytesMax = 32 * 1024;

  /// `pool` outlives every check; it is stopped before the executors of its callers end.
  PooledGuard(RuleBook book, rpc::WorkPool& pool) : book_(std::move(book)), pool_(pool) {}
  awaitable<Result<GuardVerdict>> check(const GuardCheck& check) override;
  bool reads_answers(const GuardSubject& subject) const override {
    return book_.reads(subject, GuardDirection::kOutput);
  }
  bool asks_elsewhere() const override { return false; }

 private:
  const RuleBook book_;
  rpc::WorkPool& pool_;
};

}  // namespace tidegate::gateway
