#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/json/json.h"
#include "base/net/asio.h"
#include "base/net/http_client.h"
#include "scheduler/drivers/kubernetes/api/kube_access.h"
#include "scheduler/drivers/kubernetes/api/kube_metrics.h"
#include "scheduler/drivers/kubernetes/state/call_failure.h"

namespace tidegate::scheduler::kube {

enum class Verb : std::uint8_t { kGet, kApply, kCreate, kReplace, kDelete, kMergePatch };

/// One call. `query` begins with '?' or is empty; field validation is added to writes.
struct KubeCall {
  Verb verb = Verb::kGet;
  std::string path;
  std::string query;
  json::value body;
};

/// An answer with success, or why there is none.
using KubeAnswer = std::expected<json::value, CallFailure>;

/// The API server of one cluster, over a few connections that are kept. Everything runs on one executor.
class KubeApi {
 public:
  struct Settings {
    Duration call_limit = std::chrono::seconds(10);    ///< of one call, connecting included
    Duration access_every = std::chrono::seconds(60);  ///< files of the access are read again; and after a 401
    std::size_t body_max = 64 << 20;
    std::size_t connections_idle_max = 8;
  };
  /// Whole lines of a watch; false ends it.
  using BytesSink = std::function<bool(std::string_view)>;

  /// Fails as load_access(), and invalid_argument/bad_certificate.
  static Result<std::unique_ptr<KubeApi>> open(AccessOptions options, Settings settings, const Clock& clock, Log& log,
                                               KubeMetrics& metrics);

  awaitable<KubeAnswer> call(KubeCall call);
  /// An answer that lasts until the server ends it, `limit` passes, or `sink` says no: nothing in all three cases but
  /// the second. Its connection is its own.
  awaitable<std::expected<void, CallFailure>> watch(std::string path, std::string query, Duration limit,
                                                    BytesSink sink);

 private:
  KubeApi(AccessOptions options, Settings settings, const Clock& clock, Log& log, KubeMetrics& metrics)
      : options_(std::move(options)), settings_(settings), clock_(clock), log_(log), metrics_(metrics) {}
  Status take(KubeAccess access);
  void refresh();
  awaitable<Result<std::unique_ptr<HttpClient>>> connect(Deadline deadline);
  awaitable<Result<HttpClientResponse>> ask(HttpClientRequest request, Deadline deadline);
  HttpClientRequest request_for(const KubeCall& call) const;
  KubeAnswer answer_of(const Result<HttpClientResponse>& response);

  AccessOptions options_;
  Settings settings_;
  const Clock& clock_;
  Log& log_;
  KubeMetrics& metrics_;
  KubeAccess access_;
  std::shared_ptr<const TlsContext> tls_;  // shared with the connections made under it; null: plain
  Mono accessed_at_{};
  bool access_broken_ = false;
  std::vector<std::unique_ptr<HttpClient>> idle_;
};

/// What an answer's Retry-After says, at most a minute; zero: nothing.
Duration retry_after_of(std::string_view header);

}  // namespace tidegate::scheduler::kube
