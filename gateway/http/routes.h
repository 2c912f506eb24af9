#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// What the gateway serves over HTTP, as one table: the router goes by it, and docs/api/openapi.json is held against
/// it.
namespace tidegate::gateway {

enum class RouteId : std::uint8_t {
  kChat,
  kCompletions,
  kModelList,
  kModel,
  kBalance,
  kReceiptKeys,
  kReceipt,
  kOpenApi,
};

struct HttpRoute {
  RouteId id = RouteId::kChat;
  std::string_view method;
  std::string_view path;     ///< behind its mount; a last segment in braces stands for the rest of the path
  std::string_view surface;  ///< for logs, metrics and bills
  bool has_beta = false;     ///< also under /beta, where DeepSeek has prefix completion and FIM
  bool needs_key = true;
};

/// Every path is served under /v1 and without it: some clients put /v1 in their base URL, some do not.
inline constexpr std::string_view kVersionMount = "/v1";
inline constexpr std::string_view kBetaMount = "/beta";

/// In the order in which they are tried.
std::span<const HttpRoute> http_routes();

struct RouteMatch {
  const HttpRoute* route = nullptr;  ///< null: no such path, or not with this method
  std::string_view argument;         ///< what stands for the braces; a view into the path
  std::string allow;                 ///< methods that the path takes, when it is the method that is wrong
};
/// `path` as the client sent it, without its query.
RouteMatch match_route(std::string_view method, std::string_view path);

}  // namespace tidegate::gateway
