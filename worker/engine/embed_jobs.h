#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "worker/engine/sequence.h"

namespace tidegate::worker {

/// Requests that want vectors of texts. Each text is a sequence of its own, with a handle of ours (Choices::next_handle);
/// a few of a request are in the schedule at once, so that one with many texts is no wall before others.
///
/// Towards the host they are one request: one accepted event with the tokens of all texts, one event for each text with
/// its vector, in whatever order they come, and one finish, with the last of them. A fault or a cancel of one ends them
/// all. Pure; one thread.
class EmbedJobs {
 public:
  /// `inputs` in order.
  void add(SequenceHandle request, std::vector<std::unique_ptr<Sequence>> inputs);

  bool empty() const { return jobs_.empty(); }
  bool has(SequenceHandle request) const { return jobs_.contains(request); }
  /// The request is over: what it has used. `scheduled` gets the handles of its sequences that may be in the schedule.
  SequenceUsage close(SequenceHandle request, std::vector<SequenceHandle>& scheduled);
  /// What a step's events mean to the host; those of other requests as they are.
  std::vector<SequenceEvent> translate(std::vector<SequenceEvent> events, std::vector<SequenceHandle>& scheduled);
  /// Sequences to be scheduled now: each request has `at_once` in the schedule at most.
  std::vector<std::unique_ptr<Sequence>> take_ready(std::int32_t at_once);

 private:
  struct Job {
    std::vector<SequenceHandle> handles;  ///< by input
    std::vector<std::int64_t> device_us;  ///< by input
    std::deque<std::unique_ptr<Sequence>> waiting;
    std::int32_t prompt_tokens = 0;
    std::int32_t scheduled = 0;
    std::int32_t open = 0;  ///< inputs without their vector
    bool is_accepted = false;
  };
  static SequenceUsage usage_of(const Job& job);

  std::map<SequenceHandle, Job> jobs_;  ///< by request; ordered, so that one run is like another
  std::unordered_map<SequenceHandle, SequenceHandle> request_of_;  ///< of handles of ours
};

}  // namespace tidegate::worker
