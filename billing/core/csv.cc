#include "billing/core/csv.h"

namespace tidegate::billing {

void append_csv(std::string& out, const std::vector<std::string>& fields) {
  bool is_first = true;
  for (const auto& field : fields) {
    if (!is_first) out += ',';
    is_first = false;
    if (field.find_first_of(",\"\r\n") == field.npos) {
      out += field;
      continue;
    }
    out += '"';
    for (const char c : field) {
      if (c == '"') out += '"';
      out += c;
    }
    out += '"';
  }
  out += "\r\n";
}

}  // namespace tidegate::billing
