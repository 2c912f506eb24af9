#include "gateway/dispatch/prompt_count.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace tidegate::gateway {
namespace {

/// Counting takes milliseconds: a worker that is silent for so long will not answer.
constexpr Duration kCountMost = std::chrono::seconds(10);

/// Where it is counted, once the caller may ask for it.
Result<ServingPool> counting_pool(const Serving& serving, const Principal& caller, const Plan& plan) {
  auto pool = serving.dispatcher.routes().pool_for(plan.model, caller.regions);
  if (!pool && pool.error().code == Code::kNotFound) return pool;
  if (!caller.may_call(plan.model)) {
    return fail(Code::kPermissionDenied, "model_not_allowed",
                "This key may not call the model; ask for it in the project's settings, or use another key.", "model");
  }
  return pool;
}

void tell_counted(Serving& serving, const CountRequest& request, const std::string& model, std::int64_t tokens) {
  const Duration took = serving.clock.mono() - request.received;
  serving.metrics.requests(model, request.surface, 200).add();
  serving.log.info(
      "request", {kv("request_id", request.request.to_string()), kv("surface", request.surface),
                  kv("trace_id", request.trace_id), kv("status", 200), kv("model", model), kv("prompt_tokens", tokens),
                  kv("total_us", std::chrono::duration_cast<std::chrono::microseconds>(took).count())});
}

}  // namespace

awaitable<std::expected<CountedPrompt, Refusal>> count_prompt(Serving& serving, CountRequest request,
                                                              const Plan& plan) {
  auto pool = counting_pool(serving, *request.principal, plan);
  if (!pool) {
    Refusal refusal(std::move(pool).error());
    co_return std::unexpected(std::move(refusal));
  }
  const std::string model = pool->model;
  RateAdmission admission;
  if (serving.rates != nullptr) {
    RateRequest asked;
    asked.principal = request.principal;
    asked.model = model;
    auto admitting = serving.rates->admit(std::move(asked));
    admission = co_await std::move(admitting);
  }
  if (admission.refused) co_return std::unexpected(*std::move(admission.refused));
  const Duration most = std::min(request.budget.value_or(kCountMost), kCountMost);
  auto counting = serving.dispatcher.count(*std::move(pool), plan, Deadline::after(request.received, most));
  auto counted = co_await std::move(counting);
  if (admission.permit) admission.permit->settle(0);
  if (!counted) co_return std::unexpected(std::move(counted).error());
  tell_counted(serving, request, model, *counted);
  CountedPrompt count;
  count.tokens = *counted;
  count.limits = admission.status;
  co_return count;
}

}  // namespace tidegate::gateway
