#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/core/ids.h"
#include "base/rpc/unary_host.h"
#include "billing/core/admin_roles.h"
#include "billing/rpc/context.h"

namespace tidegate::billing {

/// The person, or the machine, behind a call of an admin service.
struct AdminCaller {
  std::string actor;  ///< "admin/<public id of the key>", as the audit log names it
  AdminRole role = AdminRole::kViewer;
  std::optional<TenantId> tenant;  ///< the only tenant this caller may see
  AdminKeyShape shape() const { return {role, tenant.has_value()}; }
};

/// A call whose caller is known and may make it.
class AdminCall : public rpc::ServerCall {
 public:
  AdminCall(const rpc::ServerCall& call, AdminCaller caller) : rpc::ServerCall(call), caller_(std::move(caller)) {}
  const AdminCaller& caller() const { return caller_; }

 private:
  AdminCaller caller_;
};

/// Serves the methods of an admin service: the key, then what its role may (core/admin_roles), then the handler on a
/// thread where it may block. The installation's own key is its operator's; every other one is looked up for each call,
/// so that a revoked key is refused from the next call on. Thread-safe. Must outlive the server.
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
  /// Fails: unauthenticated/bad_token, permission_denied/role_not_allowed or tenant_not_allowed,
  /// failed_precondition/row_security_off.
  Result<AdminCaller> admit(const rpc::ServerCall& call, std::string_view method) const;
  Result<AdminCaller> caller_of(const std::string& token, Deadline deadline) const;

  const ServiceContext& context_;
  rpc::UnaryHost host_;
};

}  // namespace tidegate::billing
