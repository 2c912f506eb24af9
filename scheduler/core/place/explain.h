#pragma once

#include <string>

#include "scheduler/core/place/model.h"
#include "scheduler/core/place/draft.h"

namespace tidegate::scheduler::placement {

/// Why a demand got what it got: where it runs, and why nothing cheaper; or which rule or shortage stands against it.
std::string explain(const Model& model, const Draft& draft, const Prices& prices, std::int32_t demand);

/// For a demand that is refused or short: the nearest plan that fits what is free now, one rule relaxed at a time, those
/// first that cost the user least: less throughput, no N+1, fewer replicas and domains, another region, a larger quota.
/// Empty when none of them helps.
std::string nearest_plan(const Model& model, Draft& draft, std::int32_t demand);

}  // namespace tidegate::scheduler::placement
