#pragma once

#include <cstdint>
#include <string>

namespace tidegate::worker {

enum class Role : std::uint8_t { kSystem, kUser, kAssistant };

struct ChatMessage {
  Role role = Role::kUser;
  std::string content;  ///< valid UTF-8; never matched against control tokens
};

}  // namespace tidegate::worker
