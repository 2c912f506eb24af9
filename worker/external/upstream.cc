#include "worker/external/upstream.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/core/encoding.h"
#include "base/core/ip_range.h"
#include "base/json/json.h"
#include "worker/external/answer_reader.h"

namespace tidegate::worker::external {
namespace {

constexpr std::string_view kPlain = "http://";
constexpr std::string_view kSecure = "https://";
constexpr std::size_t kUrlBytesMax = 2048;
constexpr std::size_t kKeyBytesMax = 4096;
/// Of a health page or a list of models.
constexpr std::size_t kPageBytesMax = std::size_t{1} << 20;
constexpr std::size_t kNamesShown = 5;
constexpr std::size_t kNameShownMax = 80;

std::unexpected<Error> bad_option(std::string message, std::string option) {
  return fail(Code::kInvalidArgument, "bad_config", std::move(message), std::move(option));
}

bool is_plain_ascii(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c >= 0x7f) return false;
  }
  return true;
}

std::unexpected<Error> unreachable(const Error& why) {
  return fail(Code::kUnavailable, "upstream_unreachable", "the engine behind this model cannot be reached: " + why.message);
}

bool has_no_page(int status) { return status == 404 || status == 405 || status == 501; }

/// "/v1" -> "/health", "/engines/a/v1" -> "/engines/a/health": behind a proxy the host's own page speaks of the proxy.
std::string health_beside(const std::string& prefix) {
  const auto slash = prefix.rfind('/');
  return (slash == std::string::npos ? std::string() : prefix.substr(0, slash)) + "/health";
}

bool is_loopback(const std::string& host) {
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  const auto address = IpAddress::parse(host);
  if (!address) return false;
  return address->is_v4() ? address->bytes[12] == 127 : address == IpAddress::parse("::1");
}

/// The model of that name in an OpenAI list; its length is vLLM's and SGLang's max_model_len.
Result<UpstreamModel> pick_model(std::string_view body, const std::string& model) {
  const auto document = json::parse(body);
  const json::value* data = document && document->is_object() ? document->get_object().if_contains("data") : nullptr;
  if (data == nullptr || !data->is_array()) {
    return fail(Code::kInternal, "upstream_malformed", "the engine's list of models is none (external.url)");
  }
  std::string names;
  std::size_t count = 0;
  for (const json::value& entry : data->get_array()) {
    if (!entry.is_object()) continue;
    const auto id = json::find_string(entry.get_object(), "id");
    if (!id || !*id) continue;
    if (**id != model) {
      if (count++ < kNamesShown) names += fmt::format("{}{}", names.empty() ? "" : ", ", utf8_prefix(**id, kNameShownMax));
      continue;
    }
    UpstreamModel found;
    const auto length = json::find_int(entry.get_object(), "max_model_len");
    if (length && *length && **length > 0 && **length <= std::numeric_limits<std::int32_t>::max()) {
      found.context_max = static_cast<std::int32_t>(**length);
    }
    return found;
  }
  return fail(Code::kNotFound, "upstream_no_model",
              fmt::format("the engine has no model '{}'; it has: {} (external.model)", model, names.empty() ? "none" : names),
              "external.model");
}

}  // namespace

