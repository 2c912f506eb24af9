#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/net/asio.h"
#include "gateway/core/api_error.h"
#include "gateway/core/plan.h"
#include "gateway/core/rate_status.h"
#include "gateway/dispatch/request_driver.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// Whose prompt is to be counted, as the request came.
struct CountRequest {
  RequestId request;
  std::string trace_id;
  std::string_view surface;  ///< a literal
  std::shared_ptr<const Principal> principal;
  Mono received;
  std::optional<Duration> budget;  ///< the client's, from when the request came
};

struct CountedPrompt {
  std::int64_t tokens = 0;
  RateStatus limits;
};

/// The tokens of a prompt as the model's own template and tokenizer have them, so that they are what an answer to the
/// same conversation would be charged for. A worker counts: the tokenizers are with them. It costs no money and no
/// place in the queue; limits on requests count it. What was counted is in metrics and log; a refusal is the caller's
/// to tell there. `serving` and `plan` outlive the call.
awaitable<std::expected<CountedPrompt, Refusal>> count_prompt(Serving& serving, CountRequest request, const Plan& plan);

}  // namespace tidegate::gateway
