#include "gateway/core/tool_call.h"

#include <utility>

namespace tidegate::gateway {

void append_calls(ToolCallDeltas& into, ToolCallDeltas more) {
  for (ToolCallDelta& piece : more) {
    if (!into.empty() && into.back().index == piece.index) {
      into.back().arguments += piece.arguments;
    } else {
      into.push_back(std::move(piece));
    }
  }
}

}  // namespace tidegate::gateway
