#include "gateway/money/lease_wire.h"

#include <algorithm>

namespace tidegate::gateway {
namespace {

constexpr Duration kClockMargin = std::chrono::seconds(1);

}  // namespace

Result<LeaseNode::Grant> grant_from_wire(const v1::Lease& lease, Mono now, Wall wall_now) {
  const auto id = LeaseId::from_bytes(lease.lease_id());
  const auto granted = Money::parse(lease.granted());
  const auto amount = Money::parse(lease.amount());
  const auto available = Money::parse(lease.wallet_available());
  if (!id || !granted || !amount || !available || granted->is_negative()) {
    return fail(Code::kInternal, "bad_lease", "billing answered with a lease that cannot be read");
  }
  const Duration life = std::max<Duration>(wall_from_unix_micros(lease.expires_us()) - wall_now, Duration::zero());
  Mono expires = now + std::max(life - kClockMargin, Duration::zero());
  if (lease.period_end_us() != 0) {
    expires = std::min(expires, Mono(now + (wall_from_unix_micros(lease.period_end_us()) - wall_now)));
  }
  return LeaseNode::Grant{.lease = *id,
                          .granted = *granted,
                          .lease_amount = *amount,
                          .wallet_available = *available,
                          .expires = expires,
                          .renew_from = now + life / 2};
}

}  // namespace tidegate::gateway
