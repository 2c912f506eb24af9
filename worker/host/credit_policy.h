#pragma once

#include <cstdint>
#include <vector>

namespace tidegate::worker {

/// One session's account of credits. outstanding = granted_total - started_total: sequences it may start right now.
struct CreditSeat {
  std::uint64_t granted_total = 0;  ///< never decreases: it is what the gateway was told
  std::uint64_t started_total = 0;
  bool withheld = false;            ///< does not read its frames: nothing new until it does

  std::uint64_t outstanding() const { return granted_total - started_total; }
};

struct CreditRoom {
  std::int32_t capacity = 0;    ///< sequences the engine runs at once
  std::int32_t overcommit = 0;  ///< started beyond that, so that a finished slot is refilled without a round trip
  std::int32_t live = 0;        ///< started and not finished, of all sessions
};

/// Raises every seat to min(free, share), where free = capacity + overcommit - live and
/// share = max(1, (capacity + overcommit) / seats).
///
/// Why not divide `free` itself: a session that sits idle on its share would keep a busy one from using the engine.
/// So each may start what is free, and the price is bounded: what is outstanding never exceeds
/// max(capacity + overcommit, seats) as long as no seat joins, and every joining seat adds one share at most. When all
/// sessions are hungry, each gets one credit per free slot round, so at most one sequence per session waits here.
/// A session that ends takes its outstanding credits with it.
void grant_credits(std::vector<CreditSeat*>& seats, const CreditRoom& room);

}  // namespace tidegate::worker
