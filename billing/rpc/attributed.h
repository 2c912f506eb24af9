#pragma once

#include <string>
#include <utility>

#include "base/rpc/unary_host.h"
#include "billing/adapters/audit_store.h"
#include "billing/rpc/context.h"

namespace tidegate::billing {

/// Who calls an admin service, as the audit log names it.
inline std::string admin_actor(const ServiceContext& context) { return "admin/" + context.admin_id; }

/// `work` with its caller's name on it: what it changes is audited as that administrator's. Every handler of an admin
/// service wraps its transaction in this; a change without it is audited too, as "unattributed/<database user>".
template <typename Work>
auto attributed(const ServiceContext& context, const rpc::ServerCall& call, Work work) {
  return [actor = admin_actor(context), origin = call.context().peer(),
          work = std::move(work)](pqxx::work& tx) mutable {
    attribute(tx, actor, origin);
    return work(tx);
  };
}

}  // namespace tidegate::billing
