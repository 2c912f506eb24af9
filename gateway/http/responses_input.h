#pragma once

#include "base/json/json.h"
#include "gateway/core/plan.h"

namespace tidegate::gateway {

/// The value of `input`: a string, which is one user message, or items, appended to plan.messages. Message items take
/// a string or text parts, joined by line breaks; function_call items belong to the assistant's message before them;
/// reasoning items are dropped, as the templates of these models drop earlier thinking; every other kind is refused. Fields without effect are counted in plan.fields_ignored. Fails as
/// parse_responses.
Status parse_responses_input(const json::value& value, Plan& plan);

}  // namespace tidegate::gateway
