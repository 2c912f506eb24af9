#pragma once

#include <string>
#include <string_view>

#include "base/core/result.h"

namespace tidegate {

/// A secret must be hard to guess: at least 32 characters, at least 8 different ones; fewer are typed or patterned, not
/// random. `option` is named, the value never.
/// Fails: invalid_argument/weak_secret.
Status check_secret(std::string_view option, const std::string& secret);

}  // namespace tidegate
