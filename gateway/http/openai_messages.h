#pragma once

#include <vector>

#include "base/json/json.h"
#include "gateway/core/plan.h"

namespace tidegate::gateway {

/// The `messages` array. `ignored` counts fields without effect. Where `prefix` may stand is check_plan's to say.
/// Fails as parse_openai_chat.
Result<std::vector<PlanMessage>> parse_openai_messages(const json::value& value, std::int32_t& ignored);

}  // namespace tidegate::gateway
