#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
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
  /// And how long that it knows nobody, or lets nobody in: a new key, or a new role of a person, waits as long if it
  /// was tried before. Without it whoever repeats one bad token makes the directory look it up every time.
  Duration refused_for = std::chrono::seconds(1);
  std::size_t refused_max = 1'024;
};

/// Finds out who calls FleetAdmin. The operator's key of the file is known here and works whatever is down; everybody
/// else is the directory's to know. Tokens are remembered as digests; what the directory refuses has a memory of its
/// own, so that bad tokens push no good ones out, and that it was away is not remembered. Thread-safe.
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
    Result<FleetCaller> answer;
    Mono until;
  };
  using Memory = std::map<Digest, Known>;
  std::optional<Result<FleetCaller>> recall(const Digest& token) const;
  void remember(const Digest& token, const Result<FleetCaller>& answer);
  /// Under the lock. At most `most` are kept.
  static void note(Memory& memory, std::size_t most, const Digest& token, Known known, Mono now);

  const std::string operator_key_;
  CallerDirectory* const directory_;
  const Clock& clock_;
  const CallerDeskOptions options_;
  mutable std::mutex mutex_;
  Memory known_;
  Memory refused_;
};

}  // namespace tidegate::scheduler
