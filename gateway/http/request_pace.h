#pragma once

#include <optional>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/net/http_message.h"

/// What a request's headers say of its time, alike in every dialect.
namespace tidegate::gateway {

/// The time the client has for the whole answer, from when the request came: x-tidegate-deadline-ms, 1 to 3600000.
/// limits.request_ms binds all the same. nullopt when absent. Fails: invalid_argument/invalid_value.
Result<std::optional<Duration>> find_budget(const HttpRequest& request);

}  // namespace tidegate::gateway
