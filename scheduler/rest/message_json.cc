#include "scheduler/rest/message_json.h"

#include <google/protobuf/util/json_util.h>

namespace tidegate::scheduler {

namespace {
constexpr std::size_t kJsonWordsMax = 300;
}  // namespace

Result<std::string> rest_json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string out;
  const auto printed = google::protobuf::util::MessageToJsonString(message, &out, options);
  if (!printed.ok()) {
    const std::string words(printed.message().data(), printed.message().size());
    return fail(Code::kInternal, "not_printable", "this answer has no form in JSON: " + words.substr(0, kJsonWordsMax));
  }
  return out;
}

Status read_rest_json(std::string_view text, google::protobuf::Message& message) {
  const std::string whole(text.empty() ? std::string_view("{}") : text);
  const auto read =
      google::protobuf::util::JsonStringToMessage(whole, &message, google::protobuf::util::JsonParseOptions());
  if (read.ok()) return {};
  // What follows the first line shows the text again.
  std::string words(read.message().data(), read.message().size());
  words = words.substr(0, words.find('\n')).substr(0, kJsonWordsMax);
  return fail(Code::kInvalidArgument, "bad_json",
              "the body is not a " + message.GetDescriptor()->name() + " as JSON (docs/api/fleet_rest.md): " + words);
}

}  // namespace tidegate::scheduler
