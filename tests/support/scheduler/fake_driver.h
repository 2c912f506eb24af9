#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/core/ports.h"

namespace tidegate::scheduler {

/// A RuntimeDriver whose replicas are entries of a map. The state is shared, as a folder would be, so that a second
/// driver finds what the first one started.
class FakeDriver final : public RuntimeDriver {
 public:
  struct State {
    std::map<std::string, ReplicaProcess> replicas;
    Term newest_term = 0;
    int starts = 0;
  };

  explicit FakeDriver(std::shared_ptr<State> state = std::make_shared<State>()) : state_(std::move(state)) {}

  /// The next start fails with this.
  void fail_next_start(Error error) { start_error_ = std::move(error); }
  State& state() { return *state_; }
  void die(const std::string& replica, std::string exit) {
    ReplicaProcess& process = state_->replicas.at(replica);
    process.alive = false;
    process.exit = std::move(exit);
  }

  Status start(const ReplicaSpec& spec, Term term) override {
    TG_TRY(enter(term));
    if (!start_error_.reason.empty()) return fail(std::exchange(start_error_, {}));
    const auto found = state_->replicas.find(spec.replica);
    if (found != state_->replicas.end() && found->second.alive) return {};
    state_->replicas[spec.replica] = {.replica = spec.replica,
                                      .deployment = spec.deployment,
                                      .spec_digest = spec.digest(),
                                      .incarnation = std::to_string(++state_->starts),
                                      .alive = true};
    return {};
  }
  Status stop(const std::string& replica, Term term) override {
    TG_TRY(enter(term));
    const auto found = state_->replicas.find(replica);
    if (found != state_->replicas.end() && found->second.alive) die(replica, "exit status 0");
    return {};
  }
  std::vector<ReplicaProcess> observe(Mono) override {
    std::vector<ReplicaProcess> all;
    for (const auto& [name, process] : state_->replicas) all.push_back(process);
    return all;
  }

 private:
  Status enter(Term term) {
    if (term < state_->newest_term) return fail(Code::kFailedPrecondition, "stale_term", "a newer term has acted");
    state_->newest_term = term;
    return {};
  }

  std::shared_ptr<State> state_;  // shared: two drivers on one state are two schedulers on one machine
  Error start_error_;
};

}  // namespace tidegate::scheduler
