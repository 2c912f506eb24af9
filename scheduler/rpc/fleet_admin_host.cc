#include "scheduler/rpc/fleet_admin_host.h"

namespace tidegate::scheduler {

Result<FleetCaller> FleetAdminHost::admit(const rpc::ServerCall& call, std::string_view method) const {
  auto caller = desk_.find(rpc::bearer_token(call.context()), call.deadline());
  Status allowed;
  if (!caller) {
    allowed = fail(caller.error());
  } else {
    allowed = check_fleet_method(method, *caller);
  }
  if (allowed) {
    counters_.allowed.add();
    return caller;
  }
  counters_.refused.add();
  log_.warn("fleet_call_refused", {kv("method", method), kv("actor", caller ? caller->actor : std::string()),
                                   kv("reason", allowed.error().reason)});
  return fail(std::move(allowed).error());
}

}  // namespace tidegate::scheduler
