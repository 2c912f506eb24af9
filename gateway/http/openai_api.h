#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/ids.h"
#include "base/net/http_server.h"
#include "gateway/core/client_address.h"
#include "gateway/dispatch/request_driver.h"
#include "gateway/http/idempotency_desk.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// What is switched on beside the plain API; by default nothing.
struct OpenAiOptions {
  TrustedProxies proxies;
  /// One a lane, or none: then requests with an Idempotency-Key are refused.
  std::vector<IdempotencyDesk*> idempotency;
};

/// OpenAI's dialect over HTTP: POST chat/completions, GET models and models/{id}, with and without /v1 in front; and our
/// own GET receipts/{request id} (the tenant's key) and receipts/keys (for everybody: public keys).
/// One object for all lanes; every request uses the Serving of the lane its connection lives on.
class OpenAiApi {
 public:
  /// `lanes[i]` belongs to io thread i. All references outlive the server.
  /// `receipts` may be null: then there are no receipt routes.
  OpenAiApi(const Principals& principals, IdSource& ids, const Clock& clock, std::vector<Serving*> lanes,
            ReceiptArchive* receipts = nullptr, OpenAiOptions options = {});

  /// Answers every request: also the ones for routes it does not have (404) and wrong methods (405).
  awaitable<void> handle(HttpExchange& exchange);

  /// For the server's own refusals (framing, size, time limits), in the same shape.
  static std::string render_error(const Error& error, int http_status);

 private:
  /// Everything but the Idempotency-Key, which stands around it for all dialects and paths.
  awaitable<void> route(HttpExchange& exchange, Serving& serving, RequestId request, ChargeFence* fence);
  awaitable<void> chat(HttpExchange& exchange, Serving& serving, RequestId request, ChargeFence* fence);
  awaitable<void> models(HttpExchange& exchange, Serving& serving, RequestId request, std::string_view one);
  awaitable<void> receipts(HttpExchange& exchange, Serving& serving, RequestId request, std::string one);
  /// Who calls, if the key may be used for this from there.
  Result<std::shared_ptr<const Principal>> caller_of(const HttpExchange& exchange, KeyScope scope) const;
  /// Answers, counts and logs a request that never reached the driver.
  awaitable<void> refuse(HttpExchange& exchange, Serving& serving, RequestId request, std::string_view surface,
                         Refusal refusal, std::string_view allow = {});

  const Principals& principals_;
  IdSource& ids_;
  const Clock& clock_;
  std::vector<Serving*> lanes_;
  ReceiptArchive* receipts_;
  const OpenAiOptions options_;
  std::int64_t started_s_;  ///< what models call `created`
};

/// What follows "Bearer " (any case of the word); "" when the field is missing or of another kind.
std::string_view bearer_of(std::string_view authorization);

}  // namespace tidegate::gateway
