#include "gateway/http/count_tokens.h"

#include <string>
#include <utility>

#include "gateway/dispatch/prompt_count.h"
#include "gateway/http/anthropic_parse.h"
#include "gateway/http/http_sink.h"
#include "gateway/http/rate_headers.h"
#include "gateway/http/request_pace.h"

namespace tidegate::gateway {

awaitable<void> serve_count(HttpCall call, std::shared_ptr<const Principal> caller) {
  const HttpRequest& http = call.exchange.request();
  const auto budget = find_budget(http);
  if (!budget) {
    Refusal refusal(budget.error());
    co_return co_await refuse_call(call, std::move(refusal));
  }
  auto plan = parse_anthropic_count(http.body);
  if (!plan) {
    Refusal refusal(std::move(plan).error());
    co_return co_await refuse_call(call, std::move(refusal));
  }
  CountRequest request;
  request.request = call.request;
  request.trace_id = trace_of(http, call.request).trace_id;
  request.surface = call.surface;
  request.principal = std::move(caller);
  request.received = http.received;
  request.budget = *budget;
  auto counting = count_prompt(call.serving, std::move(request), *plan);
  auto counted = co_await std::move(counting);
  if (!counted) {
    Refusal refusal = std::move(counted).error();
    co_return co_await refuse_call(call, std::move(refusal));
  }
  HttpResponse response(200, "{\"input_tokens\":" + std::to_string(counted->tokens) + "}");
  response.headers = answer_headers(call.shape, call.request, http, call.serving.clock.mono());
  append_rate_headers(response.headers, counted->limits);
  co_await call.exchange.respond(std::move(response));
}

}  // namespace tidegate::gateway
