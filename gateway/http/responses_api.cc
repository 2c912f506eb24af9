#include "gateway/http/responses_api.h"

#include <memory>
#include <optional>
#include <utility>

#include "gateway/http/responses_answer.h"
#include "gateway/http/responses_parse.h"

namespace tidegate::gateway {
namespace {

constexpr DialectShape kResponses = {"http.responses", "", responses_error_body};
constexpr DialectShape kOther = {"http.other", "", responses_error_body};
constexpr std::string_view kRoute = "/responses";

std::string_view route_of(std::string_view path) {
  constexpr std::string_view kVersion = "/v1";
  return path.starts_with("/v1/") ? path.substr(kVersion.size()) : path;
}

/// Why this path and method are not served; nullopt when they are.
std::optional<Refusal> refuse_route(std::string_view route, std::string_view method) {
  if (route != kRoute) {
    return Refusal(
        Error(Code::kNotFound, "not_found", "Responses are not kept: there is nothing here but POST /v1/responses."));
  }
  if (method != "POST") {
    return Refusal(Error(Code::kUnimplemented, "method_not_allowed", "This path takes POST only."));
  }
  return std::nullopt;
}

}  // namespace

ResponsesApi::ResponsesApi(const Principals& principals, IdSource& ids, std::vector<Serving*> lanes)
    : principals_(principals), ids_(ids), lanes_(std::move(lanes)) {}

bool ResponsesApi::owns(std::string_view path) {
  const std::string_view route = route_of(path);
  return route.starts_with(kRoute) && (route.size() == kRoute.size() || route[kRoute.size()] == '/');
}

awaitable<void> ResponsesApi::handle(HttpExchange& exchange) {
  const std::string_view route = route_of(exchange.request().path);
  auto refused = refuse_route(route, exchange.request().method);
  const DialectShape& shape = refused ? kOther : kResponses;
  const HttpCall call{exchange, *lanes_[exchange.lane()], shape, RequestId{ids_.next()}};
  if (!refused) co_return co_await create(call);
  const std::string_view allow = route == kRoute ? "POST" : "";
  co_await refuse_call(call, *std::move(refused), allow);
}

awaitable<void> ResponsesApi::create(HttpCall call) {
  const HttpRequest& http = call.exchange.request();
  auto principal = principals_.authenticate(bearer_of(http.header("authorization")));
  if (!principal) {
    Refusal refusal(std::move(principal).error());
    co_return co_await refuse_call(call, std::move(refusal));
  }
  auto plan = parse_responses(http.body);
  if (!plan) {
    Refusal refusal(std::move(plan).error());
    co_return co_await refuse_call(call, std::move(refusal));
  }
  std::unique_ptr<AnswerDialect> dialect = std::make_unique<ResponsesDialect>(plan->sampling);
  co_await serve_plan(call, *std::move(principal), *std::move(plan), std::move(dialect));
}

}  // namespace tidegate::gateway
