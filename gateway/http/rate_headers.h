#pragma once

#include <string>

#include "base/core/clock.h"
#include "base/net/http_message.h"
#include "gateway/core/rate_status.h"

namespace tidegate::gateway {

/// OpenAI's x-ratelimit-{limit,remaining,reset}-{requests,tokens}, and ours for tokens a day and requests at once. Only
/// of limits that bind the request: no header says -1 or 0 for "none".
void append_rate_headers(HttpHeaders& headers, const RateStatus& status);

/// "120ms", "1s", "6m0s", "23h59m59s": as OpenAI writes spans. Rounded up, at least 1 ms.
std::string rate_reset_text(Duration span);

}  // namespace tidegate::gateway
