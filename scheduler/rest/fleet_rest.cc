#include "scheduler/rest/fleet_rest.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "base/core/deadline.h"
#include "scheduler/rest/message_json.h"

namespace tidegate::scheduler {

namespace {

constexpr auto kRestCallMax = std::chrono::seconds(30);
constexpr std::size_t kTokenBytesMax = 8192;  // with room below what gRPC takes as metadata
constexpr std::string_view kBearer = "Bearer ";

/// The header as it is passed on. Only what gRPC takes as metadata gets that far: it ends the process over anything
/// else. Fails: unauthenticated/missing_token, bad_token.
Result<std::string> authorization_of(const HttpRequest& request) {
  const std::string_view header = request.header("authorization");
  if (header.empty()) {
    return fail(Code::kUnauthenticated, "missing_token", "send the header 'Authorization: Bearer tga_...'",
                "authorization");
  }
  const auto is_plain = [](char c) { return c > ' ' && c <= '~'; };
  const bool is_bearer = header.starts_with(kBearer) && header.size() > kBearer.size();
  if (request.head.count("authorization") != 1 || !is_bearer || header.size() > kTokenBytesMax ||
      !std::all_of(header.begin() + kBearer.size(), header.end(), is_plain)) {
    return fail(Code::kUnauthenticated, "bad_token",
                "send one header 'Authorization: Bearer <token>', of 8,192 bytes at most", "authorization");
  }
  return std::string(header);
}

HttpResponse error_answer(const Error& error) {
  const int status = rest_status(error.code);
  HttpResponse response(status, render_plain_error(error, status));
  if (status == 503 || status == 429) response.headers.emplace_back("Retry-After", "1");
  if (status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

HttpResponse no_route(const RestMatch& match, std::string_view path) {
  if (match.allowed.empty()) {
    const Error error(
        Code::kNotFound, "unknown_route",
        "there is no '" + std::string(path.substr(0, 200)) + "' here; docs/api/fleet_rest.md lists what there is");
    return error_answer(error);
  }
  const Error error(Code::kInvalidArgument, "method_not_allowed", "this path has " + match.allowed);
  HttpResponse response(405, render_plain_error(error, 405));
  response.headers.emplace_back("Allow", match.allowed);
  return response;
}

template <typename Message>
Result<std::string> shown(const Result<Message>& answer) {
  if (!answer) return fail(answer.error());
  return rest_json(*answer);
}

/// The path names what is changed; a body that names something else is a slip of whoever sent it.
Status check_name(const std::string& in_body, const std::string& in_path) {
  if (in_body.empty() || in_body == in_path) return {};
  return fail(Code::kInvalidArgument, "name_differs",
              "the body names '" + in_body.substr(0, 200) + "', the path '" + in_path.substr(0, 200) +
                  "': leave name out of the body",
              "name");
}

}  // namespace

int rest_status(Code code) {
  switch (code) {
    case Code::kOk:
      return 200;
    case Code::kInvalidArgument:
    case Code::kOutOfRange:
      return 400;
    case Code::kUnauthenticated:
      return 401;
    case Code::kPermissionDenied:
      return 403;
    case Code::kNotFound:
      return 404;
    case Code::kAlreadyExists:
    case Code::kAborted:
    case Code::kFailedPrecondition:
      return 409;
    case Code::kResourceExhausted:
      return 429;
    case Code::kUnimplemented:
      return 501;
    case Code::kCancelled:
    case Code::kUnavailable:
      return 503;
    case Code::kDeadlineExceeded:
      return 504;
    case Code::kUnknown:
    case Code::kInternal:
    case Code::kDataLoss:
      return 500;
  }
  return 500;
}

template <typename Request, typename Response>
awaitable<Result<Response>> FleetRest::call(rpc::UnaryMethod<Admin, Request, Response> method, Request request,
                                            std::string authorization) {
  rpc::Metadata metadata;
  metadata.emplace_back("authorization", std::move(authorization));
  const Deadline deadline = Deadline::after(clock_.mono(), kRestCallMax);
  co_return co_await admin_.call_with(method, std::move(request), deadline, std::move(metadata));
}

awaitable<void> FleetRest::handle(HttpExchange& exchange) {
  const HttpRequest& request = exchange.request();
  const RestMatch match = match_rest(request.method, request.path);
  if (match.route == nullptr) {
    HttpResponse refusal = no_route(match, request.path);
    co_await exchange.respond(std::move(refusal));
    co_return;
  }
  Result<std::string> authorization = authorization_of(request);
  if (!authorization) {
    HttpResponse refusal = error_answer(authorization.error());
    co_await exchange.respond(std::move(refusal));
    co_return;
  }
  Ask ask;
  ask.call = match.route->call;
  ask.name = std::string(match.name);
  ask.body = std::string(request.body);
  ask.authorization = *std::move(authorization);
  Result<std::string> body = co_await answer(std::move(ask));
  HttpResponse response = body ? HttpResponse(200, *std::move(body)) : error_answer(body.error());
  response.headers.emplace_back("Cache-Control", "no-store");
  co_await exchange.respond(std::move(response));
}

awaitable<Result<std::string>> FleetRest::answer(Ask ask) {
  switch (ask.call) {
    case RestCall::kListModels: {
      v1::ListCatalogueRequest request;
      const auto said = co_await call(&Admin::ListModels, std::move(request), std::move(ask.authorization));
      co_return shown(said);
    }
    case RestCall::kListDeployments: {
      v1::ListDeploymentsRequest request;
      const auto said = co_await call(&Admin::ListDeployments, std::move(request), std::move(ask.authorization));
      co_return shown(said);
    }
    case RestCall::kListWorkers: {
      v1::ListWorkersRequest request;
      const auto said = co_await call(&Admin::ListWorkers, std::move(request), std::move(ask.authorization));
      co_return shown(said);
    }
    case RestCall::kDeleteDeployment: {
      v1::DeleteDeploymentRequest request;
      request.set_name(ask.name);
      const auto said = co_await call(&Admin::DeleteDeployment, std::move(request), std::move(ask.authorization));
      co_return shown(said);
    }
    case RestCall::kPlanDeployment: {
      v1::PlanDeploymentRequest request;
      TG_CO_TRY(read_rest_json(ask.body, request));
      const auto said = co_await call(&Admin::PlanDeployment, std::move(request), std::move(ask.authorization));
      co_return shown(said);
    }
    case RestCall::kApplyDeployment: {
      auto applied = apply(std::move(ask));
      co_return co_await std::move(applied);
    }
    case RestCall::kChangeRollout: {
      auto changed = change_rollout(std::move(ask));
      co_return co_await std::move(changed);
    }
    case RestCall::kGetDeployment: {
      auto found = find(std::move(ask));
      co_return co_await std::move(found);
    }
  }
  co_return fail(Code::kInternal, "unknown_call", "this route has no call");
}

awaitable<Result<std::string>> FleetRest::apply(Ask ask) {
  v1::Deployment request;
  TG_CO_TRY(read_rest_json(ask.body, request));
  TG_CO_TRY(check_name(request.name(), ask.name));
  request.set_name(ask.name);
  const auto said = co_await call(&Admin::ApplyDeployment, std::move(request), std::move(ask.authorization));
  co_return shown(said);
}

awaitable<Result<std::string>> FleetRest::change_rollout(Ask ask) {
  v1::ChangeRolloutRequest request;
  TG_CO_TRY(read_rest_json(ask.body, request));
  TG_CO_TRY(check_name(request.name(), ask.name));
  request.set_name(ask.name);
  const auto said = co_await call(&Admin::ChangeRollout, std::move(request), std::move(ask.authorization));
  co_return shown(said);
}

awaitable<Result<std::string>> FleetRest::find(Ask ask) {
  v1::ListDeploymentsRequest request;
  const auto all = co_await call(&Admin::ListDeployments, std::move(request), std::move(ask.authorization));
  if (!all) co_return fail(all.error());
  for (const v1::Deployment& each : all->deployments()) {
    if (each.name() == ask.name) co_return rest_json(each);
  }
  co_return fail(Code::kNotFound, "unknown_deployment", "there is no deployment '" + ask.name.substr(0, 200) + "'",
                 "name");
}

}  // namespace tidegate::scheduler
