#include "base/net/sse.h"

namespace tidegate::sse {

void append_event(std::string& out, std::string_view payload) {
  out.reserve(out.size() + payload.size() + 8);
  out += "data: ";
  out += payload;
  out += "\n\n";
}

void append_event(std::string& out, std::string_view name, std::string_view payload) {
  out += "event: ";
  out += name;
  out += '\n';
  append_event(out, payload);
}

bool Parser::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    if (end == std::string_view::npos) {
      line_ += bytes;
      return line_.size() + event_.data.size() <= kEventBytesMax;
    }
    if (line_.empty()) {
      take_line(bytes.substr(0, end));
    } else {
      line_ += bytes.substr(0, end);
      take_line(line_);
      line_.clear();
    }
    bytes.remove_prefix(end + 1);
    if (event_.data.size() > kEventBytesMax) return false;
  }
  return true;
}

void Parser::take_line(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.empty()) {
    if (has_data_) on_event_(event_);
    event_ = Event();
    has_data_ = false;
    return;
  }
  const auto colon = line.find(':');
  if (colon == 0) return;  // comment
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") {
    event_.name = value;
  } else if (field == "data") {
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  }
}

}  // namespace tidegate::sse
