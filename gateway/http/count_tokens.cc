#include "gateway/http/count_tokens.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "gateway/http/anthropic_parse.h"
#include "gateway/http/http_sink.h"
#include "gateway/http/rate_headers.h"
#include "gateway/http/request_pace.h"

namespace tidegate::gateway {
namespace {

/// Counting takes milliseconds: a worker that is silent for so long will not answer.
constexpr Duration kCountMost = std::chrono::seconds(10);

/// Where it is counted, once the caller may ask for it.
Result<ServingPool> pool_of(const HttpCall& call, const Principal& caller, const Plan& plan) {
  auto pool = call.serving.dispatcher.routes().pool_for(plan.model, caller.regions);
  if (!pool && pool.error().code == Code::kNotFound) return pool;
  if (!caller.may_call(plan.model)) {
    return fail(Code::kPermissionDenied, "model_not_allowed",
                "This key may not call the model; ask for it in the project's settings, or use another key.", "model");
  }
  return pool;
}

/// Answers, counts and logs one that was counted.
awaitable<void> reply(HttpCall call, const std::string& model, std::int64_t tokens, const RateStatus& limits) {
  const HttpRequest& http = call.exchange.request();
  const Mono now = call.serving.clock.mono();
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now - http.received).count();
  call.serving.metrics.requests(model, call.surface, 200).add();
  call.serving.log.info("request", {kv("request_id", call.request.to_string()), kv("surface", call.surface),
                                    kv("trace_id", trace_of(http, call.request).trace_id), kv("status", 200),
                                    kv("model", model), kv("prompt_tokens", tokens), kv("total_us", took)});
  HttpResponse response(200, "{\"input_tokens\":" + std::to_string(tokens) + "}");
  response.headers = answer_headers(call.shape, call.request, http, now);
  append_rate_headers(response.headers, limits);
  co_await call.exchange.respond(std::move(response));
}

}  // namespace

awaitable<void> serve_count(HttpCall call, std::shared_ptr<const Principal> caller) {
  const HttpRequest& http = call.exchange.request();
  Serving& serving = call.serving;
  const auto budget = find_budget(http);
  auto plan = parse_anthropic_count(http.body);
  Result<ServingPool> pool = ServingPool();
  if (!budget) {
    pool = fail(budget.error());
  } else if (!plan) {
    pool = fail(plan.error());
  } else {
    pool = pool_of(call, *caller, *plan);
  }
  if (!pool) {
    Refusal refusal(std::move(pool).error());
    co_return co_await refuse_call(call, std::move(refusal));
  }
  RateAdmission admission;
  if (serving.rates != nullptr) {
    RateRequest request;
    request.principal = caller;
    request.model = pool->model;
    auto admitting = serving.rates->admit(std::move(request));
    admission = co_await std::move(admitting);
  }
  if (admission.refused) {
    Refusal refusal = *std::move(admission.refused);
    co_return co_await refuse_call(call, std::move(refusal));
  }
  const Duration most = std::min(budget->value_or(kCountMost), kCountMost);
  const std::string model = pool->model;
  auto counting = serving.dispatcher.count(*std::move(pool), *plan, Deadline::after(http.received, most));
  auto counted = co_await std::move(counting);
  if (admission.permit) admission.permit->settle(0);
  if (!counted) {
    Refusal refusal = std::move(counted).error();
    co_return co_await refuse_call(call, std::move(refusal));
  }
  co_await reply(call, model, *counted, admission.status);
}

}  // namespace tidegate::gateway
