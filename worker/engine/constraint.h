#pragma once

#include <memory>

#include "base/core/result.h"
#include "worker/engine/engine.h"

namespace tidegate::worker {

namespace grammar {
class Grammar;
}

/// What the answer of `request` must follow, decided in this one place; null = nothing. A forced call comes before a format:
/// an answer that must call has no content to format.
///
///   tool_choice required            calls of any of the tools        Grammar::tool_calls
///   tool_choice of one function     calls of that tool               Grammar::tool_calls
///   response_format json_schema     content that follows its schema  Grammar::from_json_schema
///   response_format json_object     content that is a JSON object    Grammar::json_object
///   anything else                   null: strict tools of a free choice included, whose arguments are the model's own
///
/// Fails: invalid_argument/unsupported_response_format with the request's field. The real engine follows no grammar yet, so
/// every answer above but the last is refused: an unkept promise about a format breaks the program behind it.
Result<std::shared_ptr<const grammar::Grammar>> constraint_of(const GenerateRequest& request);

}  // namespace tidegate::worker
