#pragma once

#include <string>

namespace tidegate::gateway {

/// docs/api/openapi.json, as the build found it.
std::string openapi_document();

}  // namespace tidegate::gateway
