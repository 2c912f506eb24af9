#include "gateway/http/routes.h"

#include <array>
#include <optional>

namespace tidegate::gateway {
namespace {

constexpr std::array kRoutes = {
    HttpRoute{RouteId::kChat, "POST", "/chat/completions", "http.chat", true, true},
    HttpRoute{RouteId::kCompletions, "POST", "/completions", "http.completions", true, true},
    HttpRoute{RouteId::kModelList, "GET", "/models", "http.models", false, true},
    HttpRoute{RouteId::kModel, "GET", "/models/{model}", "http.models", false, true},
    HttpRoute{RouteId::kBalance, "GET", "/user/balance", "http.balance", false, true},
    HttpRoute{RouteId::kReceiptKeys, "GET", "/receipts/keys", "http.receipts", false, false},
    HttpRoute{RouteId::kReceipt, "GET", "/receipts/{request_id}", "http.receipts", false, true},
    HttpRoute{RouteId::kOpenApi, "GET", "/openapi.json", "http.openapi", false, false},
};

/// What stands for the braces, or ""; nullopt when `path` is another one.
std::optional<std::string_view> match_path(std::string_view pattern, std::string_view path) {
  const auto brace = pattern.find('{');
  if (brace == std::string_view::npos) {
    if (path != pattern) return std::nullopt;
    return std::string_view();
  }
  if (path.size() <= brace || path.substr(0, brace) != pattern.substr(0, brace)) return std::nullopt;
  return path.substr(brace);
}

bool take_mount(std::string_view& path, std::string_view mount) {
  const bool has = path.size() > mount.size() && path.starts_with(mount) && path[mount.size()] == '/';
  if (has) path.remove_prefix(mount.size());
  return has;
}

}  // namespace

std::span<const HttpRoute> http_routes() { return kRoutes; }

RouteMatch match_route(std::string_view method, std::string_view path) {
  const bool is_beta = take_mount(path, kBetaMount);
  if (!is_beta) take_mount(path, kVersionMount);
  RouteMatch match;
  for (const HttpRoute& route : kRoutes) {
    if (is_beta && !route.has_beta) continue;
    const auto argument = match_path(route.path, path);
    if (!argument) continue;
    if (route.method == method) return {&route, *argument, {}};
    if (!match.allow.empty()) match.allow += ", ";
    match.allow += route.method;
  }
  return match;
}

}  // namespace tidegate::gateway
