#include "scheduler/drivers/kubernetes/api/kube_api.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/net/timer.h"
#include "base/net/tls_context.h"
#include "scheduler/drivers/kubernetes/objects/object_reading.h"

namespace tidegate::scheduler::kube {

namespace {

constexpr std::int64_t kRetryAfterMaxSeconds = 60;
constexpr std::size_t kErrorBodyMax = 64 * 1024;
// A document of a cluster is deeper than one of a client: a pod's affinity goes to about 20.
constexpr std::size_t kAnswerDepthMax = 64;

const char* method_of(Verb verb) {
  switch (verb) {
    case Verb::kGet:
      return "GET";
    case Verb::kApply:
    case Verb::kMergePatch:
      return "PATCH";
    case Verb::kCreate:
      return "POST";
    case Verb::kReplace:
      return "PUT";
    case Verb::kDelete:
      return "DELETE";
  }
  return "GET";
}

const char* content_type_of(Verb verb) {
  switch (verb) {
    case Verb::kApply:
      return "application/apply-patch+yaml";  // JSON is YAML
    case Verb::kMergePatch:
      return "application/merge-patch+json";
    case Verb::kGet:
    case Verb::kCreate:
    case Verb::kReplace:
    case Verb::kDelete:
      break;
  }
  return "application/json";
}

CallFailure unanswered(const Error& error) {
  CallFailure failure;
  failure.message = "the API server did not answer: " + error.message;
  return failure;
}

CallFailure failure_of(int status, std::string_view retry_after, const std::string& body) {
  CallFailure failure;
  failure.status = status;
  failure.retry_after = retry_after_of(retry_after);
  const auto parsed = json::parse(body, kAnswerDepthMax);
  const json::value words = parsed ? *parsed : json::value(nullptr);
  failure.message = failure_words(status, words);
  failure.field_conflict = is_field_conflict(words);
  return failure;
}

void count(KubeMetrics& metrics, int status) {
  if (status == 0)
    metrics.calls_unanswered.add();
  else if (status < 400)
    metrics.calls_ok.add();
  else if (status == 409)
    metrics.calls_conflict.add();
  else if (status == 429)
    metrics.calls_throttled.add();
  else if (status == 404)
    metrics.calls_absent.add();
  else if (status < 500)
    metrics.calls_refused.add();
  else
    metrics.calls_failed.add();
}

}  // namespace

Duration retry_after_of(std::string_view header) {
  std::int64_t seconds = 0;
  const auto read = std::from_chars(header.data(), header.data() + header.size(), seconds);
  if (read.ec != std::errc() || seconds < 0) return {};
  return std::chrono::seconds(std::min(seconds, kRetryAfterMaxSeconds));
}

Result<std::unique_ptr<KubeApi>> KubeApi::open(AccessOptions options, Settings settings, const Clock& clock, Log& log,
                                               KubeMetrics& metrics) {
  TG_ASSIGN(KubeAccess access, load_access(options));
  std::unique_ptr<KubeApi> api(new KubeApi(std::move(options), settings, clock, log, metrics));
  TG_TRY(api->take(std::move(access)));
  return api;
}

Status KubeApi::take(KubeAccess access) {
  std::shared_ptr<const TlsContext> tls;
  if (access.is_tls) {
    TlsClientOptions options;
    options.authorities_pem = access.authorities_pem;
    options.chain_pem = access.chain_pem;
    options.key_pem = access.key_pem;
    TG_ASSIGN(tls, TlsContext::for_client(options));
  }
  access_ = std::move(access);
  tls_ = std::move(tls);
  accessed_at_ = clock_.mono();
  idle_.clear();  // made under the old one
  return {};
}

/// A file that is being replaced may be unreadable for a moment: what worked so far is kept.
void KubeApi::refresh() {
  if (clock_.mono() - accessed_at_ < settings_.access_every) return;
  accessed_at_ = clock_.mono();
  auto fresh = load_access(options_);
  Status taken;
  if (!fresh) {
    taken = fail(fresh.error());
  } else if (!(*fresh == access_)) {
    taken = take(*std::move(fresh));
  }
  if (taken) {
    access_broken_ = false;
  } else if (!std::exchange(access_broken_, true)) {
    log_.warn("kube_access_unreadable", {kv("message", taken.error().message)});
  }
}

awaitable<Result<std::unique_ptr<HttpClient>>> KubeApi::connect(Deadline deadline) {
  if (!tls_) co_return co_await HttpClient::connect(access_.host, access_.port, deadline);
  HttpClientTls tls;
  tls.context = tls_;
  tls.server_name = access_.server_name;
  co_return co_await HttpClient::connect_tls(access_.host, access_.port, std::move(tls), deadline);
}

HttpClientRequest KubeApi::request_for(const KubeCall& call) const {
  std::string target = access_.prefix + call.path + call.query;
  HttpClientRequest request(method_of(call.verb), std::move(target));
  if (call.verb != Verb::kGet) {
    request.body = json::serialize(call.body);
    request.headers.emplace_back("Content-Type", content_type_of(call.verb));
  }
  request.headers.emplace_back("Accept", "application/json");
  request.headers.emplace_back("User-Agent", "tidegate-scheduler");
  if (!access_.token.empty()) request.headers.emplace_back("Authorization", "Bearer " + access_.token);
  return request;
}

/// A kept connection may have been closed by the server meanwhile: then once more on a new one. Every call of ours may
/// be repeated: applies and replacements are conditional or idempotent, deletions name what they delete.
awaitable<Result<HttpClientResponse>> KubeApi::ask(HttpClientRequest request, Deadline deadline) {
  if (!idle_.empty()) {
    std::unique_ptr<HttpClient> kept = std::move(idle_.back());
    idle_.pop_back();
    HttpClientRequest copy = request;
    auto answer = co_await kept->request(std::move(copy), deadline);
    if (answer || answer.error().reason != "connection_lost") {
      if (answer && kept->is_open() && idle_.size() < settings_.connections_idle_max) idle_.push_back(std::move(kept));
      co_return answer;
    }
  }
  auto made = co_await connect(deadline);
  if (!made) co_return fail(std::move(made).error());
  std::unique_ptr<HttpClient> client = *std::move(made);
  auto answer = co_await client->request(std::move(request), deadline);
  if (answer && client->is_open() && idle_.size() < settings_.connections_idle_max) idle_.push_back(std::move(client));
  co_return answer;
}

KubeAnswer KubeApi::answer_of(const Result<HttpClientResponse>& response) {
  if (!response) {
    count(metrics_, 0);
    return std::unexpected(unanswered(response.error()));
  }
  count(metrics_, response->status);
  if (response->status == 401)
    accessed_at_ = clock_.mono() - settings_.access_every;  // the token is no good: read it again before the next call
  if (response->status >= 300)
    return std::unexpected(failure_of(response->status, response->header("Retry-After"), response->body));
  auto body = json::parse(response->body, kAnswerDepthMax);
  if (body) return *std::move(body);
  CallFailure failure;
  failure.message = "the API server's answer is no JSON: " + body.error().message;
  return std::unexpected(std::move(failure));
}

awaitable<KubeAnswer> KubeApi::call(KubeCall call) {
  refresh();
  const Deadline deadline = Deadline::after(clock_.mono(), settings_.call_limit);
  HttpClientRequest request = request_for(call);
  const auto response = co_await ask(std::move(request), deadline);
  co_return answer_of(response);
}

awaitable<std::expected<void, CallFailure>> KubeApi::watch(std::string path, std::string query, Duration limit,
                                                           BytesSink sink) {
  refresh();
  const Deadline connecting = Deadline::after(clock_.mono(), settings_.call_limit);
  auto made = co_await connect(connecting);
  if (!made) {
    count(metrics_, 0);
    co_return std::unexpected(unanswered(made.error()));
  }
  std::unique_ptr<HttpClient> client = *std::move(made);
  client->keep_alive();
  KubeCall call;
  call.path = std::move(path);
  call.query = std::move(query);
  HttpClientRequest request = request_for(call);
  int status = 0;
  std::string refusal;
  BodySink taken = [&](int got, std::string_view bytes) {
    status = got;
    if (got < 300) return sink(bytes);
    refusal += bytes;
    return refusal.size() < kErrorBodyMax;
  };
  const Deadline deadline = Deadline::after(clock_.mono(), limit);
  const auto response = co_await client->request(std::move(request), deadline, std::move(taken));
  if (response) status = response->status;
  const bool was_stopped = !response && response.error().reason == "stopped_by_sink" && status < 300;
  count(metrics_, response || was_stopped || status >= 300 ? status : 0);
  if (status >= 300) {
    if (status == 401) accessed_at_ = clock_.mono() - settings_.access_every;
    const std::string_view retry_after = response ? response->header("Retry-After") : std::string_view();
    co_return std::unexpected(failure_of(status, retry_after, refusal));
  }
  if (!response && !was_stopped) co_return std::unexpected(unanswered(response.error()));
  co_return std::expected<void, CallFailure>();
}

}  // namespace tidegate::scheduler::kube
