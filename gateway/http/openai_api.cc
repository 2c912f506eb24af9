#include "gateway/http/openai_api.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/core/encoding.h"
#include "gateway/http/json_text.h"
#include "gateway/http/key_use.h"
#include "gateway/http/openai_chat_parse.h"
#include "gateway/http/openai_models.h"
#include "gateway/http/openai_sink.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kChatSurface = "http.chat";
constexpr std::string_view kModelsSurface = "http.models";
constexpr std::string_view kNoSurface = "http.other";
constexpr std::string_view kReceiptsSurface = "http.receipts";
constexpr std::string_view kModelsPath = "/models";
constexpr std::string_view kReceiptsPath = "/receipts/";

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

/// "/v1/models" and "/models" are one route: some clients put /v1 in their base URL, some do not.
std::string_view without_version(std::string_view path) {
  constexpr std::string_view kVersion = "/v1";
  return path.starts_with("/v1/") ? path.substr(kVersion.size()) : path;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
}

}  // namespace

std::string_view bearer_of(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size() || !equals_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return {};
  }
  std::string_view token = authorization.substr(kScheme.size());
  while (!token.empty() && token.front() == ' ') token.remove_prefix(1);
  return token;
}

OpenAiApi::OpenAiApi(const Principals& principals, IdSource& ids, const Clock& clock, std::vector<Serving*> lanes,
                     ReceiptArchive* receipts, OpenAiOptions options)
    : principals_(principals),
      ids_(ids),
      clock_(clock),
      lanes_(std::move(lanes)),
      receipts_(receipts),
      options_(std::move(options)),
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
  const PostRoute* post = nullptr;
  if (http.method == "POST" && http.head.count(kIdempotencyHeader) > 0)
    post = find_post_route(without_version(http.path));
  if (post == nullptr) co_return co_await route(exchange, serving, request, nullptr);
  std::string key_text(key_text_of(http));
  const auto caller = principals_.authenticate(key_text, key_use_of(http, post->scope, options_.proxies));
  // Whoever may not call at all hears it from the route, in its own words.
  if (!caller) co_return co_await route(exchange, serving, request, nullptr);
  if (options_.idempotency.empty()) {
    Refusal refusal(Error(Code::kUnimplemented, "unsupported_parameter",
                          "This installation keeps no answers, so it takes no Idempotency-Key: leave the header out.",
                          kIdempotencyHeader));
    co_return co_await refuse(exchange, serving, request, post->surface, std::move(refusal));
  }
  const IdempotencyDesk::Work answer = [this, &exchange, &serving, request](ChargeFence* fence) {
    return route(exchange, serving, request, fence);
  };
  IdempotencyDesk& desk = *options_.idempotency[exchange.lane()];
  auto served = co_await desk.serve(exchange, **caller, std::move(key_text), request, answer);
  switch (served.how) {
    case IdempotencyDesk::How::kRun:
      break;
    case IdempotencyDesk::How::kReplayed:
      serving.metrics.requests("", post->surface, served.status).add();
      break;
    case IdempotencyDesk::How::kRefused:
      co_await refuse(exchange, serving, request, post->surface, std::move(served.refusal));
      break;
  }
}

awaitable<void> OpenAiApi::route(HttpExchange& exchange, Serving& serving, RequestId request, ChargeFence* fence) {
  const HttpRequest& http = exchange.request();
  const std::string_view path = without_version(http.path);

  const bool is_chat = path == "/chat/completions";
  const bool is_models = path == kModelsPath || path.starts_with("/models/");
  const std::string_view allowed = is_chat ? "POST" : "GET";
  const bool is_receipt = receipts_ != nullptr && path.starts_with(kReceiptsPath) && path.size() > kReceiptsPath.size();
  if (!is_chat && !is_models && !is_receipt) {
    Refusal refusal(Error(Code::kNotFound, "not_found",
                          "This path does not exist here; see POST /v1/chat/completions and GET /v1/models."));
    co_await refuse(exchange, serving, request, kNoSurface, std::move(refusal));
  } else if (http.method != allowed) {
    Refusal refusal(Error(Code::kUnimplemented, "method_not_allowed",
                          "This path takes " + std::string(allowed) + " only."));
    co_await refuse(exchange, serving, request, kNoSurface, std::move(refusal), allowed);
  } else if (is_chat) {
    co_await chat(exchange, serving, request, fence);
  } else if (is_receipt) {
    co_await receipts(exchange, serving, request, std::string(path.substr(kReceiptsPath.size())));
  } else {
    const std::string_view one = path.size() > kModelsPath.size() ? path.substr(kModelsPath.size() + 1) : "";
    co_await models(exchange, serving, request, one);
  }
}

