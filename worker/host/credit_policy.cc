#include "worker/host/credit_policy.h"

#include <algorithm>

namespace tidegate::worker {

void grant_credits(std::vector<CreditSeat*>& seats, const CreditRoom& room) {
  if (seats.empty()) return;
  const std::int64_t slots = std::int64_t{room.capacity} + room.overcommit;
  const std::int64_t free = slots - room.live;
  if (free <= 0) return;
  const std::int64_t share = std::max<std::int64_t>(1, slots / static_cast<std::int64_t>(seats.size()));
  const auto target = static_cast<std::uint64_t>(std::min(free, share));
  for (CreditSeat* seat : seats) {
    if (seat->withheld || seat->outstanding() >= target) continue;
    seat->granted_total = seat->started_total + target;
  }
}

}  // namespace tidegate::worker
