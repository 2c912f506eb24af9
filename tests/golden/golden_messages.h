#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json/json.h"
#include "worker/tokenizer/chat_message.h"

namespace tidegate::worker {

/// The messages of a case of tang_moe/golden.json.
inline std::vector<ChatMessage> golden_messages(const json::object& one) {
  const auto role_of = [](std::string_view name) {
    if (name == "system") return Role::kSystem;
    return name == "assistant" ? Role::kAssistant : Role::kUser;
  };
  std::vector<ChatMessage> messages;
  for (const json::value& value : one.at("messages").as_array()) {
    const json::object& message = value.as_object();
    messages.push_back({role_of(message.at("role").as_string()), std::string(message.at("content").as_string())});
  }
  return messages;
}

}  // namespace tidegate::worker
