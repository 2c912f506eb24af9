#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tidegate::worker {

/// A piece of a call in an answer. The first piece of an index has its id and name; calls come one after the other.
struct ToolCallDelta {
  std::int32_t index = 0;
  std::string id;
  std::string name;
  std::string arguments;

  bool operator==(const ToolCallDelta&) const = default;
};
using ToolCallDeltas = std::vector<ToolCallDelta>;

/// `more` came behind `into`: pieces of one call become one.
inline void append_calls(ToolCallDeltas& into, ToolCallDeltas more) {
  for (ToolCallDelta& piece : more) {
    if (!into.empty() && into.back().index == piece.index) {
      into.back().arguments += piece.arguments;
    } else {
      into.push_back(std::move(piece));
    }
  }
}

}  // namespace tidegate::worker
