#include "cli/duration_text.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>

namespace tidegate::cli {

namespace {

/// A hundred years: nothing that a person means is longer, and no product below overflows.
constexpr std::int64_t kSecondsMax = std::int64_t{100} * 366 * 86'400;

std::int64_t seconds_of(char unit) {
  switch (unit) {
    case 's':
      return 1;
    case 'm':
      return 60;
    case 'h':
      return 3'600;
    case 'd':
      return 86'400;
    default:
      return 0;
  }
}

}  // namespace

Result<std::chrono::microseconds> parse_span(std::string_view text, std::string_view option) {
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit = error == std::errc() ? text.substr(static_cast<std::size_t>(end - text.data())) : "?";
  const std::int64_t seconds = unit.size() == 1 ? seconds_of(unit.front()) : 0;
  const bool is_zero = unit.empty() && count == 0;
  if ((!is_zero && seconds == 0) || count < 0 || count > kSecondsMax || count * seconds > kSecondsMax) {
    return fail(Code::kInvalidArgument, "bad_usage",
                fmt::format("--{} takes a span such as 30m, 24h or 7d, not '{}'", option, text), std::string(option));
  }
  return std::chrono::seconds(count * seconds);
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto comma = text.find(',');
    if (comma != 0) out.emplace_back(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return out;
}

}  // namespace tidegate::cli
