#pragma once

#include <cstdint>
#include <map>

#include "base/core/clock.h"

namespace tidegate::gateway {

/// What stands before a new prompt at one worker, as one lane knows it: the worker's last report, and what this lane
/// has sent since. The report of a busy moment ages as the worker works; a start counts from the moment it is decided,
/// so that two decisions in a row never see the same idle worker.
class WorkerLoad {
 public:
  /// As the worker tells in each frame.
  struct Report {
    std::int64_t tokens_queued = 0;      ///< prompts that wait for a place in the batch
    std::int64_t tokens_prefilling = 0;  ///< of prompts in the batch: not computed yet
    std::int32_t sequences_running = 0;
    std::uint64_t starts_seen = 0;       ///< starts of this session that the report includes; 0: it does not say
  };

  /// A new session: nothing was reported, nothing was sent. What was sent in all stays.
  void reset();
  void report(const Report& report, Mono now);
  /// A prompt of which so many tokens must be computed leaves for the worker. Returns the start's number in this
  /// session, from 1.
  std::uint64_t reserve(std::int64_t tokens);
  /// The worker has said something of this start, or it was cancelled: reports speak for it from here on. Again, or
  /// after a report that had seen it: nothing.
  void release(std::uint64_t start);

  /// Tokens to compute before a new prompt's first, at a worker that computes `prefill_rate` (> 0) a second.
  std::int64_t tokens_ahead(Mono now, double prefill_rate) const;
  std::int32_t sequences() const { return report_.sequences_running + static_cast<std::int32_t>(reserved_.size()); }
  /// Starts of this session.
  std::uint64_t starts() const { return starts_; }
  /// Sent over all sessions: breaks ties between workers that are alike.
  std::int64_t tokens_lifetime() const { return tokens_lifetime_; }

 private:
  Report report_;
  Mono reported_at_{};
  std::uint64_t starts_ = 0;
  std::map<std::uint64_t, std::int64_t> reserved_;  ///< by start: not in any report yet
  std::int64_t tokens_reserved_ = 0;
  std::int64_t tokens_lifetime_ = 0;
};

/// How fast a worker reads prompts. It says so itself, or it is measured from what it took to the first token.
class PrefillPace {
 public:
  /// 0: the worker does not know.
  void told(double tokens_per_second) { told_ = tokens_per_second; }
  /// So many tokens stood before the first token of an answer. Short prompts measure the network and are ignored.
  void observe(std::int64_t tokens, Duration took);
  double tokens_per_second() const;

 private:
  double told_ = 0;
  double measured_ = 0;
};

}  // namespace tidegate::gateway
