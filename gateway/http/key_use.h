#pragma once

#include <string_view>

#include "base/net/http_message.h"
#include "gateway/core/client_address.h"
#include "gateway/core/key_policy.h"

namespace tidegate::gateway {

/// A POST that keys may be allowed: its scope, and what metrics and logs call it. Every path that answers a POST has a
/// row, with or without /v1 in front; one without a row takes no Idempotency-Key.
struct PostRoute {
  std::string_view path;  ///< without /v1
  KeyScope scope = KeyScope::kChat;
  std::string_view surface;
};
/// `path` without /v1. Null for every other path.
const PostRoute* find_post_route(std::string_view path);

/// What follows "Bearer " (any case of the word) in Authorization, or the x-api-key of Anthropic's clients; "" for
/// none.
std::string_view key_text_of(const HttpRequest& http);

/// For what, and from where, `http` uses its key.
KeyUse key_use_of(const HttpRequest& http, KeyScope scope, const TrustedProxies& proxies);

}  // namespace tidegate::gateway
