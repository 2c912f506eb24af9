#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace tidegate::worker {

enum class Role : std::uint8_t { kSystem, kUser, kAssistant };

struct ChatMessage {
  Role role = Role::kUser;
  std::string content;  ///< valid UTF-8; never matched against control tokens
  /// Of a message that begins the answer: thinking that stands before its content. Other thinking is no part of a
  /// prompt.
  std::string reasoning = {};
  /// On the last message only, an assistant's: the answer goes on where it ends.
  bool begins_answer = false;
  /// Of a message that begins the answer: no thinking is to come, also when it has no content yet.
  bool ends_thinking = false;
};

/// The message that the answer goes on with; null when the answer is a turn of its own.
inline const ChatMessage* opening_of(std::span<const ChatMessage> messages) {
  return !messages.empty() && messages.back().begins_answer ? &messages.back() : nullptr;
}

}  // namespace tidegate::worker
