#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "worker/host/session.h"

namespace tidegate::worker {

/// `later` of the same sequence joins `held`: accepted stays set, text is appended in order, usage and finish are the
/// latest.
void merge(SessionEvent& held, SessionEvent later);

/// Events of one session that its stream has not taken yet. While the stream keeps up, it holds one step's events;
/// when it does not, events of the same sequence (and of the same of its answers) are merged, so that memory follows the text
/// and not the steps. The end of several answers stays behind everything that any of them said, and the totals of a sequence never
/// fall from one of its events to the next, nor run ahead of its text.
class Outbox {
 public:
  void add(SessionEvent event);

  bool empty() const { return events_.empty(); }
  /// Bytes of text held, plus a fixed cost per event.
  std::size_t bytes() const { return bytes_; }

  /// In order of each sequence's first waiting event. put_back() undoes a take() that nobody took.
  std::vector<SessionEvent> take();
  void put_back(std::vector<SessionEvent> events);

 private:
  /// The newest waiting event of a sequence; null: none.
  SessionEvent* last_of(std::uint64_t sequence);

  std::vector<SessionEvent> events_;
  std::map<std::pair<std::uint64_t, std::int32_t>, std::size_t> index_of_;  ///< by sequence and choice
  std::size_t bytes_ = 0;
};

}  // namespace tidegate::worker
