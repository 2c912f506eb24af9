#include "gateway/http/http_api.h"

#include <chrono>
#include <string>
#include <utility>

#include "gateway/http/anthropic_answer.h"
#include "gateway/http/anthropic_models.h"
#include "gateway/http/anthropic_parse.h"
#include "gateway/http/chat_answer.h"
#include "gateway/http/completion_answer.h"
#include "gateway/http/completion_parse.h"
#include "gateway/http/count_tokens.h"
#include "gateway/http/deepseek_balance.h"
#include "gateway/http/embedding_answer.h"
#include "gateway/http/embedding_parse.h"
#include "gateway/http/key_use.h"
#include "gateway/http/keyed_http.h"
#include "gateway/http/openai_chat_parse.h"
#include "gateway/http/openai_models.h"
#include "gateway/http/openapi.h"
#include "gateway/http/receipt_answer.h"
#include "gateway/http/responses_answer.h"
#include "gateway/http/responses_parse.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kNoSurface = "http.other";

/// What a dialect makes of a body: what to do, and how to word what comes of it.
struct Ask {
  Plan plan;
  std::unique_ptr<AnswerDialect> dialect;
};
using ReadAsk = Result<Ask> (*)(std::string_view body);

Result<Ask> read_chat(std::string_view body) {
  Ask ask;
  TG_ASSIGN(ChatRequest request, read_openai_chat(body));
  const CallForm form = request.is_legacy ? CallForm::kFunctionCall : CallForm::kToolCalls;
  ask.dialect = std::make_unique<ChatDialect>(request.plan.include_usage, form);
  ask.plan = std::move(request.plan);
  return ask;
}

Result<Ask> read_completion(std::string_view body) {
  TG_ASSIGN(CompletionRequest request, parse_completion(body));
  std::string echo = request.echo ? request.plan.raw->text : std::string();
  Ask ask;
  ask.dialect = std::make_unique<CompletionDialect>(request.plan.include_usage, std::move(echo));
  ask.plan = std::move(request.plan);
  return ask;
}

Result<Ask> read_messages(std::string_view body) {
  Ask ask;
  TG_ASSIGN(ask.plan, parse_anthropic_messages(body));
  ask.dialect = std::make_unique<AnthropicDialect>();
  return ask;
}

Result<Ask> read_responses(std::string_view body) {
  Ask ask;
  TG_ASSIGN(ask.plan, parse_responses(body));
  ask.dialect = std::make_unique<ResponsesDialect>(ask.plan.sampling, echo_of(ask.plan));
  return ask;
}

Result<Ask> read_embedding(std::string_view body) {
  Ask ask;
  TG_ASSIGN(EmbeddingRequest request, parse_embedding(body));
  ask.dialect = std::make_unique<EmbeddingDialect>(request.form);
  ask.plan = std::move(request.plan);
  return ask;
}

Error no_such_model() {
  return {Code::kNotFound, "model_not_found", "The model does not exist, or this key may not call it.", "model"};
}

/// From a body to the last byte of its answer.
awaitable<void> generate(HttpCall call, std::shared_ptr<const Principal> caller, ReadAsk read_ask,
                         ChargeFence* fence) {
  auto ask = read_ask(call.exchange.request().body);
  if (!ask) {
    Refusal refusal(std::move(ask).error());
    co_return co_await refuse_call(call, std::move(refusal));
  }
  co_await serve_plan(call, std::move(caller), std::move(ask->plan), std::move(ask->dialect), fence);
}

