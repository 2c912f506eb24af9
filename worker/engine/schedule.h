#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "worker/engine/fair_share.h"
#include "worker/engine/sequence.h"

namespace tidegate::worker {

struct ScheduleLimits {
  std::int32_t sequences_max = 16;     ///< in the batch at once
  std::int32_t step_tokens_max = 256;  ///< tokens fed per step; at least sequences_max
};

/// Tokens [sequence.computed(), + count) of one sequence, and behind them its `drafts` guesses, to be fed in this step.
struct StepPart {
  Sequence* sequence = nullptr;
  std::int32_t count = 0;
  std::int32_t drafts = 0;
};

/// Who is in the batch, who waits, and what the next step feeds. Pure: no compute, no clock, one thread.
///
/// Whose tenant was served least is admitted next (fair_share.h), among equals that of the tenant with fewer
/// sequences inside, then who came first; a tenant's own are first come, first served. Nobody overtakes the next one
/// for being small. A sequence enters only when blocks for all its tokens and the next one are free or cached, beyond
/// one block for each sequence already inside (so that it does not get thrown out at their next growth). Within a
/// step every decoding sequence gets its one token first; guesses and then prefill share the rest of the budget in
/// order of age. A guess never costs anybody a block or a token: where there is no room it is dropped.
///
/// When a decoding sequence needs a block and none is free, a younger one leaves the batch: of those the tenant
/// served most has the last one admitted; if there is none, it leaves itself. Who left comes back before anybody new,
/// at its old age, and is computed again, as far as the prefix cache has lost it by then, at nobody's charge (nothing
/// is reserved for the worst case: most answers end early). Age is the order of first admission: blocks go from
/// younger to older only and the oldest is never preempted, so the engine always makes progress, and whoever was
/// admitted finishes.
class Schedule {
 public:
  Schedule(ScheduleLimits limits, KvPool& pool) : limits_(limits), pool_(&pool) {}

  void add(std::unique_ptr<Sequence> sequence);
  Sequence* find(SequenceHandle handle) const;
  /// Destroys it, wherever it is; its blocks are free at once.
  void remove(SequenceHandle handle);

  /// Moves sequences from the queue into the batch; returns those that came in now, in order.
  std::vector<Sequence*> admit();
  /// Never empty while the batch is not. Every part's blocks are allocated.
  std::vector<StepPart> plan();

  std::int32_t running() const { return static_cast<std::int32_t>(running_.size()); }
  std::int32_t waiting() const { return static_cast<std::int32_t>(waiting_.size() + preempted_.size()); }
  bool empty() const { return running() + waiting() == 0; }
  std::int64_t preemptions_total() const { return preemptions_; }
  /// Of the batch, beyond the one token that each feeds next.
  std::int64_t tokens_left() const {
    std::int64_t tokens = 0;
    for (const Place& place : running_) tokens += place.sequence->length() - place.sequence->computed() - 1;
    return tokens;
  }

 private:
  struct Place {
    std::unique_ptr<Sequence> sequence;
    FairShare::Tenant* tenant = nullptr;  ///< of share_
    std::int64_t age = 0;                 ///< number of its first admission
    std::int32_t charged = 0;             ///< of its sampled tokens
  };

  bool may_enter(Sequence& sequence) const;
  Sequence& enter(Place place);
  /// Charges what was sampled since the last call.
  void settle();
  std::vector<Place>::iterator next_waiting();
  /// Who leaves for running_[index]; index itself if nobody is younger.
  std::size_t victim_for(std::size_t index) const;
  /// False if running_[index] itself had to leave.
  bool make_room(std::size_t index);
  /// How many of its guesses are fed: all of them, or none.
  static std::int32_t fit_drafts(Sequence& sequence, std::int32_t budget);

  ScheduleLimits limits_;
  KvPool* pool_;
  FairShare share_;
  std::vector<Place> running_;    ///< the oldest first
  std::vector<Place> preempted_;  ///< the oldest first
  std::vector<Place> waiting_;    ///< never admitted, in order of arrival
  std::int64_t admissions_ = 0;
  std::int64_t preemptions_ = 0;
};

}  // namespace tidegate::worker
