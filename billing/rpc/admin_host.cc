#include "billing/rpc/admin_host.h"

namespace tidegate::billing {

AdminHost::AdminHost(const ServiceContext& context, rpc::WorkPool& workers)
    : context_(context), host_(workers, rpc::AuthGate::checked_by([&context](const std::string& token) {
                                          return check_caller_shape(context, token);
                                        }).for_roles({"cli"})) {}

Result<AdminCaller> AdminHost::admit(const rpc::ServerCall& call, std::string_view method) const {
  auto caller = find_caller(context_, rpc::bearer_token(call.context()), call.deadline());
  Status allowed;
  if (!caller) {
    allowed = fail(caller.error());
  } else {
    allowed = check_method(method, caller->role, caller->tenant.has_value());
  }
  if (allowed) return caller;
  context_.metrics.admin_refusals.add();
  context_.log.warn("admin_call_refused", {kv("method", method), kv("actor", caller ? caller->actor : std::string()),
                                           kv("reason", allowed.error().reason)});
  return fail(std::move(allowed).error());
}

}  // namespace tidegate::billing
