#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/core/log.h"
#include "base/core/metrics.h"
#include "base/rpc/tls.h"
#include "base/rpc/unary_host.h"
#include "scheduler/rpc/caller_desk.h"

namespace tidegate::scheduler {

/// A call whose caller is known and may make it.
class FleetCall : public rpc::ServerCall {
 public:
  FleetCall(const rpc::ServerCall& call, FleetCaller caller) : rpc::ServerCall(call), caller_(std::move(caller)) {}
  const FleetCaller& caller() const { return caller_; }

 private:
  FleetCaller caller_;
};

/// What an operator sees of FleetAdmin's callers.
struct FleetAdminCounters {
  Counter& allowed;
  Counter& refused;
};

/// Serves the methods of FleetAdmin: who calls, then what their role may (core/fleet_callers), then the handler on a
/// thread where it may block. Thread-safe. Must outlive the server.
class FleetAdminHost {
 public:
  /// References outlive it. A scheduler's certificate is its own: rest/ calls with the token of whoever asked it.
  FleetAdminHost(CallerDesk& desk, rpc::WorkPool& workers, Log& log, FleetAdminCounters counters)
      : desk_(desk),
        log_(log),
        counters_(counters),
        host_(workers, rpc::AuthGate::checked_by([&desk](const std::string& token) {
                         return desk.check_shape(token);
                       }).for_roles({std::string(rpc::kCliRole), std::string(rpc::kSchedulerRole)})) {}

  /// handler(const FleetCall&) -> Result<Response>. `method` is the name of the method that calls.
  template <typename Response, typename Handler>
  grpc::ServerUnaryReactor* serve(grpc::CallbackServerContext* call, Response* response, Handler handler,
                                  const char* method = __builtin_FUNCTION()) {
    return host_.serve(
        call, response,
        [this, method, handler = std::move(handler)](const rpc::ServerCall& c) mutable -> Result<Response> {
          TG_ASSIGN(auto caller, admit(c, method));
          const FleetCall admitted(c, std::move(caller));
          return handler(admitted);
        });
  }

 private:
  /// Fails: as CallerDesk::find() and check_fleet_method().
  Result<FleetCaller> admit(const rpc::ServerCall& call, std::string_view method) const;

  CallerDesk& desk_;
  Log& log_;
  const FleetAdminCounters counters_;
  rpc::UnaryHost host_;
};

}  // namespace tidegate::scheduler
