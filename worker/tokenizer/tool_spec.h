#pragma once

#include <cstdint>
#include <string>

namespace tidegate::worker {

/// A function that the model may ask its caller to run.
struct ToolSpec {
  std::string name;
  std::string description;
  std::string parameters;  ///< a JSON schema as templates write it: a blank behind every comma and colon
  bool strict = false;     ///< the arguments must follow the schema
};

/// How a family of models writes calls.
enum class ToolSyntax : std::uint8_t {
  kNone,
  kDeepSeekFenced,  ///< V3, R1: <call begin>function<sep>NAME, a line break, ARGUMENTS in a ```json fence, <call end>
  kDeepSeekPlain,   ///< V3.1: <call begin>NAME<sep>ARGUMENTS<call end>
  kHermes,          ///< Qwen2.5: <tool_call>{"name": NAME, "arguments": ARGUMENTS}</tool_call>
};

/// What a control token of an answer means to a call. Hermes has the two of a call only.
enum class ToolMark : std::uint8_t { kCallsBegin, kCallsEnd, kCallBegin, kCallEnd, kSeparator };

}  // namespace tidegate::worker
