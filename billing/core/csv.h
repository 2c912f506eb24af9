#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidegate::billing {

/// Appends one record of RFC 4180, ended by CRLF. A field is quoted when it holds a comma, a quote or a line end.
void append_csv(std::string& out, const std::vector<std::string>& fields);

}  // namespace tidegate::billing
