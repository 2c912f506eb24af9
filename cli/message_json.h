#pragma once

#include <google/protobuf/message.h>

#include <string>

namespace tidegate::cli {

/// A protobuf message as JSON for people and scripts: field names as in the .proto, every field present, integers as
/// numbers, 16-byte ids as UUID text, other bytes as hexadecimal, enums by name.
std::string message_json(const google::protobuf::Message& message);

}  // namespace tidegate::cli
