#pragma once

#include "base/json/json.h"
#include "gateway/core/plan.h"

namespace tidegate::gateway {

/// tools, tool_choice, parallel_tool_calls, response_format, and the `functions` and `function_call` that came before
/// them, of POST /v1/chat/completions, into the plan. True when the request speaks of functions in the old way: its answer
/// then does too. Fails as parse_openai_chat.
Result<bool> parse_openai_tools(const json::object& root, Plan& plan);

}  // namespace tidegate::gateway
