#pragma once

#include "billing/adapters/rate_limit_store.h"
#include "tidegate/v1/billing.pb.h"
#include "tidegate/v1/limit.pb.h"

/// Rows of limits <-> proto/tidegate/v1.
namespace tidegate::billing {

v1::RateLimit to_message(const RateLimitRow& row);
/// As gateways are told.
v1::RateLimitRule rule_message(const RateLimitRow& row);

}  // namespace tidegate::billing
