#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

namespace tidegate::cli {

/// "90s", "30m", "24h", "7d" or "0". Fails: invalid_argument/bad_usage naming `option`.
Result<std::chrono::microseconds> parse_span(std::string_view text, std::string_view option);

/// The items of "a,b,c"; empty ones are left out.
std::vector<std::string> split_list(std::string_view text);

}  // namespace tidegate::cli
