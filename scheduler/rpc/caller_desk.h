#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "base/core/clock.h"
#include "base/crypto/sha256.h"
#include "scheduler/core/ports.h"

namespace tidegate::scheduler {

struct CallerDeskOptions {
  /// How long an answer of the directory is good for: a revoked key works as long here.
  Duration remembered_for = std::chrono::seconds(5);
  std::size_t remembered_max = 1'024;
};

/// Finds out who calls FleetAdmin. The operator's key of the file is known here and works whatever is down; everybody
/// else is the directory's to know. Tokens are remembered as digests, good answers only. Thread-safe.
class CallerDesk {
 public:
  /// `directory` null: only the operator's key calls. References outlive the desk.
  CallerDesk(std::string operator_key, CallerDirectory* directory, const Clock& clock,
             const CallerDeskOptions& options = {})
      : operator_key_(std::move(operator_key)), directory_(directory), clock_(clock), options_(options) {}

  /// What is refused without asking anybody. Fails: unauthenticated/missing_token, unauthenticated/bad_token.
  Status check_shape(const std::string& token) const;
  /// May block. Fails: unauthenticated/bad_token, and as the directory does.
  Result<FleetCaller> find(const std::string& token, Deadline deadline);

 private:
  struct Known {
    FleetCaller caller;
    Mono until;
  };
  void remember(const Digest& token, const FleetCaller& caller, Mono now);

  const std::string operator_key_;
  CallerDirectory* const directory_;
  const Clock& clock_;
  const CallerDeskOptions options_;
  std::mutex mutex_;
  std::map<Digest, Known> known_;
};

}  // namespace tidegate::scheduler
