#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

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
/// Admission is first come, first served: nobody overtakes the head of the queue, however small. A sequence
/// enters only when blocks for all its tokens and the next one are free or cached, beyond one block for each sequence
/// already inside (so that it does not get thrown out at their next growth). Within a step every decoding
/// sequence gets its one token first; guesses and then prefill share the rest of the budget in order of admission. A guess
/// never costs anybody a block or a token: where there is no room it is dropped.
///
/// When a decoding sequence needs a block and none is free, the sequence admitted last leaves the batch, goes
/// to the head of the queue and is computed again later, as far as the prefix cache has lost it by then (nothing is
/// reserved for the worst case: most answers end early). The oldest sequence is never preempted, so the engine always makes
/// progress.
class Schedule {
 public:
  Schedule(ScheduleLimits limits, KvPool& pool) : limits_(limits), pool_(&pool) {}

  void add(std::unique_ptr<Sequence> sequence) { waiting_.push_back(std::move(sequence)); }
  Sequence* find(SequenceHandle handle) const;
  /// Destroys it, wherever it is; its blocks are free at once.
  void remove(SequenceHandle handle);

  /// Moves sequences from the queue into the batch; returns those that came in now, in order.
  std::vector<Sequence*> admit();
  /// Never empty while the batch is not. Every part's blocks are allocated.
  std::vector<StepPart> plan();

  std::int32_t running() const { return static_cast<std::int32_t>(running_.size()); }
  std::int32_t waiting() const { return static_cast<std::int32_t>(waiting_.size()); }
  bool empty() const { return running_.empty() && waiting_.empty(); }
  std::int64_t preemptions_total() const { return preemptions_; }
  /// Of the batch, beyond the one token that each feeds next.
  std::int64_t tokens_left() const {
    std::int64_t tokens = 0;
    for (const auto& sequence : running_) tokens += sequence->length() - sequence->computed() - 1;
    return tokens;
  }

 private:
  bool may_enter(Sequence& sequence) const;
  /// False if `sequence` itself had to leave.
  bool make_room(Sequence& sequence);
  /// How many of its guesses are fed: all of them, or none.
  static std::int32_t fit_drafts(Sequence& sequence, std::int32_t budget);

  ScheduleLimits limits_;
  KvPool* pool_;
  std::vector<std::unique_ptr<Sequence>> running_;  ///< in order of admission
  std::deque<std::unique_ptr<Sequence>> waiting_;
  std::int64_t preemptions_ = 0;
};

}  // namespace tidegate::worker
