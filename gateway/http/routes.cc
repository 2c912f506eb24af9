#include "gateway/http/routes.h"

#include <algorithm>
#include <array>
#include <optional>

namespace tidegate::gateway {
namespace {

using Mounts = std::span<const std::string_view>;

/// Some clients put /v1 in their base URL, some do not.
constexpr std::array<std::string_view, 2> kUsual = {"/v1", ""};
/// Where DeepSeek has prefix completion and FIM.
constexpr std::array<std::string_view, 3> kBeta = {"/v1", "", "/beta"};
/// Where DeepSeek has Anthropic's dialect, whose clients put /v1 behind their base URL.
constexpr std::array<std::string_view, 4> kAnthropic = {"/v1", "", "/anthropic/v1", "/anthropic"};
constexpr std::array<std::string_view, 1> kRoot = {""};

constexpr std::array kRoutes = {
    HttpRoute{RouteId::kChat, "POST", "/chat/completions", "http.chat", Dialect::kOpenAi, kBeta, KeyScope::kChat},
    HttpRoute{RouteId::kCompletions, "POST", "/completions", "http.completions", Dialect::kOpenAi, kBeta,
              KeyScope::kCompletions},
    HttpRoute{RouteId::kMessages, "POST", "/messages", "http.messages", Dialect::kAnthropic, kAnthropic,
              KeyScope::kChat},
    HttpRoute{RouteId::kCountTokens, "POST", "/messages/count_tokens", "http.count_tokens", Dialect::kAnthropic, kAnthropic,
              KeyScope::kChat},
    HttpRoute{RouteId::kResponses, "POST", "/responses", "http.responses", Dialect::kResponses, kUsual,
              KeyScope::kChat},
    HttpRoute{RouteId::kEmbeddings, "POST", "/embeddings", "http.embeddings", Dialect::kOpenAi, kUsual,
              KeyScope::kEmbeddings},
    HttpRoute{RouteId::kModelList, "GET", "/models", "http.models", Dialect::kOpenAi, kUsual, KeyScope::kModels},
    HttpRoute{RouteId::kModel, "GET", "/models/{model}", "http.models", Dialect::kOpenAi, kUsual, KeyScope::kModels},
    // Not behind kAnthropic: elsewhere /models are OpenAI's.
    HttpRoute{RouteId::kAnthropicModelList, "GET", "/anthropic/v1/models", "http.models", Dialect::kAnthropic, kRoot,
              KeyScope::kModels},
    HttpRoute{RouteId::kAnthropicModel, "GET", "/anthropic/v1/models/{model}", "http.models", Dialect::kAnthropic,
              kRoot, KeyScope::kModels},
    HttpRoute{RouteId::kBalance, "GET", "/user/balance", "http.balance", Dialect::kOpenAi, kUsual, KeyScope::kUsage},
    HttpRoute{RouteId::kReceiptKeys, "GET", "/receipts/keys", "http.receipts", Dialect::kOpenAi, kUsual, std::nullopt},
    HttpRoute{RouteId::kReceipt, "GET", "/receipts/{request_id}", "http.receipts", Dialect::kOpenAi, kUsual,
              KeyScope::kReceipts},
    HttpRoute{RouteId::kOpenApi, "GET", "/openapi.json", "http.openapi", Dialect::kOpenAi, kUsual, std::nullopt},
};

constexpr std::string_view kNoSuchPath = "This path does not exist here; GET /openapi.json lists those that do.";

/// A path below which a dialect's clients look for more than there is: they hear so in its words.
struct Territory {
  Mounts mounts;
  std::string_view path;
  Dialect dialect = Dialect::kOpenAi;
  std::string_view absence;
};

/// The first that fits.
constexpr std::array kTerritories = {
    Territory{kAnthropic, "/messages", Dialect::kAnthropic, kNoSuchPath},
    Territory{kRoot, "/anthropic", Dialect::kAnthropic, kNoSuchPath},
    Territory{kRoot, "/beta", Dialect::kDeepSeek, kNoSuchPath},
    Territory{kUsual, "/responses", Dialect::kResponses,
              "Responses are not kept: there is nothing here but POST /v1/responses."},
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

/// Paths begin with a slash and no mount ends with one, so at most one mount fits.
std::optional<std::string_view> match_mounted(const HttpRoute& route, std::string_view path) {
  for (const std::string_view mount : route.mounts) {
    if (!path.starts_with(mount)) continue;
    const auto argument = match_path(route.path, path.substr(mount.size()));
    if (argument) return argument;
  }
  return std::nullopt;
}

bool is_at_or_below(std::string_view path, std::string_view place) {
  return path.starts_with(place) && (path.size() == place.size() || path[place.size()] == '/');
}

bool holds(const Territory& territory, std::string_view path) {
  return std::ranges::any_of(territory.mounts, [&](std::string_view mount) {
    return path.starts_with(mount) && is_at_or_below(path.substr(mount.size()), territory.path);
  });
}

}  // namespace

std::span<const HttpRoute> http_routes() { return kRoutes; }

RouteMatch match_route(std::string_view method, std::string_view path) {
  RouteMatch match;
  match.absence = kNoSuchPath;
  const auto territory = std::ranges::find_if(kTerritories, [&](const Territory& one) { return holds(one, path); });
  if (territory != kTerritories.end()) {
    match.dialect = territory->dialect;
    match.absence = territory->absence;
  }
  for (const HttpRoute& route : kRoutes) {
    const auto argument = match_mounted(route, path);
    if (!argument) continue;
    // What is served below /beta is OpenAI's in DeepSeek's manner.
    if (match.dialect != Dialect::kDeepSeek) match.dialect = route.dialect;
    if (route.method == method) {
      match.route = &route;
      match.argument = *argument;
      match.allow.clear();
      return match;
    }
    if (match.allow.find(route.method) != std::string::npos) continue;
    if (!match.allow.empty()) match.allow += ", ";
    match.allow += route.method;
  }
  return match;
}

}  // namespace tidegate::gateway
