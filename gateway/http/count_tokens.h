#pragma once

#include <memory>

#include "gateway/http/http_call.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// POST /v1/messages/count_tokens: {"input_tokens":...}, as the model's own template and tokenizer have them, so that it
/// is what an answer to the same conversation would be charged for. A worker counts: the tokenizers are with them. It costs no
/// money and no place in the queue; limits on requests count it.
awaitable<void> serve_count(HttpCall call, std::shared_ptr<const Principal> caller);

}  // namespace tidegate::gateway
