#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tidegate::worker {

enum class Role : std::uint8_t { kSystem, kUser, kAssistant, kTool };

/// A call that an assistant made earlier in the conversation.
struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  ///< JSON, as the model wrote it: it may be wrong
};

struct ChatMessage {
  Role role = Role::kUser;
  std::string content;  ///< valid UTF-8; never matched against control tokens
  /// Of a message that begins the answer: thinking that stands before its content. Other thinking is no part of a
  /// prompt.
  std::string reasoning = {};
  /// On the last message only, an assistant's: the answer goes on where it ends.
  bool begins_answer = false;
  std::vector<ToolCall> tool_calls = {};  ///< of an assistant
  std::string tool_call_id = {};          ///< of a tool's message: the call that it answers
  /// Of a message that begins the answer: no thinking is to come, also when it has no content yet.
  bool ends_thinking = false;
};

/// The message that the answer goes on with; null when the answer is a turn of its own.
inline const ChatMessage* opening_of(std::span<const ChatMessage> messages) {
  return !messages.empty() && messages.back().begins_answer ? &messages.back() : nullptr;
}

}  // namespace tidegate::worker
