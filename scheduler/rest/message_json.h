#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <string_view>

#include "base/core/result.h"

/// Messages as JSON, by protobuf's own mapping: enums by name, 64-bit integers as strings (numbers are taken as well).
/// Names are those of the .proto.
namespace tidegate::scheduler {

/// Every field that is not a message is there, also when it is empty. Fails: internal/not_printable.
Result<std::string> rest_json(const google::protobuf::Message& message);

/// Fills a fresh `message`; an empty text is an empty object. What the message does not have is refused by name.
/// Fails: invalid_argument/bad_json.
Status read_rest_json(std::string_view text, google::protobuf::Message& message);

}  // namespace tidegate::scheduler
