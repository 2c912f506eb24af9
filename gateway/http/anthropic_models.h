#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "gateway/core/route_table.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// {"data":[...],"has_more","first_id","last_id"}: a page of the models this principal may call, by name. Each is
/// {"type":"model","id","display_name","created_at"} with the members of ours that OpenAI's list has too.
/// `query` is the request's: limit (1 to 1000, 20 unless named), after_id or before_id.
/// Fails: invalid_argument/invalid_value naming the parameter.
Result<std::string> anthropic_model_list(const RouteTable& routes, const Principal& principal, const Meter& meter,
                                         std::int64_t created_s, std::string_view query);
/// One of them; nullopt when it does not exist or may not be called.
std::optional<std::string> anthropic_model(const RouteTable& routes, const Principal& principal, const Meter& meter,
                                           std::int64_t created_s, std::string_view id);

}  // namespace tidegate::gateway
