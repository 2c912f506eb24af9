#pragma once

#include "base/price/vectors.h"

/// Vectors that bring their own prices instead of naming the file's.
namespace tidegate::price {

/// Kind modifier: factors, minimum charges, meters that begin to cost.
Verdict run_modifier(const json::object& vector, VectorSubject& subject);
/// Kind tier, model request_length: the prompt's length reprices the request.
Verdict run_prompt_tier(const json::object& vector, VectorSubject& subject);

}  // namespace tidegate::price
