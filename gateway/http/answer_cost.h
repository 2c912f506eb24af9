#pragma once

#include <string>

#include "gateway/core/settlement.h"

/// What an answer cost, alike in every dialect.
namespace tidegate::gateway {

/// "cost":...,"cost_details":{...} without braces around: members of the usage object.
void append_cost(std::string& out, const Settlement& settlement);

/// ,"receipt":"..." when there is one: it stands beside the usage.
void append_receipt_member(std::string& out, const Settlement& settlement);

}  // namespace tidegate::gateway
