#include "gateway/http/openai_api.h"

#include <utility>

#include "base/core/encoding.h"
#include "gateway/http/completion_answer.h"
#include "gateway/http/completion_parse.h"
#include "gateway/http/deepseek_balance.h"
#include "gateway/http/http_call.h"
#include "gateway/http/json_text.h"
#include "gateway/http/openai_answer.h"
#include "gateway/http/openai_chat_parse.h"
#include "gateway/http/openai_models.h"
#include "gateway/http/openai_sink.h"
#include "gateway/http/openapi.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kNoSurface = "http.other";

std::string receipt_json(const std::string& request_id, std::string_view receipt) {
  std::string out = R"({"object":"receipt","request_id":)";
  append_json_text(out, request_id);
  out += R"(,"receipt":)";
  append_json_text(out, base64url_encode(receipt));
  return out + "}";
}

std::string receipt_keys_json(const std::vector<ReceiptArchive::Key>& keys) {
  std::string out = R"({"object":"list","keys":[)";
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const ReceiptArchive::Key& key = keys[i];
    out += i == 0 ? R"({"key_id":)" : R"(,{"key_id":)";
    append_json_text(out, key.key_id);
    out += R"(,"signer":)";
    append_json_text(out, key.signer);
    out += R"(,"deployment":)";
    append_json_text(out, key.deployment);
    out += R"(,"public_key":)";
    append_json_text(out, base64url_encode(key.public_key));
    out += R"(,"valid_from_us":)" + std::to_string(key.valid_from_us);
    out += R"(,"valid_to_us":)" + std::to_string(key.valid_to_us) + "}";
  }
  return out + "]}";
}

}  // namespace

OpenAiApi::OpenAiApi(const Principals& principals, IdSource& ids, const Clock& clock, std::vector<Serving*> lanes,
                     ReceiptArchive* receipts, Balances* balances)
    : principals_(principals),
      ids_(ids),
      clock_(clock),
      lanes_(std::move(lanes)),
      receipts_(receipts),
      balances_(balances),
      started_s_(unix_micros(clock.wall()) / 1'000'000) {}

std::string OpenAiApi::render_error(const Error& error, int http_status) {
  ApiError wire = to_api_error(error);
  wire.http_status = http_status;
  std::string body;
  append_error_json(body, wire);
  return body;
}

awaitable<void> OpenAiApi::handle(HttpExchange& exchange) {
  Serving& serving = *lanes_[exchange.lane()];
  const RequestId request{ids_.next()};
  const HttpRequest& http = exchange.request();
  const RouteMatch match = match_route(http.method, http.path);
  if (!match.allow.empty() && match.route == nullptr) {
    Refusal refusal(Error(Code::kUnimplemented, "method_not_allowed", "This path takes " + match.allow + " only."));
    co_return co_await refuse(exchange, serving, request, kNoSurface, std::move(refusal), match.allow);
  }
  if (!has_route(match)) {
    Refusal refusal(Error(Code::kNotFound, "not_found",
                          "This path does not exist here; GET /openapi.json lists those that do."));
    co_return co_await refuse(exchange, serving, request, kNoSurface, std::move(refusal));
  }
  const std::string_view surface = match.route->surface;
  switch (match.route->id) {
    case RouteId::kChat: co_await chat(exchange, serving, request, surface); break;
    case RouteId::kCompletions: co_await completions(exchange, serving, request, surface); break;
    case RouteId::kModelList:
    case RouteId::kModel: co_await models(exchange, serving, request, surface, match.argument); break;
    case RouteId::kBalance: co_await balance(exchange, serving, request, surface); break;
    case RouteId::kReceiptKeys:
    case RouteId::kReceipt: {
      std::string one(match.argument);
      co_await receipts(exchange, serving, request, surface, std::move(one));
      break;
    }
    case RouteId::kOpenApi: {
      std::string document = openapi_document();
      co_await reply(exchange, serving, request, surface, std::move(document));
      break;
    }
  }
}

bool OpenAiApi::has_route(const RouteMatch& match) const {
  if (match.route == nullptr) return false;
  switch (match.route->id) {
    case RouteId::kBalance: return balances_ != nullptr;
    case RouteId::kReceiptKeys:
    case RouteId::kReceipt: return receipts_ != nullptr;
    case RouteId::kChat:
    case RouteId::kCompletions:
    case RouteId::kModelList:
    case RouteId::kModel:
    case RouteId::kOpenApi: return true;
  }
  return false;
}

awaitable<void> OpenAiApi::chat(HttpExchange& exchange, Serving& serving, RequestId request, std::string_view surface) {
  auto principal = caller_of(exchange);
  if (!principal) {
    Refusal refusal(std::move(principal).error());
    co_return co_await refuse(exchange, serving, request, surface, std::move(refusal));
  }
  auto plan = parse_openai_chat(exchange.request().body);
  if (!plan) {
    Refusal refusal(std::move(plan).error());
    co_return co_await refuse(exchange, serving, request, surface, std::move(refusal));
  }
  auto form = make_chat_form(plan->include_usage);
  RequestContext context;
  context.request = request;
  context.surface = surface;
  context.principal = *std::move(principal);
  context.plan = *std::move(plan);
  co_await generate(exchange, serving, std::move(context), std::move(form));
}

