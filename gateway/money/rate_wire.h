#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/core/result.h"
#include "gateway/core/rate_rule.h"
#include "tidegate/v1/billing.pb.h"

namespace tidegate::gateway {

/// Every limit by id, as billing told them.
using RateRuleMap = std::map<std::string, v1::RateLimitRule>;

/// All of them or none: a limit that is not understood must not become no limit.
/// Fails: invalid_argument/bad_limit, with the limit's id and the field that cannot be read.
Result<std::shared_ptr<const RateRules>> rate_rules_from_wire(const RateRuleMap& rules);

}  // namespace tidegate::gateway
