#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/result.h"
#include "gateway/core/api_error.h"

namespace tidegate::gateway {

/// Names one waiting request; chosen by the caller, never reused.
using QueueTicket = std::uint64_t;

struct FairQueueLimits {
  Duration wait_max = std::chrono::seconds(60);
  std::size_t length_max = 4'096;
};

/// Requests of one model waiting for a worker, fair between tenants (virtual token counter, arXiv 2401.00588): the
/// tenant that has been served the fewest tokens goes first, each tenant's own requests in their order. A tenant that
/// comes back from idleness is lifted to the least counter among the waiting ones, so that idleness earns no credit.
/// Gap between two backlogged tenants: at most 2 x the cost of the largest request.
///
/// Bounded in time first and in length second. Single-threaded; every call takes the instant.
class FairQueue {
 public:
  explicit FairQueue(FairQueueLimits limits) : limits_(limits) {}

  /// From the next call on, also for those that wait.
  void set_limits(FairQueueLimits limits) { limits_ = limits; }

  struct Waiting {
    QueueTicket ticket = 0;
    TenantId tenant;
    std::int64_t cost = 0;  ///< charged to the tenant's counter when served; add the rest with charge()
    Mono since;
  };

  /// Position is 0-based over the whole queue, in arrival order: an upper bound, since fairness may serve it earlier.
  /// Refuses: resource_exhausted/queue_full with an estimate, when length_max wait.
  std::expected<std::size_t, Refusal> push(QueueTicket ticket, TenantId tenant, std::int64_t cost, Mono now);

  /// The next one to serve; nullopt when empty.
  std::optional<Waiting> pop(Mono now);
  /// What pop() would return, without serving it.
  const Waiting* peek() const;

  /// Puts back one that was popped but could not be placed, at the head of its tenant's line; its cost is returned.
  void restore(const Waiting& waiting);

  /// False when it was not waiting (already served).
  bool remove(QueueTicket ticket);

  /// Tokens delivered beyond the cost charged at pop (negative: fewer).
  void charge(TenantId tenant, std::int64_t tokens);

  /// Removes and returns those that have waited wait_max or longer.
  std::vector<Waiting> take_expired(Mono now);
  /// When take_expired() will next have something; nullopt when empty.
  std::optional<Mono> next_expiry() const;

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t tenants_waiting() const;

  /// Work ahead over the measured rate of leaving; at least one second, at most wait_max.
  Duration wait_estimate(Mono now) const;

 private:
  struct Line {
    std::int64_t counter = 0;
    std::deque<Waiting> waiting;
  };
  double rate_at(Mono now) const;
  Line* least_line();
  const Line* least_line() const;
  void lift(Line& line) const;
  void forget_idle();

  FairQueueLimits limits_;
  std::unordered_map<Uuid, Line> lines_;
  std::size_t size_ = 0;
  /// The counter of the last served tenant: where a newcomer starts when nobody waits.
  std::int64_t virtual_time_ = 0;
  double leaving_per_second_ = 0;
  Mono last_pop_{};
};

}  // namespace tidegate::gateway