awaitable<void> OpenAiApi::completions(HttpExchange& exchange, Serving& serving, RequestId request,
                                       std::string_view surface) {
  auto principal = caller_of(exchange);
  if (!principal) {
    Refusal refusal(std::move(principal).error());
    co_return co_await refuse(exchange, serving, request, surface, std::move(refusal));
  }
  auto asked = parse_completion(exchange.request().body);
  if (!asked) {
    Refusal refusal(std::move(asked).error());
    co_return co_await refuse(exchange, serving, request, surface, std::move(refusal));
  }
  std::string echo = asked->echo ? asked->plan.raw->text : std::string();
  auto form = make_completion_form(asked->plan.include_usage, std::move(echo));
  RequestContext context;
  context.request = request;
  context.surface = surface;
  context.principal = *std::move(principal);
  context.plan = std::move(asked->plan);
  co_await generate(exchange, serving, std::move(context), std::move(form));
}

awaitable<void> OpenAiApi::generate(HttpExchange& exchange, Serving& serving, RequestContext context,
                                    std::unique_ptr<AnswerForm> form) {
  context.received = exchange.request().received;
  AnswerHead head;
  head.request = context.request;
  head.model = context.plan.model;
  head.created = clock_.wall();
  std::unique_ptr<AnswerSink> sink;
  if (context.plan.is_stream) {
    sink = std::make_unique<OpenAiStreamSink>(exchange, clock_, std::move(head), std::move(form));
  } else {
    sink = std::make_unique<OpenAiBodySink>(exchange, clock_, std::move(head), std::move(form),
                                            serving.limits.blank_lines_after);
  }
  RequestDriver driver(serving, std::move(context), *sink, exchange.executor());
  exchange.on_gone([inbox = &driver.inbox()] { inbox->on_client_gone(); });
  co_await driver.run();
}

awaitable<void> OpenAiApi::models(HttpExchange& exchange, Serving& serving, RequestId request, std::string_view surface,
                                  std::string_view one) {
  const auto principal = caller_of(exchange);
  if (!principal) {
    Refusal refusal(principal.error());
    co_return co_await refuse(exchange, serving, request, surface, std::move(refusal));
  }
  const RouteTable& routes = serving.dispatcher.routes();
  std::string body;
  if (one.empty()) {
    body = openai_model_list(routes, **principal, serving.meter, started_s_);
  } else if (auto model = openai_model(routes, **principal, serving.meter, started_s_, one)) {
    body = *std::move(model);
  } else {
    Refusal refusal(Error(Code::kNotFound, "model_not_found", "The model does not exist, or this key may not call it.",
                          "model"));
    co_return co_await refuse(exchange, serving, request, surface, std::move(refusal));
  }
  co_await reply(exchange, serving, request, surface, std::move(body));
}

Result<std::shared_ptr<const Principal>> OpenAiApi::caller_of(const HttpExchange& exchange) const {
  return principals_.authenticate(bearer_of(exchange.request().header("authorization")));
}

awaitable<void> OpenAiApi::receipts(HttpExchange& exchange, Serving& serving, RequestId request,
                                    std::string_view surface, std::string one) {
  std::string body;
  Status found;
  if (one.empty()) {
    auto asking = receipts_->keys();
    const auto keys = co_await std::move(asking);
    if (keys) {
      body = receipt_keys_json(*keys);
    } else {
      found = fail(keys.error());
    }
  } else {
    const auto caller = caller_of(exchange);
    if (caller) {
      auto asking = receipts_->find((*caller)->tenant, one);
      const auto receipt = co_await std::move(asking);
      if (receipt) {
        body = receipt_json(one, *receipt);
      } else {
        found = fail(receipt.error());
      }
    } else {
      found = fail(caller.error());
    }
  }
  if (!found) {
    Refusal refusal(std::move(found).error());
    co_return co_await refuse(exchange, serving, request, surface, std::move(refusal));
  }
  co_await reply(exchange, serving, request, surface, std::move(body));
}

awaitable<void> OpenAiApi::balance(HttpExchange& exchange, Serving& serving, RequestId request,
                                   std::string_view surface) {
  const auto caller = caller_of(exchange);
  if (!caller) {
    Refusal refusal(caller.error());
    co_return co_await refuse(exchange, serving, request, surface, std::move(refusal));
  }
  auto asking = balances_->find((*caller)->tenant, (*caller)->wallet);
  const auto found = co_await std::move(asking);
  if (!found) {
    Refusal refusal(found.error());
    co_return co_await refuse(exchange, serving, request, surface, std::move(refusal));
  }
  std::string body = deepseek_balance(*found);
  co_await reply(exchange, serving, request, surface, std::move(body));
}

awaitable<void> OpenAiApi::reply(HttpExchange& exchange, Serving& serving, RequestId request, std::string_view surface,
                                 std::string body) {
  HttpResponse response(200, std::move(body));
  response.headers = openai_headers(request, clock_.mono() - exchange.request().received);
  serving.metrics.requests("", surface, 200).add();
  co_await exchange.respond(std::move(response));
}

awaitable<void> OpenAiApi::refuse(HttpExchange& exchange, Serving& serving, RequestId request,
                                  std::string_view surface, Refusal refusal, std::string_view allow) {
  const ApiError error = to_api_error(refusal);
  const Duration took = clock_.mono() - exchange.request().received;
  serving.metrics.requests("", surface, error.http_status).add();
  serving.metrics.refusals(refusal.error.reason).add();
  serving.log.info("request", {kv("request_id", request.to_string()), kv("surface", surface),
                               kv("status", error.http_status), kv("reason", refusal.error.reason),
                               kv("field", refusal.error.field),
                               kv("total_us", std::chrono::duration_cast<std::chrono::microseconds>(took).count())});
  HttpResponse response = openai_error_response(error, openai_headers(request, took));
  if (!allow.empty()) response.headers.emplace_back("Allow", allow);
  co_await exchange.respond(std::move(response));
}

}  // namespace tidegate::gateway
