#pragma once

#include "gateway/core/lease_node.h"
#include "tidegate/v1/billing.pb.h"

namespace tidegate::gateway {

/// Billing's answer to AcquireLease. Its expiry is an instant of the wall clock; from here on it is a length of
/// monotonic time, less a margin for the difference of the clocks, so that a jump of the clock expires nothing. The end of a cap's period
/// is one too, without a margin: billing is told which period this gateway means.
/// Fails: internal/bad_lease, which is repeated: the money may have been moved.
Result<LeaseNode::Grant> grant_from_wire(const v1::Lease& lease, Mono now, Wall wall_now);

}  // namespace tidegate::gateway
