#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "scheduler/core/ports.h"

namespace tidegate::scheduler {

/// A CallerDirectory that knows what it was told. Thread-safe.
class FakeDirectory final : public CallerDirectory {
 public:
  void add(const std::string& token, FleetCaller caller) {
    const std::lock_guard lock(mutex_);
    callers_[token] = std::move(caller);
  }
  void remove(const std::string& token) {
    const std::lock_guard lock(mutex_);
    callers_.erase(token);
  }
  /// Nobody can be found out until it is called with false.
  void set_away(bool is_away) {
    const std::lock_guard lock(mutex_);
    is_away_ = is_away;
  }
  int asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

  Result<FleetCaller> who_is(const std::string& token, Deadline) override {
    const std::lock_guard lock(mutex_);
    ++asked_;
    if (is_away_) return fail(Code::kUnavailable, "callers_unknown", "billing is away");
    const auto found = callers_.find(token);
    if (found == callers_.end()) return fail(Code::kUnauthenticated, "bad_token", "nobody");
    return found->second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, FleetCaller> callers_;
  bool is_away_ = false;
  int asked_ = 0;
};

}  // namespace tidegate::scheduler
