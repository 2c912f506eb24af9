#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/core/backoff.h"
#include "base/core/clock.h"
#include "base/core/result.h"
#include "scheduler/drivers/kubernetes/objects/seen_objects.h"
#include "scheduler/drivers/kubernetes/state/call_failure.h"

namespace tidegate::scheduler::kube {

/// Which term may write to the cluster. The term is given by the scheduler's lease in PostgreSQL; here it is put on
/// record in a Lease of the cluster, by compare-and-swap, before anything is written under it, and looked at again
/// every few seconds. Who finds a newer one there has been replaced, and writes nothing any more. Pure.
class TermFence {
 public:
  struct Settings {
    Duration renew_every = std::chrono::seconds(5);
    Duration retry_least = std::chrono::milliseconds(100);
    Duration retry_most = std::chrono::seconds(5);
  };
  enum class Step : std::uint8_t { kIdle, kRead, kWrite };

  TermFence(Settings settings, std::uint64_t seed)
      : settings_(settings), backoff_(settings.retry_least, settings.retry_most, seed) {}

  /// An order of that term arrived. Fails: failed_precondition/stale_term when a newer one is known.
  Status enter(Term term);

  /// Our term ended: nothing is held, and the Lease is left as it is until the next enter().
  void leave();

  /// What to do now: read the Lease, or write one that says wanted() over the version lease_version().
  Step step(Mono now) const;
  Term wanted() const { return wanted_; }
  const std::string& lease_version() const { return lease_version_; }

  void on_read(const std::optional<SeenLease>& lease, Mono now);
  /// Our Lease was written; its new version.
  void on_written(Term term, std::string lease_version, Mono now);
  void on_failed(const CallFailure& failure, Mono now);

  /// Whether wanted() is on record and, as far as we know, still the newest.
  bool is_held() const { return wanted_ != 0 && held_ == wanted_ && newest_ == wanted_; }
  bool is_stale() const { return wanted_ != 0 && newest_ > wanted_; }
  Term newest() const { return newest_; }

 private:
  Settings settings_;
  Backoff backoff_;
  Term wanted_ = 0;  ///< the newest that gave us an order
  Term newest_ = 0;  ///< of orders and of the Lease
  Term held_ = 0;    ///< that we wrote
  bool is_read_ = false;
  std::string lease_version_;  ///< empty: there is no Lease
  Mono not_before_{};
};

}  // namespace tidegate::scheduler::kube
