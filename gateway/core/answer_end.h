#pragma once

#include <string>

#include "gateway/core/settlement.h"
#include "gateway/core/tool_call.h"
#include "gateway/core/usage.h"

namespace tidegate::gateway {

/// The end of an answer.
struct AnswerEnd {
  std::string reasoning;      ///< text that came with the last event
  std::string content;
  ToolCallDeltas tool_calls;  ///< of the last event too; of a whole answer all of them, one piece each
  std::string finish_reason;  ///< stop | length | tool_calls | content_filter
  std::string stop_text;      ///< the stop string that ended it; "" when the model ended by itself
  TokenUsage usage;
  Settlement settlement;
};

}  // namespace tidegate::gateway
