#pragma once

#include <utility>

#include "gateway/guard/guard.h"
#include "gateway/guard/rule_book.h"

namespace tidegate::gateway {

/// The built-in guard: a rule book, judged on the caller's thread. Never waits, never fails. For tools and tests: a gateway's
/// threads have other requests to serve (adapters/pooled_guard.h).
class RuleGuard final : public Guard {
 public:
  explicit RuleGuard(RuleBook book) : book_(std::move(book)) {}
  awaitable<Result<GuardVerdict>> check(const GuardCheck& check) override { co_return book_.judge(check); }
  bool reads_answers(const GuardSubject& subject) const override {
    return book_.reads(subject, GuardDirection::kOutput);
  }
  bool asks_elsewhere() const override { return false; }
  const RuleBook& book() const { return book_; }

 private:
  const RuleBook book_;
};

}  // namespace tidegate::gateway