awaitable<void> OpenAiApi::chat(HttpExchange& exchange, Serving& serving, RequestId request, ChargeFence* fence) {
  const HttpRequest& http = exchange.request();
  auto principal = caller_of(exchange, KeyScope::kChat);
  if (!principal) {
    Refusal refusal(std::move(principal).error());
    co_return co_await refuse(exchange, serving, request, kChatSurface, std::move(refusal));
  }
  auto plan = parse_openai_chat(http.body);
  if (!plan) {
    Refusal refusal(std::move(plan).error());
    co_return co_await refuse(exchange, serving, request, kChatSurface, std::move(refusal));
  }

  OpenAiHead head;
  head.request = request;
  head.model = plan->model;
  head.created = clock_.wall();
  std::unique_ptr<AnswerSink> sink;
  if (plan->is_stream) {
    sink = std::make_unique<OpenAiStreamSink>(exchange, clock_, std::move(head), plan->include_usage);
  } else {
    sink = std::make_unique<OpenAiBodySink>(exchange, clock_, std::move(head));
  }
  RequestContext context;
  context.request = request;
  context.surface = kChatSurface;
  context.principal = *std::move(principal);
  context.plan = *std::move(plan);
  context.received = http.received;
  context.fence = fence;
  RequestDriver driver(serving, std::move(context), *sink, exchange.executor());
  exchange.on_gone([inbox = &driver.inbox()] { inbox->on_client_gone(); });
  co_await driver.run();
}

awaitable<void> OpenAiApi::models(HttpExchange& exchange, Serving& serving, RequestId request, std::string_view one) {
  const HttpRequest& http = exchange.request();
  auto principal = caller_of(exchange, KeyScope::kModels);
  if (!principal) {
    Refusal refusal(std::move(principal).error());
    co_return co_await refuse(exchange, serving, request, kModelsSurface, std::move(refusal));
  }
  const RouteTable& routes = serving.dispatcher.routes();
  HttpResponse response(200);
  if (one.empty()) {
    response.body = openai_model_list(routes, **principal, serving.meter, started_s_);
  } else if (auto model = openai_model(routes, **principal, serving.meter, started_s_, one)) {
    response.body = *std::move(model);
  } else {
    Refusal refusal(Error(Code::kNotFound, "model_not_found", "The model does not exist, or this key may not call it.",
                          "model"));
    co_return co_await refuse(exchange, serving, request, kModelsSurface, std::move(refusal));
  }
  response.headers = openai_headers(request, clock_.mono() - http.received);
  serving.metrics.requests("", kModelsSurface, 200).add();
  co_await exchange.respond(std::move(response));
}

Result<std::shared_ptr<const Principal>> OpenAiApi::caller_of(const HttpExchange& exchange, KeyScope scope) const {
  const HttpRequest& http = exchange.request();
  return principals_.authenticate(bearer_of(http.header("authorization")), key_use_of(http, scope, options_.proxies));
}

awaitable<void> OpenAiApi::receipts(HttpExchange& exchange, Serving& serving, RequestId request, std::string one) {
  HttpResponse response(200);
  Status found;
  if (one == "keys") {
    auto asking = receipts_->keys();
    const auto keys = co_await std::move(asking);
    if (keys) {
      response.body = receipt_keys_json(*keys);
    } else {
      found = fail(keys.error());
    }
  } else {
    const auto caller = caller_of(exchange, KeyScope::kReceipts);
    if (caller) {
      auto asking = receipts_->find((*caller)->tenant, one);
      const auto receipt = co_await std::move(asking);
      if (receipt) {
        response.body = receipt_json(one, *receipt);
      } else {
        found = fail(receipt.error());
      }
    } else {
      found = fail(caller.error());
    }
  }
  if (!found) {
    Refusal refusal(std::move(found).error());
    co_return co_await refuse(exchange, serving, request, kReceiptsSurface, std::move(refusal));
  }
  response.headers = openai_headers(request, clock_.mono() - exchange.request().received);
  serving.metrics.requests("", kReceiptsSurface, 200).add();
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
