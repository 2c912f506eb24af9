#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "gateway/core/rate_rule.h"
#include "tidegate/v1/billing.pb.h"

namespace tidegate::gateway {

/// Every limit by id, as billing told them.
using RateRuleMap = std::map<std::string, v1::RateLimitRule>;

/// Rules that cannot be read are left out; `bad` counts them.
std::shared_ptr<const RateRules> rate_rules_from_wire(const RateRuleMap& rules, std::size_t& bad);

}  // namespace tidegate::gateway
