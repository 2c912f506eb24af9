#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/core/clock.h"
#include "base/core/random.h"

namespace tidegate::gateway {

struct PickerOptions {
  /// What a token costs that must be computed although another worker has it cached: its time, and the room that a
  /// second copy takes in a cache. 2 found most cached tokens at no cost in waiting (bench/gateway).
  double recompute_weight = 2;
  /// Less than this share of a prompt in a cache is as good as nothing: a greeting that all prompts begin with would
  /// else draw every idle moment's requests, and with them their caches' room, to one worker.
  double cached_share_least = 0.05;
  /// A running sequence slows a prompt down by about this many tokens.
  double decode_tokens = 16;
  /// Up to so many workers all are compared; of more, `sample` drawn at random and those that hold the prompt.
  std::size_t scan_max = 64;
  std::size_t sample = 8;
  std::size_t holders_max = 8;
  /// How long after its session opened a worker takes less than it could, beside workers that have been there.
  Duration slow_start = std::chrono::seconds(10);
};

/// One worker that would take a prompt now, with what speaks for and against it.
struct WorkerView {
  std::int64_t tokens_ahead = 0;     ///< to compute before this prompt
  std::int64_t tokens_cached = 0;    ///< of this prompt, probably
  std::int32_t sequences = 0;        ///< beside it
  double prefill_rate = 1;           ///< tokens a second, > 0
  std::int64_t tokens_lifetime = 0;  ///< given to it so far
};

/// Chooses who gets a request: the least estimated time to its first token,
///
///   (tokens ahead + recompute_weight x uncached tokens + decode_tokens x sequences) / prefill rate,
///
/// ties to who was given least. Affinity comes from the uncached term alone: a prefix that all ask for is worth a
/// queue as long as reading it, then it spills to the next worker, which has it from there on. Neither the longest
/// match (collapses onto one worker) nor a hash of the first block (nearly all prompts share it) does that.
class WorkerPicker {
 public:
  WorkerPicker(PickerOptions options, std::uint64_t seed) : options_(options), rng_(seed) {}

  /// In seconds; only comparisons mean anything.
  double cost(const WorkerView& worker, std::int64_t prompt_tokens) const;
  /// Index into `workers`; nullopt when there is none.
  std::optional<std::size_t> pick(std::span<const WorkerView> workers, std::int64_t prompt_tokens) const;
  /// Which of `workers` are worth a look: indices, ascending, each once. `holders`: indices of those that hold some of
  /// the prompt, best first.
  std::vector<std::size_t> shortlist(std::size_t workers, std::span<const std::size_t> holders);
  /// Sequences that a worker may run for this lane so long after its session opened; `sequences_max` is its own limit.
  /// One at least: it must show what it can do.
  std::int64_t ramp_limit(Duration since_open, std::int64_t sequences_max) const;
  bool is_ramping(Duration since_open) const { return since_open < options_.slow_start; }

  const PickerOptions& options() const { return options_; }

 private:
  PickerOptions options_;
  Rng rng_;
};

}  // namespace tidegate::gateway
