#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateway/core/route_table.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// ,"context_length":...,"region":...,"pool":...,"pricing":{...}: what every dialect adds to its members of a model.
void append_model_facts(std::string& out, const RouteTable& routes, const Principal& principal, const Meter& meter,
                        std::string_view id);

/// {"object":"list","data":[...]} of the models this principal may call, with context length and price now.
std::string openai_model_list(const RouteTable& routes, const Principal& principal, const Meter& meter,
                              std::int64_t created_s);
/// One of them; nullopt when it does not exist or may not be called.
std::optional<std::string> openai_model(const RouteTable& routes, const Principal& principal, const Meter& meter,
                                        std::int64_t created_s, std::string_view id);

}  // namespace tidegate::gateway
