#pragma once

#include <cstdint>
#include <string_view>

#include "base/json/json.h"

/// What POST /v1/chat/completions does with each field it knows.
namespace tidegate::gateway {

enum class FieldUse : std::uint8_t {
  kServed,   ///< read by the parser
  kIgnored,  ///< any value: it steers things that have no meaning here
  kRefused,  ///< unsupported_parameter, unless the value asks for nothing
  kUnknown,  ///< not in the table: ignored and counted
};

FieldUse field_use(std::string_view name);

/// True when the value of a kRefused field asks for nothing: null, its documented default, or an empty container.
bool asks_for_nothing(std::string_view name, const json::value& value);

}  // namespace tidegate::gateway
