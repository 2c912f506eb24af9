#pragma once

#include <string>

#include "base/json/json.h"
#include "scheduler/core/model_shape.h"

namespace tidegate::scheduler {

/// The members of a config.json that decide sizes, under their Hugging Face names, and `qkv_bias` and `router_bias`,
/// which config.json leaves to the class. Unknown members are refused. Fails: invalid_argument/{bad_catalogue,
/// wrong_type, missing_field, bad_shape}; field starts with `path`.
Result<ModelShape> read_shape(const json::object& from, const std::string& path);

}  // namespace tidegate::scheduler
