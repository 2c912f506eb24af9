#pragma once

#include <cstdint>
#include <string_view>

#include "base/json/json.h"

/// What the requests of OpenAI's dialect do with each field they know.
namespace tidegate::gateway {

enum class FieldUse : std::uint8_t {
  kServed,   ///< read by the parser
  kIgnored,  ///< any value: it steers things that have no meaning here
  kRefused,  ///< unsupported_parameter, unless the value asks for nothing
  kUnknown,  ///< not in the table: ignored and counted
};

/// Of POST chat/completions.
FieldUse chat_field_use(std::string_view name);
/// Of POST completions.
FieldUse completion_field_use(std::string_view name);

/// True when the value of a kRefused field asks for nothing: null, its documented default, or an empty container.
bool asks_for_nothing(std::string_view name, const json::value& value);

/// Refuses what may not be ignored and adds what has no effect to `ignored`. `use` is one of the tables above.
/// Fails: invalid_argument/unsupported_parameter, naming the field.
Status check_fields(const json::object& root, FieldUse (*use)(std::string_view), std::int32_t& ignored);

}  // namespace tidegate::gateway
