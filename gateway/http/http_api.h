#pragma once

#include <string>
#include <vector>

#include "base/core/ids.h"
#include "base/net/http_server.h"
#include "gateway/dispatch/request_driver.h"
#include "gateway/http/anthropic_api.h"
#include "gateway/http/openai_api.h"
#include "gateway/http/responses_api.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// Everything the gateway says over HTTP: gives each request to the dialect that owns its path, and what no dialect
/// owns to OpenAI's. One object for all lanes.
class HttpApi {
 public:
  /// `lanes[i]` belongs to io thread i. All references outlive the server.
  /// `receipts` and `balances` may be null: then their routes do not exist.
  HttpApi(const Principals& principals, IdSource& ids, const Clock& clock, std::vector<Serving*> lanes,
          ReceiptArchive* receipts = nullptr, Balances* balances = nullptr);

  /// Answers every request.
  awaitable<void> handle(HttpExchange& exchange);

  /// For the server's own refusals (framing, size, time limits), which happen before anybody looked at the path: in
  /// OpenAI's shape, whose error has the members that the others look for.
  static std::string render_error(const Error& error, int http_status);

 private:
  OpenAiApi openai_;
  AnthropicApi anthropic_;
  ResponsesApi responses_;
};

}  // namespace tidegate::gateway
