#include "billing/rpc/audit_service.h"

#include "billing/adapters/audit_store.h"

namespace tidegate::billing {

namespace {
constexpr int kLimitDefault = 100;
constexpr int kLimitMax = 1000;
}  // namespace

AuditService::Reactor* AuditService::ListAudit(Call* call, const v1::ListAuditRequest* request,
                                               v1::ListAuditResponse* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) -> Result<v1::ListAuditResponse> {
    const int limit = request->limit() == 0 ? kLimitDefault : request->limit();
    if (limit < 1 || limit > kLimitMax) {
      return fail(Code::kInvalidArgument, "bad_limit", "limit must be 1 to 1000, or 0 for 100", "limit");
    }
    auto job = [request, limit](pqxx::work& tx) -> Result<v1::ListAuditResponse> {
      v1::ListAuditResponse out;
      for (const AuditRow& row : list_audit(tx, static_cast<std::int64_t>(request->from()), limit)) {
        v1::AuditEntry* entry = out.add_entries();
        entry->set_number(static_cast<std::uint64_t>(row.number));
        entry->set_at_us(unix_micros(row.at));
        entry->set_actor(row.actor);
        entry->set_origin(row.origin);
        entry->set_changes(row.changes);
        entry->set_leaf(row.leaf);
      }
      out.set_size(static_cast<std::uint64_t>(audit_size(tx)));
      return out;
    };
    return context_.pool.run_blocking(c.deadline(), job);
  });
}

AuditService::Reactor* AuditService::GetAuditCheckpoint(Call* call, const v1::GetAuditCheckpointRequest*,
                                                        v1::AuditCheckpoint* response) {
  return host_.serve(call, response, [this](const AdminCall& c) {
    auto job = [](pqxx::work& tx) -> Result<v1::AuditCheckpoint> {
      v1::AuditCheckpoint out;
      out.set_checkpoint(newest_audit_checkpoint(tx));
      return out;
    };
    return context_.pool.run_blocking(c.deadline(), job);
  });
}

AuditService::Reactor* AuditService::ProveAudit(Call* call, const v1::ProveAuditRequest* request,
                                                v1::AuditProof* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) {
    auto job = [request](pqxx::work& tx) -> Result<v1::AuditProof> {
      TG_ASSIGN(const auto path, prove_audit(tx, static_cast<std::int64_t>(request->old_size()),
                                             static_cast<std::int64_t>(request->new_size())));
      v1::AuditProof out;
      for (const Digest& node : path) out.add_path(std::string(as_view(node)));
      return out;
    };
    return context_.pool.run_blocking(c.deadline(), job);
  });
}

}  // namespace tidegate::billing
