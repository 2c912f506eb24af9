#pragma once

#include <string>

#include "gateway/ports.h"

namespace tidegate::gateway {

/// Appends "cost":...,"cost_details":{...} without braces around: alike in the usage object of every dialect.
void append_cost(std::string& out, const Settlement& settlement);

}  // namespace tidegate::gateway
