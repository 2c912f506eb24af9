#pragma once

#include <string_view>
#include <vector>

#include "base/net/http_message.h"
#include "gateway/core/client_address.h"
#include "gateway/core/key_policy.h"

namespace tidegate::gateway {

/// The API keys that a request brings, in the order in which to try them: that of `key_header`, the dialect's own ("" =
/// it has none), then what follows "Bearer " (any case of the word) in Authorization. A client behind a proxy may send
/// both, one of them meant for somebody else: either may be ours. Never empty: one empty text stands for no key.
std::vector<std::string_view> key_texts_of(const HttpRequest& http, std::string_view key_header);

/// For what, and from where, `http` uses its key.
KeyUse key_use_of(const HttpRequest& http, KeyScope scope, const TrustedProxies& proxies);

}  // namespace tidegate::gateway
