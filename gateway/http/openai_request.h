#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/json/json.h"
#include "gateway/core/plan.h"

/// The parts that chat completions and completions share. Everything fails as invalid_argument, and the message names
/// the field, the limit and the fix.
namespace tidegate::gateway {

/// The body as a JSON object. Fails: invalid_json, also for invalid UTF-8.
Result<json::object> parse_request_body(std::string_view body);

/// `name`, a number of tokens; 0 when it is absent. Fails: wrong_type, invalid_value.
Result<std::int32_t> parse_max_tokens(const json::object& root, std::string_view name);

/// temperature, top_p, top_k, seed; penalties are checked and have no effect, as DeepSeek's thinking models have it:
/// one that is not zero counts as ignored. Ranges beyond these are check_plan's. Fails: wrong_type, invalid_value.
Status parse_sampling(const json::object& root, Plan& plan);

/// A string or an array of strings. Fails: wrong_type.
Result<std::vector<std::string>> parse_stop(const json::object& root);

/// stream and stream_options. Fails: wrong_type, invalid_value.
Status parse_stream(const json::object& root, Plan& plan);

}  // namespace tidegate::gateway
