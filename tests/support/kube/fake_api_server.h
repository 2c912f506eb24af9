#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/metrics.h"
#include "base/net/http_server.h"
#include "base/net/io_threads.h"
#include "base/net/tls_context.h"
#include "tests/support/kube/kube_store.h"
#include "tests/support/kube/schema_check.h"
#include "tests/support/log_capture.h"

namespace tidegate::test {

/// What goes wrong with the next calls that match.
struct ApiFault {
  enum class Kind {
    kStatus,      ///< answered with `status`
    kStall,       ///< not answered; cut when the faults are cleared
    kCut,         ///< the connection is cut instead of an answer
    kLostAnswer,  ///< carried out, and then the connection is cut
  };
  Kind kind = Kind::kStatus;
  std::string method;     ///< empty: any
  std::string path_part;  ///< anywhere in the path; empty: any
  int status = 500;
  int retry_after_s = 0;  ///< > 0: the header is there
  int times = 1;
};

/// An API server of Kubernetes for tests: objects, server-side apply with conflicts, lists in pages, watches that end,
/// expire or go silent, and faults on demand. No controllers: ClusterHands plays those. Writes with strict field
/// validation are held against tests/golden/kubernetes/schema.json. Thread-safe.
class FakeApiServer {
 public:
  struct Options {
    std::shared_ptr<const TlsContext> tls;  ///< null: plain HTTP
    std::string token;                      ///< empty: whoever asks
  };
  FakeApiServer() : FakeApiServer(Options()) {}
  explicit FakeApiServer(Options options);
  ~FakeApiServer();

  std::string url() const;
  void set_token(std::string token);

  void add_fault(ApiFault fault);
  void clear_faults();
  /// Open watches end with 410, and so does every one from before now.
  void expire_watches();
  void cut_watches() { ++watch_cuts_; }
  int watches_open() const { return watches_open_; }
  /// Watches stay open and say nothing until this is false again.
  void silence_watches(bool silent) { is_silent_ = silent; }

  /// With the store, under the lock.
  template <typename Fn>
  auto with_store(Fn fn) {
    const std::lock_guard lock(mutex_);
    return fn(store_);
  }
  /// "METHOD /path" of each call that was let in and changed something or tried to.
  std::vector<std::string> writes() const;
  std::int64_t lists() const { return lists_; }

 private:
  struct Request;
  awaitable<void> serve(HttpExchange& exchange);
  awaitable<void> serve_watch(HttpExchange& exchange, const KubePath& path);
  awaitable<void> stall(HttpExchange& exchange);
  awaitable<void> cut(HttpExchange& exchange);
  KubeReply carry_out(const HttpRequest& request, const KubePath& path);
  std::optional<ApiFault> take_fault(std::string_view method, std::string_view path);
  std::string token() const;

  Options options_;
  SystemClock clock_;
  LogCapture log_;
  MemoryRegistry metrics_;
  SchemaCheck schema_;
  mutable std::mutex mutex_;
  KubeStore store_;
  std::vector<ApiFault> faults_;
  std::vector<std::string> writes_;
  std::atomic<int> faults_cleared_{0};
  std::atomic<int> watch_cuts_{0};
  std::atomic<int> watches_open_{0};
  std::atomic<bool> is_silent_{false};
  std::atomic<bool> is_ending_{false};
  std::atomic<std::int64_t> lists_{0};
  IoThreads threads_{1, "fake-api"};
  std::unique_ptr<HttpServer> server_;
};

}  // namespace tidegate::test
