#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tidegate::gateway {

/// A call that an assistant made earlier in a conversation.
struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  ///< JSON, as the model wrote it: it may be wrong

  bool operator==(const ToolCall&) const = default;
};

/// A piece of a call in an answer. The first piece of an index has its id and name; calls come one after the other, in
/// order of their index, which begins at 0.
struct ToolCallDelta {
  std::int32_t index = 0;
  std::string id;
  std::string name;
  std::string arguments;

  /// True of exactly one piece of each call.
  bool is_first() const { return !id.empty(); }
  bool operator==(const ToolCallDelta&) const = default;
};
using ToolCallDeltas = std::vector<ToolCallDelta>;

/// `more` came behind `into`: pieces of one call become one.
void append_calls(ToolCallDeltas& into, ToolCallDeltas more);

}  // namespace tidegate::gateway
