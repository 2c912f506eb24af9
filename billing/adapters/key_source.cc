#include "billing/adapters/key_source.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <mutex>
#include <string_view>
#include <utility>

#include "base/crypto/jwk_set.h"

namespace tidegate::billing {

namespace {

constexpr long kConnectMsMax = 2'000;
constexpr long kFetchMsMax = 5'000;
constexpr std::size_t kUrlBytesMax = 2'048;

std::unexpected<Error> unreachable(std::string why) {
  return fail(Code::kUnavailable, "keys_unreachable", std::move(why));
}

class KeyFile final : public KeySource {
 public:
  explicit KeyFile(std::string path) : path_(std::move(path)) {}

  Result<std::string> load() override {
    std::ifstream in(path_, std::ios::binary);
    if (!in) return unreachable(fmt::format("cannot read '{}'", path_));
    // One byte more than allowed: whoever parses it says that it is too large.
    std::string text(JwkSet::kBytesMax + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    return text;
  }
  std::string stamp() const override {
    struct stat about{};
    if (::stat(path_.c_str(), &about) != 0) return "absent";
    return fmt::format("{}-{}-{}.{}", about.st_ino, about.st_size, about.st_mtim.tv_sec, about.st_mtim.tv_nsec);
  }

 private:
  const std::string path_;
};

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& body = *static_cast<std::string*>(user);
  const std::size_t bytes = size * count;
  if (body.size() + bytes > JwkSet::kBytesMax) return 0;  // curl gives up
  body.append(data, bytes);
  return bytes;
}

struct EasyHandleFree {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};

class KeyAddress final : public KeySource {
 public:
  explicit KeyAddress(KeyUrl from) : from_(std::move(from)) {}

  Result<std::string> load() override {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    const std::unique_ptr<CURL, EasyHandleFree> handle(curl_easy_init());
    CURL* curl = handle.get();
    if (curl == nullptr) return unreachable("curl could not be started");
    std::string body;
    curl_easy_setopt(curl, CURLOPT_URL, from_.url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, from_.url.starts_with("https://") ? "https" : "http");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectMsMax);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, kFetchMsMax);
    if (!from_.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, from_.ca_file.c_str());
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    const CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_WRITE_ERROR) {
      return unreachable(fmt::format("{} answers more than {} bytes", from_.url, JwkSet::kBytesMax));
    }
    if (code != CURLE_OK) return unreachable(fmt::format("{}: {}", from_.url, curl_easy_strerror(code)));
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) return unreachable(fmt::format("{} answers {}", from_.url, status));
    return body;
  }
  std::string stamp() const override { return {}; }

 private:
  const KeyUrl from_;
};

}  // namespace

std::unique_ptr<KeySource> make_key_file(std::string path) { return std::make_unique<KeyFile>(std::move(path)); }
std::unique_ptr<KeySource> make_key_url(KeyUrl from) { return std::make_unique<KeyAddress>(std::move(from)); }

Status check_key_url(const std::string& url) {
  const auto bad = [] {
    return fail(Code::kInvalidArgument, "bad_key_url",
                "oidc.jwks_url must be https://host/path without user or password; http is for 127.0.0.1, [::1] and "
                "localhost only",
                "oidc.jwks_url");
  };
  constexpr std::string_view kSecure = "https://", kPlain = "http://";
  const bool is_secure = url.starts_with(kSecure);
  if (url.size() > kUrlBytesMax || (!is_secure && !url.starts_with(kPlain))) return bad();
  for (const char c : url) {
    if (c <= ' ' || c >= 0x7f || c == '\\') return bad();
  }
  const std::string_view rest = std::string_view(url).substr(is_secure ? kSecure.size() : kPlain.size());
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.empty() || authority.find('@') != std::string_view::npos) return bad();
  if (is_secure) return {};
  constexpr std::array<std::string_view, 3> kHere = {"127.0.0.1", "[::1]", "localhost"};
  for (const std::string_view host : kHere) {
    if (authority == host || (authority.starts_with(host) && authority[host.size()] == ':')) return {};
  }
  return bad();
}

}  // namespace tidegate::billing
