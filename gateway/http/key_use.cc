#include "gateway/http/key_use.h"

#include "base/net/http_head.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kForwardedFor = "x-forwarded-for";

/// "" when the field is missing or of another kind.
std::string_view bearer_of(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (!equals_ignore_case(authorization.substr(0, kScheme.size()), kScheme)) return {};
  std::string_view token = authorization.substr(kScheme.size());
  while (!token.empty() && token.front() == ' ') token.remove_prefix(1);
  return token;
}

}  // namespace

std::vector<std::string_view> key_texts_of(const HttpRequest& http, std::string_view key_header) {
  std::vector<std::string_view> texts;
  if (!key_header.empty()) {
    const std::string_view own = http.header(key_header);
    if (!own.empty()) texts.push_back(own);
  }
  const std::string_view bearer = bearer_of(http.header("authorization"));
  if (!bearer.empty() || texts.empty()) texts.push_back(bearer);
  return texts;
}

KeyUse key_use_of(const HttpRequest& http, KeyScope scope, const TrustedProxies& proxies) {
  KeyUse use;
  use.scope = scope;
  std::vector<std::string_view> forwarded;
  if (!proxies.empty()) {
    for (const HeaderField& field : http.head.fields()) {
      if (equals_ignore_case(field.name, kForwardedFor)) forwarded.push_back(field.value);
    }
  }
  use.client = proxies.client_of(http.remote_address, forwarded);
  return use;
}

}  // namespace tidegate::gateway
