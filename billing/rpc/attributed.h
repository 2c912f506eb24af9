#pragma once

#include <string>
#include <utility>

#include "billing/adapters/audit_store.h"
#include "billing/adapters/roles.h"
#include "billing/rpc/admin_host.h"

namespace tidegate::billing {

/// `work` with its caller's name and limits on it: what it changes is audited as that administrator's, and a caller of
/// one tenant sees that tenant's rows only, whatever `work` asks for. Every handler of an admin service wraps its
/// transaction in this; a change without it is audited too, as "unattributed/<database user>".
template <typename Work>
auto attributed(const AdminCall& call, Work work) {
  const AdminCaller& caller = call.caller();
  return [actor = caller.actor, origin = call.context().peer(),
          tenant = caller.tenant ? caller.tenant->to_string() : std::string(),
          work = std::move(work)](pqxx::work& tx) mutable {
    attribute(tx, actor, origin);
    if (!tenant.empty()) scope_to_tenant(tx, tenant);
    return work(tx);
  };
}

}  // namespace tidegate::billing
