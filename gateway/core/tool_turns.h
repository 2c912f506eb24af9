#pragma once

#include "base/core/result.h"
#include "gateway/core/plan.h"

namespace tidegate::gateway {

/// Calls and their answers in the conversation: only assistants call; every call has an id that no open call has; every
/// tool message answers a call that stands before it; and all are answered before anybody else speaks. A template that
/// got less would show the model a conversation it has never seen the like of.
/// Fails: invalid_argument/invalid_value at `names.messages`, naming the call and the fix.
Status check_tool_turns(const Plan& plan, const PlanNames& names);

}  // namespace tidegate::gateway
