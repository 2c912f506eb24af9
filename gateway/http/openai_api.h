#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/ids.h"
#include "base/net/http_server.h"
#include "gateway/dispatch/request_driver.h"
#include "gateway/http/answer_form.h"
#include "gateway/http/routes.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// OpenAI's dialect over HTTP with DeepSeek's extras, and our own receipts: every route of gateway/http/routes.h.
/// One object for all lanes; every request uses the Serving of the lane its connection lives on.
class OpenAiApi {
 public:
  /// `lanes[i]` belongs to io thread i. All references outlive the server.
  /// `receipts` and `balances` may be null: then their routes do not exist.
  OpenAiApi(const Principals& principals, IdSource& ids, const Clock& clock, std::vector<Serving*> lanes,
            ReceiptArchive* receipts = nullptr, Balances* balances = nullptr);

  /// Answers every request: also the ones for routes it does not have (404) and wrong methods (405).
  awaitable<void> handle(HttpExchange& exchange);

  /// For the server's own refusals (framing, size, time limits), in the same shape.
  static std::string render_error(const Error& error, int http_status);

 private:
  bool has_route(const RouteMatch& match) const;
  awaitable<void> chat(HttpExchange& exchange, Serving& serving, RequestId request, std::string_view surface);
  awaitable<void> completions(HttpExchange& exchange, Serving& serving, RequestId request, std::string_view surface);
  /// From a plan to the last byte of its answer.
  awaitable<void> generate(HttpExchange& exchange, Serving& serving, RequestContext context,
                           std::unique_ptr<AnswerForm> form);
  awaitable<void> models(HttpExchange& exchange, Serving& serving, RequestId request, std::string_view surface,
                         std::string_view one);
  awaitable<void> receipts(HttpExchange& exchange, Serving& serving, RequestId request, std::string_view surface,
                           std::string one);
  awaitable<void> balance(HttpExchange& exchange, Serving& serving, RequestId request, std::string_view surface);
  Result<std::shared_ptr<const Principal>> caller_of(const HttpExchange& exchange) const;
  /// 200 with a JSON body, counted.
  awaitable<void> reply(HttpExchange& exchange, Serving& serving, RequestId request, std::string_view surface,
                        std::string body);
  /// Answers, counts and logs a request that never reached the driver.
  awaitable<void> refuse(HttpExchange& exchange, Serving& serving, RequestId request, std::string_view surface,
                         Refusal refusal, std::string_view allow = {});

  const Principals& principals_;
  IdSource& ids_;
  const Clock& clock_;
  std::vector<Serving*> lanes_;
  ReceiptArchive* receipts_;
  Balances* balances_;
  std::int64_t started_s_;  ///< what models call `created`
};

}  // namespace tidegate::gateway
