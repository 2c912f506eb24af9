#pragma once

#include <optional>
#include <string_view>

namespace tidegate::worker::grammar {

/// The pattern of a `format` keyword; nullopt for one that is not known. Dates are of the Gregorian calendar, leap days
/// included; times are RFC 3339 without leap
/// seconds. Names have labels of at most 30 characters: each counted character is a state, and a mask, of its own.
std::optional<std::string_view> format_pattern(std::string_view format);
/// For messages.
std::string_view known_formats();

}  // namespace tidegate::worker::grammar
