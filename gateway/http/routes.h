#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/core/key_scope.h"

/// What the gateway serves over HTTP, as one table: the router goes by it, and docs/api/openapi.json is held against
/// it.
namespace tidegate::gateway {

enum class RouteId : std::uint8_t {
  kChat,
  kCompletions,
  kMessages,
  kCountTokens,
  kResponses,
  kEmbeddings,
  kModelList,
  kModel,
  kAnthropicModelList,
  kAnthropicModel,
  kBalance,
  kReceiptKeys,
  kReceipt,
  kOpenApi,
};

/// Whose words a path is answered in, refusals included (dialect_shape.h).
enum class Dialect : std::uint8_t {
  kOpenAi,     ///< chat completions, completions, and whatever is nobody else's
  kDeepSeek,   ///< the same below /beta, with DeepSeek's statuses
  kAnthropic,  ///< Messages
  kResponses,  ///< OpenAI's Responses
};

struct HttpRoute {
  RouteId id = RouteId::kChat;
  std::string_view method;
  std::string_view path;     ///< behind its mount; a last segment in braces stands for the rest of the path
  std::string_view surface;  ///< for logs, metrics and bills
  Dialect dialect = Dialect::kOpenAi;
  std::span<const std::string_view> mounts;  ///< what may stand before the path; "" among them
  std::optional<KeyScope> scope;  ///< what its key must be for; nullopt: it takes no key

  bool needs_key() const { return scope.has_value(); }
};

/// In the order in which they are tried.
std::span<const HttpRoute> http_routes();

struct RouteMatch {
  const HttpRoute* route = nullptr;     ///< null: no such path, or not with this method
  Dialect dialect = Dialect::kOpenAi;   ///< of the path, also when there is no route
  std::string_view argument;            ///< what stands for the braces; a view into the path
  std::string allow;                    ///< methods that the path takes, when it is the method that is wrong
  std::string_view absence;             ///< what to say when the path is not served
};
/// `path` as the client sent it, without its query.
RouteMatch match_route(std::string_view method, std::string_view path);

}  // namespace tidegate::gateway
