#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

namespace tidegate::billing {

struct WebhookCall {
  std::string url;
  std::vector<std::string> headers;  ///< "Name: value"
  std::string body;                  ///< JSON
};

struct WebhookPolicy {
  /// Tests, and installations whose receivers stand inside.
  bool allows_private = false;
  std::chrono::milliseconds limit{10'000};
};

/// "t=<unix seconds>,v1=<hex>": HMAC-SHA256 of "<t>.<body>" under the webhook's secret.
std::string webhook_signature(std::string_view secret, std::int64_t unix_seconds, std::string_view body);

/// One POST, blocking. Follows no redirect, uses no proxy, reads at most 64 KiB of the answer and keeps none of it. The
/// address is judged when the socket is made, after the name was resolved: a name that points inside is refused however
/// it was spelt, and cannot change its mind in between. Any status of 2xx is success.
/// Fails: permission_denied/private_address, unavailable/webhook_failed.
Status send_webhook(const WebhookCall& call, const WebhookPolicy& policy);

}  // namespace tidegate::billing
