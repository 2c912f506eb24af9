#include "gateway/http/anthropic_api.h"

#include <optional>
#include <utility>

#include "gateway/http/anthropic_answer.h"
#include "gateway/http/anthropic_parse.h"

namespace tidegate::gateway {
namespace {

constexpr DialectShape kMessages = {"http.messages", "request-id", anthropic_error_body};
constexpr DialectShape kOther = {"http.other", "request-id", anthropic_error_body};
constexpr std::string_view kMount = "/anthropic/";
constexpr std::string_view kRoute = "/messages";
constexpr std::string_view kCountRoute = "/messages/count_tokens";

/// Without the mount and the version: "/anthropic/v1/messages", "/v1/messages" and "/messages" are one route.
std::string_view route_of(std::string_view path) {
  if (path.starts_with(kMount)) path.remove_prefix(kMount.size() - 1);
  constexpr std::string_view kVersion = "/v1";
  if (path.starts_with("/v1/")) path.remove_prefix(kVersion.size());
  return path;
}

/// Why this path and method are not served; nullopt when they are.
std::optional<Refusal> refuse_route(std::string_view route, std::string_view method) {
  if (route == kCountRoute) {
    // Only the workers hold a model's tokenizer. A guess would be taken for a measurement.
    return Refusal(Error(Code::kNotFound, "not_found",
                         "Counting tokens without an answer is not served: no text has more tokens than bytes, and the "
                         "usage of an answer has the exact count."));
  }
  if (route != kRoute) {
    return Refusal(Error(Code::kNotFound, "not_found", "This path does not exist here; see POST /v1/messages."));
  }
  if (method != "POST") {
    return Refusal(Error(Code::kUnimplemented, "method_not_allowed", "This path takes POST only."));
  }
  return std::nullopt;
}

}  // namespace

AnthropicApi::AnthropicApi(const Principals& principals, IdSource& ids, std::vector<Serving*> lanes)
    : principals_(principals), ids_(ids), lanes_(std::move(lanes)) {}

bool AnthropicApi::owns(std::string_view path) {
  if (path.starts_with(kMount)) return true;
  const std::string_view route = route_of(path);
  return route.starts_with(kRoute) && (route.size() == kRoute.size() || route[kRoute.size()] == '/');
}

awaitable<void> AnthropicApi::handle(HttpExchange& exchange) {
  const std::string_view route = route_of(exchange.request().path);
  auto refused = refuse_route(route, exchange.request().method);
  const DialectShape& shape = refused ? kOther : kMessages;
  const HttpCall call{exchange, *lanes_[exchange.lane()], shape, RequestId{ids_.next()}};
  if (!refused) co_return co_await messages(call);
  const std::string_view allow = route == kRoute ? "POST" : "";
  co_await refuse_call(call, *std::move(refused), allow);
}

awaitable<void> AnthropicApi::messages(HttpCall call) {
  const HttpRequest& http = call.exchange.request();
  auto principal = caller_of(http);
  if (!principal) {
    Refusal refusal(std::move(principal).error());
    co_return co_await refuse_call(call, std::move(refusal));
  }
  auto plan = parse_anthropic_messages(http.body);
  if (!plan) {
    Refusal refusal(std::move(plan).error());
    co_return co_await refuse_call(call, std::move(refusal));
  }
  std::unique_ptr<AnswerDialect> dialect = std::make_unique<AnthropicDialect>();
  co_await serve_plan(call, *std::move(principal), *std::move(plan), std::move(dialect));
}

Result<std::shared_ptr<const Principal>> AnthropicApi::caller_of(const HttpRequest& http) const {
  const std::string_view own = http.header("x-api-key");
  const std::string_view bearer = bearer_of(http.header("authorization"));
  // A client behind a proxy may carry both, one of them meant for somebody else: either may be ours.
  if (!own.empty()) {
    auto principal = principals_.authenticate(own);
    if (principal || bearer.empty() || principal.error().code != Code::kUnauthenticated) return principal;
  }
  return principals_.authenticate(bearer);
}

}  // namespace tidegate::gateway
