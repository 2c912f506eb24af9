#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/result.h"
#include "base/obs/prometheus_registry.h"
#include "base/obs/readiness.h"

namespace tidegate {

/// What an operator may ask for beyond looking.
struct AdminActions {
  /// POST /reload; gives the names of changed options. On the admin thread; empty: 404.
  std::function<Result<std::vector<std::string>>()> reload;
  /// /configz, when the configuration can change; empty: the text given at the start.
  std::function<std::string()> config;
};

/// What every service shows its operator, on a thread of its own so that it answers when the service is busy:
///   /metrics   Prometheus text, with process_* added      /livez   200 while the process runs
///   /readyz    200 or 503 with the checks as JSON         /configz the effective configuration, without secrets
///   /reload    POST with kReloadHeader: reads the options again; 200 with what changed, 409 with why nothing did; 403
///              without the header, which no page in a browser can send here
/// For the inside only: it knows no users. Bind it to an address that the public cannot reach.
class AdminServer {
 public:
  /// Its value is 1.
  static constexpr std::string_view kReloadHeader = "x-tidegate-reload";

  /// `listen` as parse_endpoint(); `config_text` is shown as it is. The references must outlive the server.
  /// Fails: unavailable/listen_failed, invalid_argument/bad_address.
  static Result<std::unique_ptr<AdminServer>> start(const std::string& listen, PrometheusRegistry& registry,
                                                    const Readiness& readiness, std::string config_text,
                                                    const Clock& clock, Log& log, AdminActions actions = {});
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  /// "127.0.0.1:9101", with the bound port.
  std::string address() const;

 private:
  struct State;
  explicit AdminServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tidegate
