#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/ids.h"
#include "base/net/http_server.h"
#include "gateway/core/client_address.h"
#include "gateway/dispatch/request_driver.h"
#include "gateway/http/http_call.h"
#include "gateway/http/idempotency_desk.h"
#include "gateway/http/routes.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// What stands behind the routes beside money and workers. By default nothing: what is missing is not served.
struct HttpApiParts {
  ReceiptArchive* receipts = nullptr;   ///< null: its routes do not exist
  Balances* balances = nullptr;         ///< null: its route does not exist
  std::vector<IdempotencyDesk*> desks;  ///< one a lane, or none: then requests with an Idempotency-Key are refused
  TrustedProxies proxies;               ///< at first; whose X-Forwarded-For is believed, for keys limited to sources
};

/// Everything the gateway says over HTTP: every route of gateway/http/routes.h, each in its dialect. One object for all
/// lanes; every request uses the Serving of the lane its connection lives on.
class HttpApi {
 public:
  /// `lanes[i]` belongs to io thread i. All references outlive the server.
  HttpApi(const Principals& principals, IdSource& ids, const Clock& clock, std::vector<Serving*> lanes,
          HttpApiParts parts = {});

  /// Answers every request: also the ones for routes it does not have (404) and wrong methods (405).
  awaitable<void> handle(HttpExchange& exchange);

  /// For requests that begin on `lane` from now on. On that lane.
  void set_proxies(std::size_t lane, TrustedProxies proxies) { proxies_[lane] = std::move(proxies); }

  /// For the server's own refusals (framing, size, time limits), which happen before anybody looked at the path: in
  /// OpenAI's shape, whose error has the members that the others look for.
  static std::string render_error(const Error& error, int http_status);
  /// The headers of such a refusal: an id of its own, which is logged, and whether to come back. Any lane.
  HttpHeaders error_headers(const Error& error, int http_status) const;

 private:
  /// Why the path and the method are not served; nullopt when they are.
  std::optional<Refusal> refusal_of(const RouteMatch& match) const;
  bool has_route(const HttpRoute& route) const;
  /// Who calls, and by which of the request's key texts: what is kept for a caller is sealed under it.
  struct Caller {
    std::shared_ptr<const Principal> principal;  // shared with the key cache, which moves on
    std::string_view key_text;                   // a view into the request
  };
  Result<Caller> caller_of(const HttpCall& call, KeyScope scope) const;
  /// Null when the installation keeps no answers.
  IdempotencyDesk* desk_of(const HttpCall& call) const;

  Result<std::string> models(const HttpCall& call, const Principal& caller, std::string_view one) const;
  Result<std::string> anthropic_models(const HttpCall& call, const Principal& caller, std::string_view one) const;
  /// Its age goes to `also`, which outlives the call.
  awaitable<Result<std::string>> balance(const Principal& caller, HttpHeaders& also) const;
  awaitable<Result<std::string>> receipt(const Principal& caller, std::string_view request_id) const;
  awaitable<Result<std::string>> receipt_keys() const;

  const Principals& principals_;
  IdSource& ids_;
  const std::vector<Serving*> lanes_;
  const HttpApiParts parts_;
  std::vector<TrustedProxies> proxies_;  ///< one a lane, touched by its thread alone
  const std::int64_t started_s_;  ///< what models call `created`
};

}  // namespace tidegate::gateway
