#pragma once

#include <string>
#include <string_view>

#include "base/json/json.h"
#include "scheduler/core/autoscale_policy.h"

/// AutoscalePolicy as JSON: in PostgreSQL, and in the files of `tidegate fleet simulate`. Members as the policy's; what
/// is absent has the policy's default. An empty object: scaling is off; any other: it is on.
namespace tidegate::scheduler {

std::string write_autoscale(const AutoscalePolicy& policy);

/// Windows are objects of weekdays, start_minute, end_minute, replicas_min, or words as for --window.
/// Fails: invalid_argument/unknown_field, wrong_type, bad_window, naming the field below `path`. Limits are not
/// checked.
Result<AutoscalePolicy> read_autoscale(const json::object& from, std::string_view path);
Result<AutoscalePolicy> parse_autoscale(std::string_view text);

}  // namespace tidegate::scheduler
