#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json/json.h"
#include "gateway/core/plan.h"

/// Tools and formats as the dialects' parsers read them: what is alike in all. Errors name the field, the limit and the
/// fix; bounds that need no JSON are check_plan's.
namespace tidegate::gateway {

/// A function's name, description, parameters (called `parameters` in this dialect) and strict. `ignored` counts members
/// without effect; `type` and `cache_control` are expected beside them.
Result<PlanTool> parse_tool(const json::object& tool, const std::string& path, std::string_view parameters,
                            std::int32_t& ignored);

/// The array of that name, whose items are objects; null when it is absent, null or empty.
Result<const json::array*> find_tools(const json::object& root, std::string_view name);

/// {"type":"text"|"json_object"|"json_schema",...}. The schema's own members stand in `format`, or in its member `inner`
/// unless that is "".
Result<PlanFormat> parse_format(const json::object& format, const std::string& path, std::string_view inner,
                                std::int32_t& ignored);

/// A format of some JSON object needs a conversation that speaks of JSON, as with OpenAI and DeepSeek: without it models
/// write blanks up to their limit.
Status check_json_asked(const Plan& plan, std::string_view format_field);

}  // namespace tidegate::gateway
