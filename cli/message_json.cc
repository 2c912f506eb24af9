#include "cli/message_json.h"

#include <google/protobuf/descriptor.h>

#include "base/core/encoding.h"
#include "base/core/ids.h"
#include "base/core/log.h"

namespace tidegate::cli {

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void append_message(std::string& out, const Message& message);

void append_bytes(std::string& out, const std::string& raw) {
  const auto id = Uuid::from_bytes(raw);
  append_json_string(out, id ? id->to_string() : hex_encode(raw));
}

/// One value; `index` < 0 for a singular field.
void append_value(std::string& out, const Message& message, const FieldDescriptor* field, int index) {
  const auto* reflection = message.GetReflection();
  const bool one = index < 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      out += std::to_string(one ? reflection->GetInt32(message, field) : reflection->GetRepeatedInt32(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      out += std::to_string(one ? reflection->GetInt64(message, field) : reflection->GetRepeatedInt64(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      out += std::to_string(one ? reflection->GetUInt32(message, field) : reflection->GetRepeatedUInt32(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      out += std::to_string(one ? reflection->GetUInt64(message, field) : reflection->GetRepeatedUInt64(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      out += std::to_string(one ? reflection->GetDouble(message, field) : reflection->GetRepeatedDouble(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_FLOAT:
      out += std::to_string(one ? reflection->GetFloat(message, field) : reflection->GetRepeatedFloat(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      out += (one ? reflection->GetBool(message, field) : reflection->GetRepeatedBool(message, field, index)) ? "true" : "false";
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      append_json_string(out, (one ? reflection->GetEnum(message, field) : reflection->GetRepeatedEnum(message, field, index))->name());
      break;
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text = one ? reflection->GetString(message, field) : reflection->GetRepeatedString(message, field, index);
      if (field->type() == FieldDescriptor::TYPE_BYTES) {
        append_bytes(out, text);
      } else {
        append_json_string(out, text);
      }
      break;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      append_message(out, one ? reflection->GetMessage(message, field) : reflection->GetRepeatedMessage(message, field, index));
      break;
  }
}

void append_message(std::string& out, const Message& message) {
  const auto* descriptor = message.GetDescriptor();
  const auto* reflection = message.GetReflection();
  out += '{';
  bool first = true;
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (field->has_presence() && !reflection->HasField(message, field)) continue;
    if (!first) out += ',';
    first = false;
    append_json_string(out, field->name());
    out += ':';
    if (!field->is_repeated()) {
      append_value(out, message, field, -1);
      continue;
    }
    out += '[';
    for (int n = 0; n < reflection->FieldSize(message, field); ++n) {
      if (n > 0) out += ',';
      append_value(out, message, field, n);
    }
    out += ']';
  }
  out += '}';
}

}  // namespace

std::string message_json(const Message& message) {
  std::string out;
  append_message(out, message);
  return out;
}

}  // namespace tidegate::cli
