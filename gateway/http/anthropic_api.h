#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/core/ids.h"
#include "base/net/http_server.h"
#include "gateway/dispatch/request_driver.h"
#include "gateway/http/http_call.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// Anthropic's dialect over HTTP: POST messages, with and without /v1 in front, and under /anthropic as DeepSeek mounts
/// it. The key is x-api-key or a bearer token; any anthropic-version and anthropic-beta are tolerated and mean nothing.
/// Every answer has request-id beside x-request-id. One object for all lanes.
class AnthropicApi {
 public:
  /// `lanes[i]` belongs to io thread i. All references outlive the server.
  AnthropicApi(const Principals& principals, IdSource& ids, std::vector<Serving*> lanes);

  /// True for the paths whose answers, errors included, have this dialect's shape.
  static bool owns(std::string_view path);
  /// Answers every request for such a path: also the ones without a route (404) and wrong methods (405).
  awaitable<void> handle(HttpExchange& exchange);

 private:
  awaitable<void> messages(HttpCall call);
  Result<std::shared_ptr<const Principal>> caller_of(const HttpRequest& http) const;

  const Principals& principals_;
  IdSource& ids_;
  const std::vector<Serving*> lanes_;
};

}  // namespace tidegate::gateway
