#pragma once

#include <string>
#include <vector>

#include "scheduler/core/place/types.h"

namespace tidegate::scheduler::placement {

enum class Rule : std::uint8_t {
  kNames,      ///< a demand, pool, layout or node that the problem does not have, or a demand left out
  kLayout,     ///< not of that variant, not for that pool, the wrong number of nodes
  kCapacity,   ///< more GPUs of a node than are free
  kOneDomain,  ///< nodes of one replica in several failure domains, or one node twice
  kResidency,
  kDedicated,  ///< in a pool of another tenant, or outside its own when dedicated
  kQuota,
  kReplicas,   ///< fewer than replicas_min
  kSpread,     ///< fewer failure domains than asked
  kKept,       ///< said to be kept, and does not run there; or one running replica kept twice
  kOutcome,    ///< "served" or "short" where the throughput says otherwise, refused and yet started
  kMoney,      ///< a cost or a bound that does not follow from the assignments
};

/// Literal, snake_case.
std::string_view rule_name(Rule rule);

struct Violation {
  Rule rule = Rule::kNames;
  std::string what;  ///< names the demand, pool or node, the limit and the value
};

/// Whether a plan obeys a problem, by names and sums only: shares no code with what makes plans but the formulas of
/// money in types.h. Empty: it does.
std::vector<Violation> check_plan(const Problem& problem, const Plan& plan);

}  // namespace tidegate::scheduler::placement
