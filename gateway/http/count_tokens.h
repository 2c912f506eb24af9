#pragma once

#include <memory>

#include "gateway/http/http_call.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// POST /v1/messages/count_tokens: {"input_tokens":...}, as count_prompt() has them.
awaitable<void> serve_count(HttpCall call, std::shared_ptr<const Principal> caller);

}  // namespace tidegate::gateway
