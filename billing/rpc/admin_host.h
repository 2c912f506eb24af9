#pragma once

#include <chrono>
#include <string_view>
#include <utility>

#include "base/rpc/unary_host.h"
#include "billing/rpc/admin_caller.h"

namespace tidegate::billing {

/// Left of a deadline, by work in steps, for the step under way and the answer.
inline constexpr auto kStepReserve = std::chrono::seconds(5);

/// A call whose caller is known and may make it.
class AdminCall : public rpc::ServerCall {
 public:
  AdminCall(const rpc::ServerCall& call, AdminCaller caller) : rpc::ServerCall(call), caller_(std::move(caller)) {}
  const AdminCaller& caller() const { return caller_; }

 private:
  AdminCaller caller_;
};

/// Serves the methods of an admin service: who calls (rpc/admin_caller), then what their role may (core/admin_roles),
/// then the handler on a thread where it may block. Thread-safe. Must outlive the server.
class AdminHost {
 public:
  AdminHost(const ServiceContext& context, rpc::WorkPool& workers);

  /// handler(const AdminCall&) -> Result<Response>. `method` is the name of the method that calls: it chooses the row
  /// of the table, so a helper between the two hands its own caller's name on.
  template <typename Response, typename Handler>
  grpc::ServerUnaryReactor* serve(grpc::CallbackServerContext* call, Response* response, Handler handler,
                                  const char* method = __builtin_FUNCTION()) {
    return host_.serve(
        call, response,
        [this, method, handler = std::move(handler)](const rpc::ServerCall& c) mutable -> Result<Response> {
          TG_ASSIGN(auto caller, admit(c, method));
          const AdminCall admitted(c, std::move(caller));
          return handler(admitted);
        });
  }

 private:
  /// Fails: as find_caller(), permission_denied/role_not_allowed or tenant_not_allowed.
  Result<AdminCaller> admit(const rpc::ServerCall& call, std::string_view method) const;

  const ServiceContext& context_;
  rpc::UnaryHost host_;
};

}  // namespace tidegate::billing
