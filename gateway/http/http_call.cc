#include "gateway/http/http_call.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "gateway/http/http_sink.h"
#include "gateway/http/request_pace.h"

namespace tidegate::gateway {

awaitable<void> serve_plan(HttpCall call, std::shared_ptr<const Principal> principal, Plan plan,
                           std::unique_ptr<AnswerDialect> dialect, ChargeFence* fence) {
  const Clock& clock = call.serving.clock;
  auto budget = find_budget(call.exchange.request());
  if (!budget) {
    Refusal refusal(std::move(budget).error());
    co_return co_await refuse_call(call, std::move(refusal));
  }
  AnswerHead head;
  head.request = call.request;
  head.model = plan.model;
  head.created = clock.wall();
  if (plan.names_tier) head.service_tier = tier_name(grant_tier(plan.tier, principal->tier_max));
  std::unique_ptr<AnswerSink> sink;
  if (plan.is_stream) {
    sink = std::make_unique<HttpStreamSink>(call.exchange, clock, call.shape, std::move(head), std::move(dialect));
  } else {
    sink = std::make_unique<HttpBodySink>(call.exchange, clock, call.shape, std::move(head), std::move(dialect),
                                          call.serving.limits.blank_lines_after);
  }
  RequestContext context;
  context.request = call.request;
  context.trace_id = trace_of(call.exchange.request(), call.request).trace_id;
  context.surface = call.surface;
  context.principal = std::move(principal);
  context.plan = std::move(plan);
  context.received = call.exchange.request().received;
  context.fence = fence;
  context.budget = *budget;
  RequestDriver driver(call.serving, std::move(context), *sink, call.exchange.executor());
  call.exchange.on_gone([inbox = &driver.inbox()] { inbox->on_client_gone(); });
  co_await driver.run();
}

awaitable<void> reply_call(HttpCall call, Result<std::string> body, HttpHeaders also) {
  if (!body) {
    Refusal refusal(std::move(body).error());
    co_return co_await refuse_call(call, std::move(refusal));
  }
  HttpResponse response(200, *std::move(body));
  response.headers = answer_headers(call.shape, call.request, call.exchange.request(), call.serving.clock.mono());
  std::ranges::move(also, std::back_inserter(response.headers));
  call.serving.metrics.requests("", call.surface, 200).add();
  co_await call.exchange.respond(std::move(response));
}

awaitable<void> refuse_call(HttpCall call, Refusal refusal, std::string_view allow) {
  const ApiError error = call.shape.wire_error(refusal);
  Serving& serving = call.serving;
  const HttpRequest& http = call.exchange.request();
  const Mono now = serving.clock.mono();
  const Duration took = now - http.received;
  serving.metrics.requests("", call.surface, error.http_status).add();
  serving.metrics.refusals(refusal.error.reason).add();
  serving.log.info("request", {kv("request_id", call.request.to_string()), kv("surface", call.surface),
                               kv("trace_id", trace_of(http, call.request).trace_id),
                               kv("status", error.http_status), kv("reason", refusal.error.reason),
                               kv("field", refusal.error.field),
                               kv("total_us", std::chrono::duration_cast<std::chrono::microseconds>(took).count())});
  HttpResponse response =
      error_response(call.shape, error, call.request, answer_headers(call.shape, call.request, http, now));
  if (!allow.empty()) response.headers.emplace_back("Allow", allow);
  co_await call.exchange.respond(std::move(response));
}

}  // namespace tidegate::gateway