/// The same for a request with an Idempotency-Key: once for all its repeats. `desk` is null where no answers are kept.
awaitable<void> generate_once(HttpCall call, std::shared_ptr<const Principal> caller, std::string key_text,
                              ReadAsk read_ask, IdempotencyDesk* desk) {
  if (desk == nullptr) {
    Refusal refusal(Error(Code::kUnimplemented, "unsupported_parameter",
                          "This installation keeps no answers, so it takes no Idempotency-Key: leave the header out.",
                          kIdempotencyHeader));
    co_return co_await refuse_call(call, std::move(refusal));
  }
  const IdempotencyDesk::Work work = [&call, &caller, read_ask](ChargeFence* fence) {
    return generate(call, caller, read_ask, fence);
  };
  KeyedHttp keyed(call.exchange);
  auto served = co_await desk->serve(keyed, *caller, std::move(key_text), call.request, work);
  switch (served.how) {
    case IdempotencyDesk::How::kRun: break;
    case IdempotencyDesk::How::kReplayed:
      call.serving.metrics.requests("", call.surface, served.status).add();
      break;
    case IdempotencyDesk::How::kRefused: co_await refuse_call(call, std::move(served.refusal)); break;
  }
}

}  // namespace

HttpApi::HttpApi(const Principals& principals, IdSource& ids, const Clock& clock, std::vector<Serving*> lanes,
                 HttpApiParts parts)
    : principals_(principals),
      ids_(ids),
      lanes_(std::move(lanes)),
      parts_(std::move(parts)),
      proxies_(lanes_.size(), parts_.proxies),
      started_s_(unix_micros(clock.wall()) / 1'000'000) {}

std::string HttpApi::render_error(const Error& error, int http_status) {
  ApiError wire = to_api_error(error);
  wire.http_status = http_status;
  std::string body;
  append_error_json(body, wire);
  return body;
}

HttpHeaders HttpApi::error_headers(const Error& error, int http_status) const {
  const RequestId request{ids_.next()};
  // Of a request that came too slowly (408) nothing was done, and all SDKs send it again.
  const bool should_retry = to_api_error(error).should_retry || http_status == 408;
  lanes_.front()->log.info("request_unread", {kv("request_id", request.to_string()), kv("status", http_status),
                                              kv("reason", error.reason), kv("field", error.field)});
  HttpHeaders headers;
  headers.emplace_back("x-request-id", request.to_string());
  headers.emplace_back("x-should-retry", should_retry ? "true" : "false");
  return headers;
}

awaitable<void> HttpApi::handle(HttpExchange& exchange) {
  const HttpRequest& http = exchange.request();
  const RouteMatch match = match_route(http.method, http.path);
  HttpCall call{exchange, *lanes_[exchange.lane()], shape_of(match.dialect), kNoSurface, RequestId{ids_.next()}};
  if (auto refusal = refusal_of(match)) {
    co_return co_await refuse_call(call, *std::move(refusal), match.allow);
  }
  call.surface = match.route->surface;
  Caller caller;
  if (match.route->needs_key()) {
    auto found = caller_of(call, *match.route->scope);
    if (!found) {
      Refusal refusal(std::move(found).error());
      co_return co_await refuse_call(call, std::move(refusal));
    }
    caller = *std::move(found);
  }
  ReadAsk read_ask = nullptr;  // of a route that generates
  Result<std::string> body;    // of the others
  HttpHeaders also;            // with the body
  switch (match.route->id) {
    case RouteId::kChat: read_ask = read_chat; break;
    case RouteId::kCompletions: read_ask = read_completion; break;
    case RouteId::kMessages: read_ask = read_messages; break;
    case RouteId::kCountTokens: co_return co_await serve_count(call, std::move(caller.principal));
    case RouteId::kResponses: read_ask = read_responses; break;
    case RouteId::kEmbeddings: read_ask = read_embedding; break;
    case RouteId::kModelList:
    case RouteId::kModel: body = models(call, *caller.principal, match.argument); break;
    case RouteId::kAnthropicModelList:
    case RouteId::kAnthropicModel: body = anthropic_models(call, *caller.principal, match.argument); break;
    case RouteId::kBalance: body = co_await balance(*caller.principal, also); break;
    case RouteId::kReceiptKeys: body = co_await receipt_keys(); break;
    case RouteId::kReceipt: body = co_await receipt(*caller.principal, match.argument); break;
    case RouteId::kOpenApi: body = openapi_document(); break;
  }
  if (read_ask == nullptr) co_return co_await reply_call(call, std::move(body), std::move(also));
  if (http.head.count(kIdempotencyHeader) == 0) {
    co_return co_await generate(call, std::move(caller.principal), read_ask, nullptr);
  }
  std::string key_text(caller.key_text);
  co_await generate_once(call, std::move(caller.principal), std::move(key_text), read_ask, desk_of(call));
}