Result<Upstream> Upstream::open(UpstreamOptions options, const Clock& clock) {
  const bool is_secure = options.url.starts_with(kSecure);
  if (options.url.size() > kUrlBytesMax || !is_plain_ascii(options.url)) {
    return bad_option(fmt::format("external.url must be at most {} printable characters without blanks", kUrlBytesMax), "external.url");
  }
  if (options.api_key.size() > kKeyBytesMax || !is_plain_ascii(options.api_key)) {
    return bad_option(fmt::format("external.api_key_file must hold one line of at most {} printable characters", kKeyBytesMax),
                      "external.api_key_file");
  }
  const std::string rest = options.url.substr(is_secure ? kSecure.size() : std::min(kPlain.size(), options.url.size()));
  const std::string authority = rest.substr(0, rest.find_first_of("/?"));
  const auto url = parse_url(is_secure ? std::string(kPlain) + rest : options.url);
  if (!url || url->target.find_first_of("?#") != std::string::npos || authority.find('#') != std::string::npos) {
    return bad_option("external.url must be the address of an OpenAI API, such as http://127.0.0.1:8000/v1, without a query",
                      "external.url");
  }
  Upstream upstream(std::move(options), clock);
  upstream.host_ = url->host;
  upstream.port_ = url->port;
  if (is_secure && url->port == "80" && !authority.ends_with(":80")) upstream.port_ = "443";
  upstream.prefix_ = url->target;
  while (upstream.prefix_.ends_with('/')) upstream.prefix_.pop_back();
  if (!is_secure) return upstream;
  if (upstream.options_.authorities_pem.empty()) {
    return bad_option("external.url is https and needs external.ca_file, the authorities that its certificate may be of",
                      "external.ca_file");
  }
  TlsClientOptions tls;
  tls.authorities_pem = upstream.options_.authorities_pem;
  TG_ASSIGN(upstream.tls_, TlsContext::for_client(tls));
  return upstream;
}

bool Upstream::is_exposed() const { return !tls_ && !is_loopback(host_); }

awaitable<Result<std::unique_ptr<HttpClient>>> Upstream::connect() const {
  const Deadline deadline = Deadline::after(clock_->mono(), options_.connect_limit);
  if (!tls_) co_return co_await HttpClient::connect(host_, port_, deadline);
  HttpClientTls tls;
  tls.context = tls_;
  co_return co_await HttpClient::connect_tls(host_, port_, std::move(tls), deadline);
}

void Upstream::add_headers(HttpClientRequest& request) const {
  request.headers.emplace_back("User-Agent", "tidegate-worker");
  if (!options_.api_key.empty()) request.headers.emplace_back("Authorization", "Bearer " + options_.api_key);
}

awaitable<Result<HttpClientResponse>> Upstream::post(std::string call, std::string body, BodySink sink) const {
  auto made = co_await connect();
  if (!made) co_return unreachable(made.error());
  std::unique_ptr<HttpClient> client = *std::move(made);
  client->keep_alive();
  HttpClientRequest request("POST", prefix_ + call, std::move(body));
  add_headers(request);
  request.headers.emplace_back("Accept", "text/event-stream");
  co_return co_await client->request(std::move(request), Deadline::never(), std::move(sink));
}

awaitable<Result<HttpClientResponse>> Upstream::get(std::string target) const {
  auto made = co_await connect();
  if (!made) co_return unreachable(made.error());
  std::unique_ptr<HttpClient> client = *std::move(made);
  HttpClientRequest request("GET", std::move(target));
  add_headers(request);
  std::string page;
  BodySink sink = [&page](int, std::string_view bytes) {
    page += bytes;
    return page.size() <= kPageBytesMax;
  };
  const Deadline deadline = Deadline::after(clock_->mono(), options_.probe_limit);
  auto answer = co_await client->request(std::move(request), deadline, std::move(sink));
  if (!answer) co_return unreachable(answer.error());
  answer->body = std::move(page);
  co_return answer;
}

awaitable<Status> Upstream::check_health() const {
  auto answer = co_await get(health_beside(prefix_));
  if (answer && has_no_page(answer->status)) answer = co_await get(prefix_ + "/models");
  if (!answer) co_return fail(answer.error());
  if (answer->status != 200) co_return fail(error_of_status(answer->status, answer->body));
  co_return Status();
}

awaitable<Result<UpstreamModel>> Upstream::find_model(std::string model) const {
  const auto answer = co_await get(prefix_ + "/models");
  if (!answer) co_return fail(answer.error());
  if (has_no_page(answer->status)) co_return UpstreamModel();
  if (answer->status != 200) co_return fail(error_of_status(answer->status, answer->body));
  co_return pick_model(answer->body, model);
}

}  // namespace tidegate::worker::external
