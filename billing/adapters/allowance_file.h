#pragma once

#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "billing/core/allowance.h"

namespace tidegate::billing {

/// The JSON form of allowance plans: docs/api/allowance_file.md. Reads shape and types; check_plans() judges the content.
/// `tenant` is a name or an id as yet. Fails: invalid_argument/{invalid_json, missing_field, wrong_type, bad_allowance,
/// bad_timestamp}.
Result<std::vector<AllowancePlan>> parse_allowance_file(std::string_view text);

}  // namespace tidegate::billing
