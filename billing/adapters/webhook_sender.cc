#include "billing/adapters/webhook_sender.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <mutex>

#include "base/core/encoding.h"
#include "base/crypto/sha256.h"
#include "billing/core/webhook_rules.h"

namespace tidegate::billing {

namespace {

constexpr std::size_t kAnswerMax = 64 << 10;

struct Attempt {
  bool allows_private = false;
  bool was_private = false;
  std::size_t answer_bytes = 0;
};

bool is_allowed(const curl_sockaddr& address) {
  if (address.family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.addr);
    return is_public_address({reinterpret_cast<const std::uint8_t*>(&v4->sin_addr), 4});
  }
  if (address.family == AF_INET6) {
    // curl gives a sockaddr that is as long as addrlen says.
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.addr);
    return is_public_address({reinterpret_cast<const std::uint8_t*>(&v6->sin6_addr), 16});
  }
  return false;
}

curl_socket_t open_socket(void* user, curlsocktype, curl_sockaddr* address) {
  auto& attempt = *static_cast<Attempt*>(user);
  if (!attempt.allows_private && !is_allowed(*address)) {
    attempt.was_private = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

std::size_t drop_answer(char*, std::size_t size, std::size_t count, void* user) {
  auto& attempt = *static_cast<Attempt*>(user);
  attempt.answer_bytes += size * count;
  return attempt.answer_bytes > kAnswerMax ? 0 : size * count;
}

struct CurlFree {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

}  // namespace

std::string webhook_signature(std::string_view secret, std::int64_t unix_seconds, std::string_view body) {
  const Digest mac = hmac_sha256(secret, fmt::format("{}.{}", unix_seconds, body));
  return fmt::format("t={},v1={}", unix_seconds, hex_encode(as_view(mac)));
}

Status send_webhook(const WebhookCall& call, const WebhookPolicy& policy) {
  TG_TRY(check_webhook_url(call.url));
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const std::unique_ptr<CURL, CurlFree> handle(curl_easy_init());
  std::unique_ptr<curl_slist, CurlFree> headers(curl_slist_append(nullptr, "Content-Type: application/json"));
  // No "Expect: 100-continue": a slow receiver would cost a second for nothing.
  headers.reset(curl_slist_append(headers.release(), "Expect:"));
  for (const auto& header : call.headers) headers.reset(curl_slist_append(headers.release(), header.c_str()));
  Attempt attempt{.allows_private = policy.allows_private};
  CURL* curl = handle.get();
  curl_easy_setopt(curl, CURLOPT_URL, call.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(policy.limit.count()));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(call.body.size()));
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call.body.c_str());
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &open_socket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &attempt);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &drop_answer);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &attempt);
  const CURLcode code = curl_easy_perform(curl);
  if (attempt.was_private && code != CURLE_OK) {
    return fail(Code::kPermissionDenied, "private_address",
                "the webhook's host resolves to an address inside; it must be a public one (or set webhooks.allow_private)", "url");
  }
  if (code != CURLE_OK) return fail(Code::kUnavailable, "webhook_failed", curl_easy_strerror(code), "url");
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (status >= 200 && status < 300) return {};
  return fail(Code::kUnavailable, "webhook_failed", fmt::format("the receiver answered {}", status), "url");
}

}  // namespace tidegate::billing
