#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/core/ids.h"
#include "base/net/http_server.h"
#include "gateway/core/api_error.h"
#include "gateway/core/plan.h"
#include "gateway/dispatch/request_driver.h"
#include "gateway/http/answer_dialect.h"
#include "gateway/http/dialect_shape.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// One exchange on its way through the API, on the io thread of its connection. Everything outlives the exchange.
struct HttpCall {
  HttpExchange& exchange;
  Serving& serving;
  const DialectShape& shape;
  std::string_view surface;  ///< for metrics, logs and bills: a literal
  RequestId request;
};

/// Serves what a dialect's parser made of the request: money, queue, worker, answer, log line. Returns after the last
/// byte. `fence` is asked before anything is handed over or charged; null = nothing to ask.
awaitable<void> serve_plan(HttpCall call, std::shared_ptr<const Principal> principal, Plan plan,
                           std::unique_ptr<AnswerDialect> dialect, ChargeFence* fence);

/// 200 with this JSON, counted; or the refusal. `also`: headers of the former.
awaitable<void> reply_call(HttpCall call, Result<std::string> body, HttpHeaders also);

/// Answers, counts and logs a request that never reached the driver. `allow` is the header of a 405; "" = none.
awaitable<void> refuse_call(HttpCall call, Refusal refusal, std::string_view allow = {});

}  // namespace tidegate::gateway
