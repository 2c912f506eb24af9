#pragma once

#include <cstdint>
#include <string>

#include "base/json/json.h"

namespace tidegate::json {

/// How values are set apart.
enum class Spacing : std::uint8_t {
  kNone,   ///< {"a":1,"b":[2,3]}
  kSpace,  ///< {"a": 1, "b": [2, 3]}, as Python's json.dumps and the templates' tojson write it
};

/// `document` on one line: members in their order, text beyond ASCII as it is, numbers as short as they read back.
/// Boost's own serialize() writes 0.5 as 5E-1, which no model has seen in a schema.
std::string dump(const value& document, Spacing spacing = Spacing::kNone);

}  // namespace tidegate::json
