#pragma once

#include "base/json/json.h"
#include "gateway/core/plan.h"

/// `system` and `messages` of Anthropic's request. Both append to plan.messages and count what has no effect in
/// plan.fields_ignored. Fail as parse_anthropic_messages.
namespace tidegate::gateway {

/// A string or text blocks, joined by line breaks, become one system message; absent or null: none.
Status parse_anthropic_system(const json::object& root, Plan& plan);

/// The value of `messages`. A last turn of the assistant begins the answer, its thinking blocks included. Those of
/// earlier answers are dropped: the templates of these models drop them too. Results of tools become messages of their
/// own, before what the user says in the same turn.
Status parse_anthropic_turns(const json::value& value, Plan& plan);

}  // namespace tidegate::gateway
