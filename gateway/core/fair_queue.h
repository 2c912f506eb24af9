#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/ids.h"
#include "base/core/result.h"
#include "gateway/core/api_error.h"
#include "gateway/core/overload_gate.h"
#include "gateway/core/promise_book.h"
#include "gateway/core/service_rate.h"
#include "gateway/core/service_tier.h"

namespace tidegate::gateway {

/// Names one waiting or running request; chosen by the caller, never reused.
using QueueTicket = std::uint64_t;

struct FairQueueLimits {
  Duration wait_max = std::chrono::seconds(60);
  std::size_t length_max = 4'096;
  Duration wait_target = std::chrono::seconds(2);  ///< what a standing queue is held to (overload_gate.h)
  std::int64_t input_weight = 1;                   ///< wp: work of a prompt token that no cache had
  std::int64_t output_weight = 2;                  ///< wq: work of an answer's token
};

/// A request as the queue sees it.
struct QueueAsk {
  TenantId tenant;
  std::int64_t weight = 1;                       ///< the tenant's, >= 1: twice the weight is twice the share
  ServiceTier tier = ServiceTier::kDefault;
  std::int64_t input = 0;                        ///< prompt tokens, estimated
  std::int64_t input_max = 0;                    ///< no prompt of this text is longer; at least `input`
  std::int64_t output_max = 0;
  Deadline deadline = Deadline::never();
};

/// Where a waiting request stands.
struct QueuePlace {
  std::size_t position = 1;      ///< 1 = next; in the order in which fairness will serve what waits now
  std::optional<Duration> eta;   ///< nullopt: nothing leaves, or too little was seen
};

/// How far the fairest and the least fair served tenant are apart, and how far they may be. Weighted tokens.
struct FairnessGap {
  double gap = 0;
  double bound = 0;
};

/// Requests of one model waiting for a worker. Fair between tenants by weighted virtual token counters (arXiv
/// 2401.00588): the tenant with the least counter / weight goes first, each tenant's own requests in their order. A
/// counter is charged with what a request is expected to cost when it leaves; what the workers then report (prompt
/// tokens that no cache had, answer tokens as they come) corrects it, so that a request has cost exactly
/// wp * uncached input + wq * output when it ends. A tenant that comes back from idleness is lifted to the least counter
/// among those who wait: idleness earns no credit, and nothing given back later takes it below.
///
/// Gap between the counters of two tenants that wait in one tier: at most 2 * max(wp * Lin, wq * M), where Lin is the
/// longest prompt and M the most tokens that ran at once (prompt and answer ceilings together), since the queue was last
/// idle. fairness() measures both; the proof is in docs/adr/0004-fair-queue.md.
///
/// Headroom: the last 1/16 of the slots goes to no tenant that runs far more than its share (twice that, or half of what
/// is not its share beside it) while there are others. A counter orders those who wait; it cannot give a newcomer a slot
/// that a crowd has taken for the length of its answers. Below 16 slots there is none.
///
/// Tiers share by the same counters, one level up, with the weights kTierWeights: strict order would starve. A tier that
/// waits gets at least its weight over the sum of the weights of the tiers that wait (flex 1/21, default 4/21), whatever
/// the others offer; so its first request waits for at most the bound above times the other tiers' weights over its own
/// (flex 20, default 4.25) in work of the others. A tier that has the workers to itself gets all of them.
///
/// Overload: refuse() predicts when a request would start from the work before it and the measured drain rate, and
/// refuses what would be late before it has cost anything. The prediction is the asker's own: the work that fairness
/// would serve before it. So flex is refused first, then tenants above their share, and a tenant below it last. Who was
/// told to come back and does is known by that (promise_book.h), and finds room that newcomers do not.
///
/// Bounded in time first and in length second: one tenant may fill at most 8/9 of what is free.
/// Single-threaded; every call takes the instant.
class FairQueue {
 public:
  static constexpr std::array<double, kServiceTiers> kTierWeights = {1, 4, 16};
  static constexpr std::size_t kHeadroomPart = 16;
  static constexpr std::size_t kPlaceLooks = 256;
  static constexpr std::size_t kManySlots = std::numeric_limits<std::size_t>::max() / 2;

  explicit FairQueue(FairQueueLimits limits);

  /// From the next call on, also for those that wait. The weights of tokens stay: what ran was charged with them.
  void set_limits(FairQueueLimits limits);

  struct Waiting {
    QueueTicket ticket = 0;
    QueueAsk ask;
    double cost = 0;  ///< expected; charged when it leaves
    Mono since;
    std::uint64_t order = 0;  ///< of coming: it only grows along a line
  };

  /// Why a request would not be taken now, with when to come back; asked before it costs anything.
  /// resource_exhausted/queue_full: the wait would be too long; would_be_late: longer than its own deadline.
  std::optional<Refusal> refuse(const QueueAsk& ask, Mono now);

  /// Refuses for length alone (resource_exhausted/queue_full): what refuse() let pass has a hold by now.
  /// How many waited before it.
  std::expected<std::size_t, Refusal> push(QueueTicket ticket, const QueueAsk& ask, Mono now);

  /// The next one to serve, which runs from here on. `slots_free`: how many could be served now. nullopt when empty, and
  /// when what is free is headroom and all who wait run far more than their share.
  std::optional<Waiting> pop(Mono now, std::size_t slots_free = kManySlots);
  /// What pop() would return, without serving it; null when it would return nothing.
  const Waiting* peek(std::size_t slots_free = kManySlots);
  /// False when it was not waiting (already served).
  bool remove(QueueTicket ticket, Mono now);

