#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "base/core/backoff.h"
#include "gateway/core/api_error.h"
#include "gateway/core/rate_clock.h"
#include "gateway/core/rate_share.h"
#include "gateway/core/rate_slots.h"

namespace tidegate::gateway {

/// What a request wants of the limits that bind it.
struct RateDemand {
  // shared_ptr: a waiting request keeps the rules it came under while newer ones are published.
  std::shared_ptr<const RateRules> rules;
  std::vector<const RateRule*> binding;
  std::int64_t tokens = 0;  ///< bound on what it may use, > 0
};

/// What an admitted request has taken.
struct RateHold {
  struct Taken {
    RateKey key;
    std::int64_t window = 0;
    std::int64_t amount = 0;
  };
  std::vector<Taken> taken;
};

enum class RateVerdict : std::uint8_t { kAdmitted, kRefused, kShort };

struct RateDecision {
  RateVerdict verdict = RateVerdict::kShort;
  RateHold hold;                                     ///< kAdmitted
  Refusal refusal;                                   ///< kRefused: resource_exhausted/rate_limit_exceeded
  RateMeter refused_by = RateMeter::kRequests;       ///< kRefused
  RateStatus status;                                 ///< not for kShort
};

/// Names one waiting request; chosen by the caller, never reused.
using RateTicket = std::uint64_t;

/// One atomic step in Redis.
struct RateCall {
  bool is_beat = false;  ///< also says that this gateway lives
  std::vector<RateAsk> asks;
};
struct RateReply {
  std::int64_t server_ms = 0;
  std::int64_t gateways = 0;          ///< that said lately that they live
  std::vector<RateAnswer> answers;    ///< one for each ask
};

struct RateLimiterOptions {
  /// Gateways that share the limits, until Redis has told how many there are; the larger number counts.
  std::int64_t gateways = 1;
  /// False: there is no Redis. Every gateway keeps to its static part for ever.
  bool has_store = true;
  std::size_t waiters_max = 4'096;
  std::size_t asks_max = 256;  ///< per call
  std::uint64_t seed = 1;      ///< of the jitter between attempts to reach Redis
};

/// Requests and tokens a minute, tokens a day and requests at once, of tenants, projects and keys, over all gateways.
/// Each gateway takes small shares of every limit from Redis and decides by them alone; a request waits for Redis only
/// when a share is used up. Pure: (state, event, now) -> (state, what to do). One thread.
///
/// - A request takes from all limits that bind it or from none, here and in Redis.
/// - One call at a time; what gathers meanwhile travels together with the next.
/// - While calls fail nobody waits: decisions are made by static parts (limit / gateways), and Redis is tried again in the
///   background until it answers in time. Then every gateway first tells what it admitted meanwhile, and shares again when
///   all have had the time to. Never without a limit.
class RateLimiter {
 public:
  /// `wall` and `now` are the same instant.
  RateLimiter(RateLimiterOptions options, Wall wall, Mono now);

  /// Decides by what is here. kShort: Redis may have more.
  RateDecision admit(const RateDemand& demand, Mono now);
  /// The same, but a request that is short waits under its ticket: for on_reply(), on_failure(), expire() or close(), one
  /// of which decides. kShort then means: it waits.
  RateDecision admit_or_wait(RateTicket ticket, RateDemand demand, Mono give_up, Mono now);

  using Wake = std::pair<RateTicket, RateDecision>;
  /// Decides by static parts what has waited until its give_up.
  std::vector<Wake> expire(Mono now);
  /// Mono::max() when nobody waits.
  Mono next_give_up() const;
  /// Decides what waits, and everything from now on, by static parts: nobody performs calls any more.
  std::vector<Wake> close(Mono now);

  /// The bound on the tokens of an admitted request is known better: what it holds shrinks, never grows.
  void shrink(RateHold& hold, std::int64_t tokens);
  /// The tokens it really used. Once.
  void settle(RateHold& hold, std::int64_t tokens);
  /// The request has ended: frees its slots. Again: nothing.
  void release(RateHold& hold, Mono now);

  /// What to ask Redis now; nullopt when nothing, or while a call is under way. Ends with on_reply or on_failure.
  std::optional<RateCall> next_call(Mono now);
  /// When next_call() may have something without any event in between.
  Mono next_wake() const;
  /// True when next_call() has something to say at once.
  bool has_news() const { return fleet_.is_shared && !call_ && (!waiting_.empty() || !dirty_.empty()); }
  /// `reply.answers` has one entry for each ask of the call.
  std::vector<Wake> on_reply(const RateReply& reply, Mono now);
  /// `is_unsent`: certainly nothing happened at the server.
  std::vector<Wake> on_failure(bool is_unsent, Mono now);

  /// Limits are shared; false: by static parts.
  bool is_shared() const { return fleet_.is_shared; }
  std::int64_t gateways() const { return fleet_.gateways; }
  std::size_t limits_known() const { return limits_.size(); }

 private:
  enum class Link : std::uint8_t { kAway, kReturning, kShared };
  using Limit = std::variant<RateShare, RateSlots>;
  struct Part {
    RateKey key;
    const RateRule* rule = nullptr;
    Limit* limit = nullptr;
    std::int64_t need = 0;
    bool is_short = false;
  };
  struct Waiting {
    RateTicket ticket = 0;
    RateDemand demand;
    Mono give_up;
  };
  struct UnderWay {
    std::vector<RateKey> keys;
    Mono sent;
  };
  using AskPlaces = std::unordered_map<RateKey, std::size_t>;

  RateDecision decide(const RateDemand& demand, const RateFleet& fleet, Mono now);
  /// Fills parts_ with every limit that binds and what is needed of it.
  void look_up(const RateDemand& demand, const RateFleet& fleet, Mono now);
  RateStatus status_of(const RateFleet& fleet, Mono now) const;
  RateDecision refuse(const Part& part, const RateFleet& fleet, Mono now) const;
  std::vector<Wake> resolve(Mono now);
  void add_waiting(RateCall& call, AskPlaces& places, Mono now);
  void add_ask(RateCall& call, const RateKey& key, Limit& limit, std::int64_t need, std::size_t group, Mono now);
  void look_after_all(RateCall& call, Mono now);
  void set_link(Link link);
  RateFleet alone() const { return {.is_shared = false, .gateways = fleet_.gateways}; }

  const RateLimiterOptions options_;
  RateClock clock_;
  RateFleet fleet_;
  Backoff backoff_;
  Link link_ = Link::kAway;
  Mono probe_at_;   ///< kAway: when to try again
  Mono shared_at_;  ///< kReturning: when everybody has told
  Mono beat_at_;
  bool is_fresh_ = true;  ///< never shared, and nothing was admitted without: there is nothing to tell
  bool is_closed_ = false;
  std::unordered_map<RateKey, Limit> limits_;
  std::unordered_set<RateKey> dirty_;  ///< want to fill up or to give back
  std::deque<Waiting> waiting_;
  std::optional<UnderWay> call_;
  std::vector<Part> parts_;  ///< of the decision in the making; kept for its memory
};

}  // namespace tidegate::gateway
