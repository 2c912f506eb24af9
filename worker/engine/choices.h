#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "worker/engine/sequence.h"

namespace tidegate::worker {

/// Requests that want several answers (n). Each is a sequence of its own: the first has the request's handle, the others
/// handles of ours. They wait until the first has computed the prompt and then take its full blocks from the prefix cache;
/// without the cache each computes the prompt again.
///
/// Towards the host they are one: one accepted event, events that name their choice, running totals of all of them with
/// the prompt counted once, and one finish, with the end of the last choice. A fault or a cancel of one ends them all.
/// Pure; one thread.
class Choices {
 public:
  /// No host counts as far.
  static constexpr SequenceHandle kFirstOwn = SequenceHandle{1} << 63;
  static bool is_own(SequenceHandle handle) { return handle >= kFirstOwn; }

  /// A handle for one more answer of a request, to be given to add().
  SequenceHandle next_handle() { return kFirstOwn + ++last_own_; }
  void add(SequenceHandle request, std::vector<std::unique_ptr<Sequence>> others);

  bool has(SequenceHandle request) const { return groups_.contains(request); }
  /// Sequences that are not in the schedule yet.
  std::int32_t waiting() const { return waiting_; }
  /// The request is over: what it has used. `scheduled` gets the handles of its sequences that may be in the schedule.
  SequenceUsage close(SequenceHandle request, std::vector<SequenceHandle>& scheduled);

  /// What a step's events mean to the host. Requests with a faulty choice are closed; `scheduled` as in close().
  std::vector<SequenceEvent> translate(std::vector<SequenceEvent> events, std::vector<SequenceHandle>& scheduled);
  /// Sequences whose prompt has been computed by their request's first: to be scheduled now.
  std::vector<std::unique_ptr<Sequence>> take_ready();

 private:
  struct Group {
    std::vector<SequenceHandle> handles;  ///< by choice
    std::vector<SequenceUsage> usage;     ///< by choice
    std::vector<std::unique_ptr<Sequence>> waiting;
    std::int32_t open = 0;  ///< choices that have not ended
    bool is_ready = false;
  };
  static SequenceUsage total(const Group& group);
  std::map<SequenceHandle, Group>::iterator find(SequenceHandle handle);

  std::map<SequenceHandle, Group> groups_;  ///< by request; ordered, so that one run is like another
  std::unordered_map<SequenceHandle, SequenceHandle> request_of_;  ///< of handles of ours
  std::uint64_t last_own_ = 0;
  std::int32_t waiting_ = 0;
};

}  // namespace tidegate::worker