std::optional<Refusal> HttpApi::refusal_of(const RouteMatch& match) const {
  if (match.route != nullptr && has_route(*match.route)) return std::nullopt;
  if (match.route == nullptr && !match.allow.empty()) {
    return Refusal(Error(Code::kUnimplemented, "method_not_allowed", "This path takes " + match.allow + " only."));
  }
  return Refusal(Error(Code::kNotFound, "not_found", std::string(match.absence)));
}

bool HttpApi::has_route(const HttpRoute& route) const {
  switch (route.id) {
    case RouteId::kBalance: return parts_.balances != nullptr;
    case RouteId::kReceiptKeys:
    case RouteId::kReceipt: return parts_.receipts != nullptr;
    case RouteId::kChat:
    case RouteId::kCompletions:
    case RouteId::kMessages:
    case RouteId::kCountTokens:
    case RouteId::kResponses:
    case RouteId::kEmbeddings:
    case RouteId::kModelList:
    case RouteId::kModel:
    case RouteId::kAnthropicModelList:
    case RouteId::kAnthropicModel:
    case RouteId::kOpenApi: return true;
  }
  return false;
}

Result<HttpApi::Caller> HttpApi::caller_of(const HttpCall& call, KeyScope scope) const {
  const HttpRequest& http = call.exchange.request();
  const KeyUse use = key_use_of(http, scope, proxies_[call.exchange.lane()]);
  Error refused;
  for (const std::string_view text : key_texts_of(http, call.shape.key_header)) {
    auto principal = principals_.authenticate(text, use);
    if (principal) return Caller{*std::move(principal), text};
    refused = std::move(principal).error();
    if (refused.code != Code::kUnauthenticated) break;  // it is ours, and may not do this
  }
  return fail(std::move(refused));
}

IdempotencyDesk* HttpApi::desk_of(const HttpCall& call) const {
  return parts_.desks.empty() ? nullptr : parts_.desks[call.exchange.lane()];
}

Result<std::string> HttpApi::models(const HttpCall& call, const Principal& caller, std::string_view one) const {
  const RouteTable& routes = call.serving.dispatcher.routes();
  const Meter& meter = call.serving.meter;
  if (one.empty()) return openai_model_list(routes, caller, meter, started_s_);
  if (auto model = openai_model(routes, caller, meter, started_s_, one)) return *std::move(model);
  return fail(no_such_model());
}

Result<std::string> HttpApi::anthropic_models(const HttpCall& call, const Principal& caller,
                                              std::string_view one) const {
  const RouteTable& routes = call.serving.dispatcher.routes();
  const Meter& meter = call.serving.meter;
  if (one.empty()) return anthropic_model_list(routes, caller, meter, started_s_, call.exchange.request().query);
  if (auto model = anthropic_model(routes, caller, meter, started_s_, one)) return *std::move(model);
  return fail(no_such_model());
}

awaitable<Result<std::string>> HttpApi::balance(const Principal& caller, HttpHeaders& also) const {
  auto asking = parts_.balances->find(caller.tenant, caller.wallet);
  const auto found = co_await std::move(asking);
  if (!found) co_return fail(found.error());
  also.emplace_back("Age", std::to_string(std::chrono::duration_cast<std::chrono::seconds>(found->age).count()));
  co_return deepseek_balance(*found);
}

awaitable<Result<std::string>> HttpApi::receipt(const Principal& caller, std::string_view request_id) const {
  auto asking = parts_.receipts->find(caller.tenant, std::string(request_id));
  const auto found = co_await std::move(asking);
  if (!found) co_return fail(found.error());
  co_return receipt_json(request_id, *found);
}

awaitable<Result<std::string>> HttpApi::receipt_keys() const {
  auto asking = parts_.receipts->keys();
  const auto found = co_await std::move(asking);
  if (!found) co_return fail(found.error());
  co_return receipt_keys_json(*found);
}

}  // namespace tidegate::gateway
