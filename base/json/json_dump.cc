#include "base/json/json_dump.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

#include "base/core/json_text.h"

namespace tidegate::json {
namespace {

/// A number beyond double's range is infinite once it is read, and zero times a power beyond it is none at all: both
/// are written as JSON can say them.
void append_double(std::string& out, double number) {
  if (!std::isfinite(number)) {
    out += std::isnan(number) ? "0.0" : number < 0 ? "-1e999" : "1e999";
    return;
  }
  std::string text = fmt::format("{}", number);
  // 2.0 stays a number with a fraction, as it came.
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  out += text;
}

void append(std::string& out, const value& document, Spacing spacing) {
  const std::string_view comma = spacing == Spacing::kSpace ? ", " : ",";
  const std::string_view colon = spacing == Spacing::kSpace ? ": " : ":";
  switch (document.kind()) {
    case boost::json::kind::null: out += "null"; break;
    case boost::json::kind::bool_: out += document.get_bool() ? "true" : "false"; break;
    case boost::json::kind::int64: out += std::to_string(document.get_int64()); break;
    case boost::json::kind::uint64: out += std::to_string(document.get_uint64()); break;
    case boost::json::kind::double_: append_double(out, document.get_double()); break;
    case boost::json::kind::string: append_json_text(out, std::string_view(document.get_string())); break;
    case boost::json::kind::array: {
      out += '[';
      bool first = true;
      for (const value& item : document.get_array()) {
        if (!first) out += comma;
        first = false;
        append(out, item, spacing);
      }
      out += ']';
      break;
    }
    case boost::json::kind::object: {
      out += '{';
      bool first = true;
      for (const auto& member : document.get_object()) {
        if (!first) out += comma;
        first = false;
        append_json_text(out, member.key());
        out += colon;
        append(out, member.value(), spacing);
      }
      out += '}';
      break;
    }
  }
}

}  // namespace

std::string dump(const value& document, Spacing spacing) {
  std::string out;
  append(out, document, spacing);
  return out;
}

}  // namespace tidegate::json
