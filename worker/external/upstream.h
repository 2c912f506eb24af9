#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/net/asio.h"
#include "base/net/http_client.h"
#include "base/net/tls_context.h"

namespace tidegate::worker::external {

struct UpstreamOptions {
  std::string url;  ///< of the API: "http://127.0.0.1:8000/v1"; https with authorities
  std::string api_key;  ///< empty: none is sent
  std::string authorities_pem;  ///< for https
  Duration connect_limit = std::chrono::seconds(5);
  Duration probe_limit = std::chrono::seconds(5);
};

/// What an engine says of one of its models; a member that it does not tell is unset.
struct UpstreamModel {
  std::optional<std::int32_t> context_max;
};

/// Where an external engine is, and how it is asked. The address comes from the configuration alone: nothing of a request
/// reaches it, and redirects are not followed. A connection serves one request: cancelling is closing it.
/// Used on one executor; immutable but for that.
class Upstream {
 public:
  /// Connects to nothing. Fails: invalid_argument/bad_config, bad_certificate; field names the option.
  static Result<Upstream> open(UpstreamOptions options, const Clock& clock);

  const std::string& host() const { return host_; }
  /// Prompts, answers and the key go to another machine as they are.
  bool is_exposed() const;

  /// POSTs `body` to the API's `call` ("/chat/completions"), and gives bytes of the answer to `sink` as they come. How long
  /// that may last is the caller's to end. Fails: unavailable/upstream_unreachable when there is no connection, and as
  /// HttpClient::request.
  awaitable<Result<HttpClientResponse>> post(std::string call, std::string body, BodySink sink) const;

  /// Whether it takes requests: GET /health beside the API (of ".../a/v1": ".../a/health"), or its list of models where there is none.
  /// Fails: as error_of_status, unavailable/upstream_unreachable.
  awaitable<Status> check_health() const;
  /// What its list of models says of `model`; an engine without a list says nothing.
  /// Fails: not_found/upstream_no_model with the names it has; as check_health().
  awaitable<Result<UpstreamModel>> find_model(std::string model) const;

 private:
  Upstream(UpstreamOptions options, const Clock& clock) : options_(std::move(options)), clock_(&clock) {}
  awaitable<Result<std::unique_ptr<HttpClient>>> connect() const;
  awaitable<Result<HttpClientResponse>> get(std::string target) const;
  void add_headers(HttpClientRequest& request) const;

  UpstreamOptions options_;
  const Clock* clock_;
  std::string host_;
  std::string port_;
  std::string prefix_;  ///< of the API, without a slash at its end
  std::shared_ptr<const TlsContext> tls_;  ///< shared with connections; null: plain
};

}  // namespace tidegate::worker::external
