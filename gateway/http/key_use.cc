#include "gateway/http/key_use.h"

#include <algorithm>
#include <array>
#include <vector>

#include "gateway/http/openai_api.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kForwardedFor = "x-forwarded-for";

constexpr std::array kRoutes = {
    PostRoute{"/chat/completions", KeyScope::kChat, "http.chat"},
    PostRoute{"/completions", KeyScope::kCompletions, "http.completions"},
    PostRoute{"/embeddings", KeyScope::kEmbeddings, "http.embeddings"},
    PostRoute{"/messages", KeyScope::kChat, "http.messages"},
    PostRoute{"/responses", KeyScope::kChat, "http.responses"},
};

}  // namespace

const PostRoute* find_post_route(std::string_view path) {
  const auto found = std::ranges::find(kRoutes, path, &PostRoute::path);
  return found == kRoutes.end() ? nullptr : &*found;
}

std::string_view key_text_of(const HttpRequest& http) {
  const std::string_view bearer = bearer_of(http.header("authorization"));
  return bearer.empty() ? http.header("x-api-key") : bearer;
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
