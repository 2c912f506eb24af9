#pragma once

#include <string_view>
#include <vector>

#include "base/core/ids.h"
#include "base/net/http_server.h"
#include "gateway/dispatch/request_driver.h"
#include "gateway/http/http_call.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// OpenAI's Responses over HTTP: POST responses, with and without /v1 in front. Nothing is kept, so there is nothing to
/// read back or to cancel. One object for all lanes.
class ResponsesApi {
 public:
  /// `lanes[i]` belongs to io thread i. All references outlive the server.
  ResponsesApi(const Principals& principals, IdSource& ids, std::vector<Serving*> lanes);

  static bool owns(std::string_view path);
  /// Answers every request for such a path: also the ones without a route (404) and wrong methods (405).
  awaitable<void> handle(HttpExchange& exchange);

 private:
  awaitable<void> create(HttpCall call);

  const Principals& principals_;
  IdSource& ids_;
  const std::vector<Serving*> lanes_;
};

}  // namespace tidegate::gateway