  // Of a request that runs; unknown tickets are ignored.
  /// The worker has counted the prompt: this much of it was not in its cache.
  void accept(QueueTicket ticket, std::int64_t uncached, Mono now);
  /// Tokens of the answer so far.
  void produce(QueueTicket ticket, std::int64_t output, Mono now);
  /// Ended, cancelled or lost: what it did not use of its expected cost goes back.
  void finish(QueueTicket ticket, Mono now);

  /// Removes and returns those that have waited wait_max or longer.
  std::vector<Waiting> take_expired(Mono now);
  /// When take_expired() will next have something; nullopt when empty.
  std::optional<Mono> next_expiry() const;
  /// When one that could not be served pays to come back.
  Duration retry_after(const QueueAsk& ask, Mono now);

  std::size_t size() const { return size_; }
  /// More than one tenant waits or runs.
  bool is_shared() const;
  bool empty() const { return size_ == 0; }

  /// nullopt when it does not wait. Exact as far as kPlaceLooks requests before it go, by the means of their lines beyond.
  std::optional<QueuePlace> place(QueueTicket ticket, Mono now);
  /// When a newcomer would start: zero when nothing waits, nullopt when nobody knows.
  std::optional<Duration> estimate(const QueueAsk& ask, Mono now);
  /// Until all that waits now has left; nullopt when nobody knows.
  std::optional<Duration> drain_time() const { return time_of(backlog()); }
  FairnessGap fairness() const;
  bool is_overloaded() const { return gate_.is_overloaded(); }

 private:
  /// A virtual token counter.
  struct Account {
    double counter = 0;  ///< weighted tokens served, over the weight
    double weight = 1;
    /// Nothing given back (`work` < 0) takes it below `lowest`.
    void charge(double work, double lowest);
  };
  struct Line {
    Account account;
    std::deque<Waiting> waiting;
    double backlog = 0;       ///< cost of what waits
    std::size_t running = 0;
    bool is_active() const { return running > 0 || !waiting.empty(); }
  };
  struct Band {
    Account account;
    std::unordered_map<Uuid, Line> lines;
    std::size_t waiting = 0;
    double backlog = 0;
    /// The highest that the least counter has been when one was served: no counter of those who wait is below.
    double virtual_time = 0;
  };
  /// A line and the tier it is in.
  struct Choice {
    std::size_t band = kServiceTiers;
    Line* line = nullptr;
  };
  struct Running {
    std::size_t band = 0;
    Uuid tenant;
    std::int64_t tokens = 0;  ///< the most it may hold: prompt and answer
    double input = 0;         ///< work charged for its prompt
    double output = 0;        ///< work charged for its answer, expected or come
    std::int64_t produced = 0;
    std::int64_t uncached = 0;
    Mono since;
  };
  struct Spot {
    std::size_t band = 0;
    Uuid tenant;
    std::uint64_t order = 0;
  };
  /// Requests that are served before another.
  struct Ahead {
    std::size_t count = 0;
    double cost = 0;
  };

  static std::deque<Waiting>::const_iterator find_waiting(const Line& line, std::uint64_t order);
  /// `looks` requests are looked at one by one, and taken off it; the rest counts by the line's mean.
  static Ahead first_of(const Line& line, std::size_t count, std::size_t& looks);
  static Ahead before_tag(const Line& line, double tag, std::size_t& looks);
  Duration remember(const QueueAsk& ask, Duration after, Mono now);
  double cost_of(const QueueAsk& ask) const;
  double backlog() const;
  double fairness_bound() const;
  double work_before(const QueueAsk& ask, double own_ahead) const;
  std::optional<Duration> time_of(double work) const;
  Refusal refusal(const char* reason, std::string message, std::optional<Duration> wait, Duration excess,
                  const QueueAsk& ask, Mono now);
  bool is_full(const QueueAsk& ask) const;
  const Line* find_line(const QueueAsk& ask) const;
  /// kServiceTiers when nothing waits.
  std::size_t least_band() const;
  const Line* least_line(const Band& band) const;
  /// Where a counter starts to wait: the least of those who do, and never below the virtual time.
  double entry_of(const Band& band) const;
  double entry_of_bands() const;
  static bool comes_before(const Line& a, const Line& b);
  Choice choose(std::size_t slots_free);
  Choice choose_near_share(std::size_t slots);
  /// Lifts both when they begin to wait.
  void join(Band& band, Line& line, double cost);
  void leave(Band& band, Line& line, double cost);
  void charge(const Running& running, double work);
  void tick(Mono now);
  void look_at_load(Mono now);
  void forget_idle();

  FairQueueLimits limits_;
  std::array<Band, kServiceTiers> bands_;  ///< by tier_index()
  double virtual_time_ = 0;  ///< of the bands
  std::unordered_map<QueueTicket, Spot> spots_;
  std::unordered_map<QueueTicket, Running> running_;
  std::size_t size_ = 0;
  std::uint64_t last_order_ = 0;

  std::int64_t input_most_ = 0;  ///< Lin
  std::int64_t running_now_ = 0;
  std::int64_t running_most_ = 0;  ///< M

  double output_usual_ = 0;             ///< tokens of an answer, as they were lately
  std::uint64_t answers_seen_ = 0;
  double prefill_seconds_per_token_ = 0;  ///< of the fastest lately: nobody is refused who could be in time. 0 = unknown
  ServiceRate rate_;
  OverloadGate gate_;
  PromiseBook promises_;
};

}  // namespace tidegate::gateway
